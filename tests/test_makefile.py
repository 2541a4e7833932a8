"""`make`: when it sets up and when it does not, with a fake interpreter that records its arguments."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from exported import NOTEBOOK, export_arguments

REPOSITORY = Path(__file__).resolve().parent.parent
PROCESSOR = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "NUMBA_CPU_NAME")
# These tests may themselves run under make, as on an old processor: do not pass on its variables.
NOT_HANDED_ON = ("MAKE", "MFLAGS", "VIRTUAL_", "CONDA_", *PROCESSOR)
NOTING = """#!/bin/sh
echo "$*" >> {notes}
case "$*" in
  *alive*) echo alive ;;
  "-m venv --clear "*) rm -rf .venv && mkdir -p .venv/bin && cp {stub} .venv/bin/python ;;
  *check_env.py*) exec {python} -I -S "$@" ;;
esac
"""


@pytest.fixture
def house(tmp_path) -> Path:
    """The files that make needs, and a Python that records what it is asked to do."""
    for name in ("Makefile", "pyproject.toml", "tools/check_env.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "notebooks").mkdir()
    for name in ("02_b.ipynb", "01_a.ipynb"):
        (tmp_path / "notebooks" / name).touch()
    stub = tmp_path / "stub"
    stub.write_text(NOTING.format(notes=tmp_path / "notes", stub=stub, python=sys.executable))
    stub.chmod(0o755)
    return tmp_path


def make(house: Path, target: str, *flags: str) -> tuple[int, list[str], str]:
    """Return the exit status, what Python was asked to do, and standard error."""
    (house / "notes").unlink(missing_ok=True)
    done = subprocess.run(["make", f"PYTHON={house / 'stub'}", *flags, target], cwd=house,
                          capture_output=True, text=True,
                          env={name: value for name, value in os.environ.items()
                               if not name.startswith(NOT_HANDED_ON)})
    notes = (house / "notes").read_text().splitlines() if (house / "notes").exists() else []
    return done.returncode, [note for note in notes if "alive" not in note], done.stderr


def sets_up(notes: list[str]) -> bool:
    return any(note.startswith("-m venv") for note in notes) and any(
        note.startswith("-m pip install") and ".[notebooks,test]" in note for note in notes)


def test_it_sets_up_where_there_is_nothing_and_only_once(house):
    status, notes, _ = make(house, "setup")
    assert status == 0 and sets_up(notes)
    assert make(house, "setup")[:2] == (0, [])


def test_it_sets_up_again_where_the_pins_have_changed(house):
    make(house, "setup")
    later = (house / ".venv" / "ready").stat().st_mtime + 10
    os.utime(house / "pyproject.toml", (later, later))
    assert sets_up(make(house, "setup")[1])


@pytest.mark.parametrize("how", ["gone", "broken"])
def test_it_sets_up_again_where_the_interpreter_has_gone(house, how):
    make(house, "setup")
    python = house / ".venv" / "bin" / "python"
    python.unlink()
    if how == "broken":  # a link to a Python that was since removed
        python.symlink_to("/nowhere/python3.11")
    assert sets_up(make(house, "setup")[1])


def test_a_set_up_that_failed_is_begun_again(house):
    stub = (house / "stub").read_text()
    (house / "stub").write_text(stub.replace("esac", "  *pip*) exit 1 ;;\nesac"))
    assert make(house, "setup")[0] != 0
    (house / "stub").write_text(stub)
    status, notes, _ = make(house, "setup")
    assert status == 0 and sets_up(notes)


def test_set_up_builds_horovod_and_does_without(house):
    stub = (house / "stub").read_text()
    (house / "stub").write_text(stub.replace("esac", "  *build_horovod*) exit 1 ;;\nesac"))
    status, notes, _ = make(house, "setup")
    assert status == 0 and notes[-1] == "-m tools.build_horovod"
    assert make(house, "setup")[:2] == (0, [])  # and does not retry every time
    assert make(house, "horovod")[0] != 0


def test_tutorial_runs_the_notebooks_in_order(house):
    make(house, "setup")
    _, notes, _ = make(house, "tutorial")
    assert notes == ["-m tools.tutorial notebooks/01_a.ipynb notebooks/02_b.ipynb"]


def test_export_is_the_command_that_notebook_6_shows(house):
    make(house, "setup")
    _, (command,), _ = make(house, "export")
    assert command.split() == export_arguments()
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert any(command in " ".join(cell.source.split()) for cell in cells)


def test_test_runs_the_tests_and_the_notebooks(house):
    make(house, "setup")
    _, (*_, ruff, mypy, _, command), _ = make(house, "test")
    assert ruff.startswith("-m ruff check") and mypy.startswith("-m mypy")
    assert command.startswith("-m pytest -m not slow and not portable --nbval ")
    assert command.endswith("tests notebooks")
    assert make(house, "test-slow")[1][-2:] == ["-m pytest -m slow", "-m pytest -m not slow"]


NOTING_THE_PROCESSOR = f'echo "${" $".join(PROCESSOR)}" >> {{}}'


@pytest.mark.parametrize("target, processors", [
    ("test", [""]), ("test-portable", ["", "default SSE41 SSE4_2 generic"]),
    ("test-slow", ["", "default SSE41 SSE4_2 generic"]),
])
def test_portable_tests_run_as_on_an_old_processor(house, target, processors):
    make(house, "setup")
    python, seen = house / ".venv" / "bin" / "python", house / "seen"
    noting = f"esac\ncase \"$*\" in *pytest*) {NOTING_THE_PROCESSOR.format(seen)} ;; esac"
    python.write_text(python.read_text().replace("esac", noting))
    assert make(house, target)[0] == 0
    assert [line.strip() for line in seen.read_text().splitlines()] == processors


@pytest.mark.parametrize("pip_status", [0, 1])
def test_slow_tests_try_to_have_the_page_and_run_without_it(house, pip_status):
    make(house, "setup")
    python = house / ".venv" / "bin" / "python"
    without = f"esac\ncase \"$*\" in *gradio*) exit 1 ;; *demo*) exit {pip_status} ;; esac"
    python.write_text(python.read_text().replace("esac", without))
    status, notes, said = make(house, "test-slow")
    assert status == 0 and notes[-2] == "-m pytest -m slow"
    assert notes[-3].startswith("-m pip install") and notes[-3].endswith(".[demo,browser,language]")
    assert ("the page and the tables are not tested" in said) == bool(pip_status)


def test_slow_tests_find_the_page_there(house):
    make(house, "setup")
    assert not any("pip" in note for note in make(house, "test-slow")[1])


@pytest.mark.parametrize("target, flags", [("lab", ""), ("lab-fresh", " --fresh")])
def test_lab_opens_copies_with_the_repository_as_root(house, target, flags):
    make(house, "setup")
    jupyter = house / ".venv" / "bin" / "jupyter"
    shutil.copy(house / "stub", jupyter)
    status, (copying, *rest), _ = make(house, target)
    assert status == 0 and copying == f"-m tools.lab{flags}"
    assert rest[0] == "trust lab/01_a.ipynb lab/02_b.ipynb"
    assert rest[-1].startswith("lab --ip=127.0.0.1")
    assert rest[-1].endswith("--ServerApp.root_dir=. lab/01_a.ipynb")


def test_without_python_it_says_what_to_install(house):
    status, _, said = make(house, "setup", "PYTHON=")
    assert status != 0 and "apt install python3.11 python3.11-venv" in said
    assert "Traceback" not in said


def test_help_names_every_target(house):
    printed = subprocess.run(["make", "-s"], cwd=house, capture_output=True, text=True).stdout
    named = {line.split()[1] for line in printed.splitlines()}
    assert named == {"tutorial", "test", "test-slow", "test-portable", "horovod", "export", "lab",
                     "lab-fresh", "check-env"}
