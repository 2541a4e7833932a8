"""Which package may import which: only downwards, and no circle, not even in a lazy import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "ramospeech"
MODULES = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
           for path in sorted(PACKAGE.rglob("*.py"))}
# Each may import those on the lines above its own.
FLOORS = [
    {"config"}, {"utils"}, {"audio", "language"}, {"losses"}, {"models"}, {"data", "decoding"},
    {"recognition"}, {"evaluation"}, {"training", "notebook"}, {"demo"}, {"cli"}, {"__main__"},
]
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}


def package_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    """The modules of this project that a file imports, anywhere in it, also where only for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES
                      else node.module for alias in node.names}
    return {module for module in found if module.startswith("ramospeech.")}


GRAPH = {module: imports(path) for module, path in MODULES.items() if module != "ramospeech"}


def test_every_package_has_its_floor():
    assert {package_of(module) for module in GRAPH} == FLOOR.keys()


@pytest.mark.parametrize("module", GRAPH)
def test_imports_go_downwards(module):
    upwards = {other for other in GRAPH[module] if package_of(other) != package_of(module)
               and FLOOR[package_of(other)] >= FLOOR[package_of(module)]}
    assert upwards == set()


def test_there_is_no_circle():
    left = {module: others - {module} for module, others in GRAPH.items()}
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("package", ["config", "utils.files", "utils.compiler", "language"])
def test_without_torch(package):
    """What knows pinyin and words starts at once."""
    names = [name for name in MODULES if name.startswith(f"ramospeech.{package}")]
    program = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
