"""Which package may import which: only lower ones, without cycles, even in lazy imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "ramospeech"
MODULES = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
           for path in sorted(PACKAGE.rglob("*.py"))}
# From the lowest up: a package may import packages of lower floors.
FLOORS = [
    {"config"}, {"utils"}, {"audio", "language"}, {"losses"}, {"models"}, {"data", "decoding"},
    {"recognition"}, {"evaluation"}, {"training", "notebook"}, {"demo"}, {"cli"}, {"__main__"},
]
FLOOR = {package: number for number, packages in enumerate(FLOORS) for package in packages}


def package_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> set[str]:
    """The modules of this project that a file imports: also lazily, only for types, or by name.

    A string such as "ramospeech.data.recipes." counts as an import of everything in that package.
    """
    return imports_of(path.read_text())


def imports_of(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES
                      else node.module for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(name := node.value, str) \
                and re.fullmatch(r"ramospeech(\.\w+)+\.?", name):
            found |= {module for module in MODULES if f"{module}.".startswith(f"{name.rstrip('.')}.")}
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
    """Importing them is fast."""
    names = [name for name in MODULES if name.startswith(f"ramospeech.{package}")]
    program = f"import sys, {', '.join(names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


@pytest.mark.parametrize("source", [
    "from ramospeech.data.recipes import mini", "import ramospeech.data.recipes.mini as corpus",
    "def later():\n    from ramospeech.data.recipes.mini import CORPUS",
    "import_module('ramospeech.data.recipes.mini')", "import_module(f'ramospeech.data.recipes.{name}')",
    "LAZY = {'mini': 'ramospeech.data.recipes'}",
])
def test_no_way_to_import_is_overlooked(source):
    assert "ramospeech.data.recipes.mini" in imports_of(source)


def test_listing_the_corpora_is_quick(data_folder):
    """It loads neither PyTorch, nor pypinyin's tables, nor what only a download needs."""
    program = ("import sys; from ramospeech.cli.main import main; main(['corpora']); "
               "sys.exit(', '.join({'torch', 'pypinyin', 'requests', 'soundfile'} & {*sys.modules}) or 0)")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "thchs" in result.stdout
