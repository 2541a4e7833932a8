"""The repository: its files, and what must agree between code, packaging and documentation."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml
from test_imports import FLOOR, FLOORS, GRAPH, package_of
from test_words import sources

from ramospeech import __version__
from ramospeech.cli.main import build_parser

REPOSITORY = Path(__file__).resolve().parent.parent
MODULES = sorted((REPOSITORY / "ramospeech").rglob("*.py"))
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TOP_LEVEL = {
    ".ci", ".gitignore", "LICENSE", "Makefile", "NOTICE", "README.md", "benchmarks", "data_config",
    "docs", "environment.yml", "findings", "models", "notebooks", "pyproject.toml", "ramospeech",
    "speech2text.sh", "tests", "tools",
}


def name_of(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0]


def requirements() -> list[str]:
    return [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]


# Files


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    return listed.stdout.decode().rstrip("\0").split("\0")


def test_the_top_level_holds_what_is_expected():
    assert {path.split("/")[0] for path in tracked_files()} <= TOP_LEVEL


def test_no_large_files_are_tracked():
    sizes = {path: (REPOSITORY / path).stat().st_size for path in tracked_files()
             if (REPOSITORY / path).exists()}
    assert {path: size for path, size in sizes.items() if size >= 8e6} == {}


def test_every_module_and_public_function_says_what_it_is_for():
    silent = []
    for path in [*MODULES, *sorted((REPOSITORY / "tools").glob("*.py"))]:
        tree = ast.parse(path.read_text())
        silent += [] if ast.get_docstring(tree) else [path.name]
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        if path.parent.name != "cli" and path.name != "check_env.py":  # commands, flags; rows of a table
            silent += [f"{path.name}: {node.name}" for node in functions
                       if not node.name.startswith("_") and not ast.get_docstring(node)
                       and len(node.body) > 3]
    assert silent == []


def public_names(path: Path) -> set[str] | None:
    """Return `__all__` of a module; None if it has none."""
    found = [node.value for node in ast.parse(path.read_text()).body
             if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"]
    return set(ast.literal_eval(found[0])) if found else None


def test_every_module_states_its_public_names():
    modules = [path for path in MODULES if path.name not in ("__init__.py", "__main__.py")]
    assert [path.name for path in modules if public_names(path) is None] == []


def test_functions_are_short():
    """With decorators, signature and docstring, no function has more than 40 lines."""
    long = []
    for path in [*MODULES, *sorted((REPOSITORY / "tools").glob("*.py"))]:
        long += [f"{path.name}: {node.name}" for node in ast.walk(ast.parse(path.read_text()))
                 if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 40]
    assert long == []


def test_ci_calls_what_the_readme_says():
    script = REPOSITORY / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line.startswith("make")]
    assert commands == ["make test", "make test-slow"]


# Versions are declared once


def test_environment_yml_agrees_with_pyproject():
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    conda = [item for item in environment["dependencies"] if isinstance(item, str)]
    (pip,) = [item["pip"] for item in environment["dependencies"] if isinstance(item, dict)]

    (python,) = [item.split("=", 1)[1] for item in conda if item.startswith("python=")]
    lowest, highest = re.fullmatch(r">=(\d+\.\d+),<(\d+\.\d+)", PROJECT["requires-python"]).groups()
    assert numbers(lowest) <= numbers(python) < numbers(highest)

    (project,) = pip  # the project and its extras, nothing else
    extras = re.fullmatch(r"(?:-e|--editable) \.\[([\w,]+)\]", project)[1].split(",")
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    assert {"notebooks", "test"} <= set(extras)  # what make sets up
    declared = {name_of(requirement).lower() for requirement in requirements()}
    assert {name_of(item).lower() for item in conda} & declared == set()
    assert {"pip", "cxx-compiler", "cmake<4"} <= set(conda)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_the_version_is_one():
    assert PROJECT["version"] == __version__


def test_torch_and_torchaudio_are_the_stated_pair():
    assert {"torch==2.11.0", "torchaudio==2.11.0"} <= set(PROJECT["dependencies"])


def test_what_is_imported_is_declared():
    """By the package; notebooks and tests may also use the extras."""
    modules = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module.split(".")[0])
    built = {"horovod"}  # by `make horovod`; imported only by several processes
    foreign = modules - sys.stdlib_module_names - {"ramospeech"} - built
    brought = {"IPython": "ipykernel", "nbformat": "nbclient", "espeakng_loader": "espeakng-loader"}
    declared = {name_of(requirement) for requirement in requirements()}
    assert {brought.get(module, module) for module in foreign} <= declared


# Licences


def test_the_licence():
    text = (REPOSITORY / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert PROJECT["license"] == "Apache-2.0"
    assert {"LICENSE", "NOTICE"} <= set(PROJECT["license-files"])
    for path in PROJECT["license-files"]:
        assert (REPOSITORY / path).stat().st_size > 0, path


@pytest.mark.parametrize("name, licence", [
    ("espeak-ng", "GPL-3.0-or-later"), ("jieba", "MIT"), ("pypinyin", "MIT"),
    ("audio-cmn", "CC BY-SA"),
])
def test_the_notice_names_what_is_used(name, licence):
    lines = (REPOSITORY / "NOTICE").read_text().splitlines()
    assert any(line.split()[:1] == [name] and licence in line for line in lines)


def test_the_notice_names_the_speakers():
    text = " ".join((REPOSITORY / "NOTICE").read_text().split())
    assert "Yue Tan" in text and "Chen Wang" in text and "never redistributed" in text


@pytest.mark.parametrize("requirement", requirements())
def test_the_notice_names_every_dependency(requirement):
    words = re.findall(r"[\w-]+", (REPOSITORY / "NOTICE").read_text().lower())
    name = name_of(requirement).lower()
    assert name in words or f"python-{name}" in words


def test_the_licence_of_the_model():
    text = (REPOSITORY / "models" / "LICENSE").read_text()
    assert "CC BY-SA" in text and "Yue Tan" in text and "audio-cmn" in text


# The README and the pages in docs/


PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_blank_is_left_in_a_page(page):
    assert re.findall(r"@\w+@?|TODO|XXX", page.read_text()) == []


def headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_in_a_page_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)", page.read_text())
    local = [(page.parent / target if target else page, anchor)
             for target, anchor in links if "://" not in target]
    assert [path for path, _ in local if not path.exists()] == []
    assert [(path, anchor) for path, anchor in local if anchor and anchor not in headings(path)] == []


FOLDERS = "ramospeech|tools|benchmarks|tests|docs|notebooks|data_config|models|findings"
PACKAGES = "|".join(path.parent.name for path in sorted((REPOSITORY / "ramospeech").glob("*/__init__.py")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_in_a_page_exist(page):
    """From the root; in docs/ also from ramospeech/, as these pages say."""
    roots = [REPOSITORY] if page.parent == REPOSITORY else [REPOSITORY, REPOSITORY / "ramospeech"]
    paths = re.findall(rf"(?<![\w./-])(?:{FOLDERS}|{PACKAGES})/[\w./-]*[\w/]", page.read_text())
    assert paths
    assert [path for path in paths if not any((root / path).exists() for root in roots)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_targets_in_a_page_are_in_the_makefile(page):
    targets = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)`", page.read_text()))
    makefile = (REPOSITORY / "Makefile").read_text()
    assert targets or page.name != "README.md"
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.M)] == []


COMMANDS = [line for page in PAGES for block in re.findall(r"^```\n(.*?)^```", page.read_text(), re.M | re.S)
            for line in block.replace("\\\n", " ").splitlines() if re.match(r"(\$ )?ramospeech ", line)]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_in_a_page_are_understood(command):
    _, *arguments = shlex.split(command.removeprefix("$ "), comments=True)
    assert build_parser().parse_args(arguments).run


ELSEWHERE = {"setup.py", "safe_shell_exec.py"}  # files of Horovod
NOT_HERE = {"06_distributed_training.py", "NAME.py"}  # exported; a placeholder


def test_source_files_that_code_and_notebooks_name_exist():
    names = {Path(path).name for path in tracked_files()} | ELSEWHERE | NOT_HERE
    assert [f"{file}: {name}" for file, text in sources().items()
            for name in re.findall(r"\w+\.py\b", text) if name not in names] == []


def test_the_diagram_shows_what_imports_what():
    """Every arrow is an import, and every import is an arrow or follows from several."""
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    arrows = set(re.findall(r"^ +(\w+) --> (\w+)$", page, re.M))
    found = {(package_of(module), package_of(other)) for module, others in GRAPH.items() for other in others}
    found = {(upper, lower) for upper, lower in found if upper not in (lower, "__main__")}
    assert arrows <= found
    below = {package: {package} for floor in FLOORS for package in floor}
    for package in below:  # from the lowest floor up
        below[package] |= {far for upper, lower in arrows if upper == package for far in below[lower]}
    assert [(upper, lower) for upper, lower in found if lower not in below[upper]] == []


def test_the_page_on_architecture_has_every_package_on_its_floor():
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.M)
    assert {(int(floor), package) for floor, package in rows} == {
        (number + 1, package) for package, number in FLOOR.items() if package != "__main__"}


# The notebooks


NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_was_run_from_top_to_bottom(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_notebook_ends_in_an_error_or_a_warning(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


SHOWING = {"print", "display", "show", "show_source", "show_versions", "play", "play_all"}


def shows_something(source: str) -> bool:
    """Whether a cell prints, plots or plays; a function's body counts only if it is called."""
    statements = ast.parse(re.sub(r"^[%!].*$", "", source, flags=re.M)).body
    plain = [node for node in statements if not isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    calls = [node.func for statement in plain for node in ast.walk(statement)
             if isinstance(node, ast.Call)]
    called = {getattr(call, "id", None) or getattr(call, "attr", None) for call in calls}
    return bool(called & SHOWING)


def test_no_cell_of_a_notebook_lost_its_output(notebook):
    lost = [cell.source for cell in code_cells(notebook)
            if shows_something(cell.source) and not cell.outputs]
    assert lost == []


def test_cells_are_small_and_explained(notebook):
    code = code_cells(notebook)
    assert [cell.source for cell in code if len(cell.source.splitlines()) > 30] == []
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    assert sum(len(cell.source) for cell in prose) > sum(len(cell.source) for cell in code)


def test_formulas_have_single_backslashes(notebook):
    """A double one ends the line, and the command's name is shown instead of the symbol."""
    formulas = [formula for cell in notebook.cells if cell.cell_type == "markdown"
                for formula in re.findall(r"\$+[^$]+\$+", cell.source)]
    assert [formula for formula in formulas if re.search(r"\\\\[A-Za-z]", formula)] == []


def test_a_notebook_has_one_headline(notebook):
    (headline,) = [cell for cell in code_cells(notebook)
                   if "headline" in cell.metadata.get("tags", [])]
    assert "".join(output.get("text", "") for output in headline.outputs).strip()


def test_no_notebook_shows_where_it_was_run(notebook):
    for cell in code_cells(notebook):
        for output in cell.outputs:
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert not re.search(r"/(home|root|tmp|work|Users)/", text), cell.source


def test_notebooks_import_public_names_only(notebook):
    modules = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts): path for path in MODULES}
    trees = [ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M)) for cell in code_cells(notebook)]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [f"{node.module}: {alias.name}" for node in imports if node.module in modules
            for alias in node.names if alias.name not in public_names(modules[node.module])] == []


def test_notebooks_define_nothing_that_the_module_has(notebook):
    """Definitions are not duplicated. (`prepare`, which every corpus has, does not count.)"""
    in_module = Counter(
        node.name for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    )
    in_one_file = {name for name, count in in_module.items() if count == 1} - {"main"}
    for cell in code_cells(notebook):
        tree = ast.parse(re.sub(r"^[%!].*$", "", cell.source, flags=re.M))
        defined = {node.name for node in ast.walk(tree)
                   if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        assert defined & in_one_file == set(), cell.source


# What is installed


def build_wheel(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--no-index", "--wheel-dir", folder, REPOSITORY],
        check=True, capture_output=True,
    )
    (wheel,) = folder.glob("ramospeech-*.whl")
    return wheel


def test_a_wheel_holds_what_the_package_needs(tmp_path):
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = set(wheel.namelist())
        syllables = wheel.read("ramospeech/data_config/syllables.txt")
    assert syllables == (REPOSITORY / "data_config" / "syllables.txt").read_bytes()
    for path in (REPOSITORY / "ramospeech").rglob("*"):
        assert path.suffix not in (".py", ".html") or str(path.relative_to(REPOSITORY)) in names
    for path in (*(REPOSITORY / "data_config").glob("*.txt"),
                 *(REPOSITORY / "models").glob("*.safetensors"), REPOSITORY / "models/LICENSE"):
        assert f"ramospeech/{path.relative_to(REPOSITORY)}" in names
    for licence in ("LICENSE", "NOTICE", "models/LICENSE"):
        assert any(name.endswith(f".dist-info/licenses/{licence}") for name in names)
    assert not any(name.startswith(("tests", "notebooks", "tools")) for name in names)
