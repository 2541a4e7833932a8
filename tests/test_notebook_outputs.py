"""Which outputs of the notebooks are compared, and that none of these can differ with the processor.

nbval compares text, tables, source and drawings in SVG. It does not compare pictures in PNG (see
`test_portable.py` for those), nor what a cell tagged `nbval-ignore-output` shows: sounds, times, what
a network's weights come to, what is installed. What matters about these, the cell asserts.
"""

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_house import NOTEBOOKS, code_cells

WHY = {
    "sound": "a player: its samples are rounded from floats",
    "timing": "how long something took",
    "model": "what was trained here, or what a network makes of sound",
    "installed": "versions, corpora and tools of this machine, and its user's own files",
}
CELLS = [pytest.param(cell, id=f"{path.stem}-{place}") for path in NOTEBOOKS
         for place, cell in enumerate(nbformat.read(path, as_version=4).cells) if cell.cell_type == "code"]


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def is_ignored(cell) -> bool:
    return "nbval-ignore-output" in tags(cell)


def calls(source: str) -> set[str]:
    """The names of all functions and methods that a cell calls."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {getattr(function, "id", None) or getattr(function, "attr", "") for function in functions}


@pytest.mark.parametrize("cell", CELLS)
def test_an_output_is_ignored_for_a_stated_reason(cell):
    assert is_ignored(cell) == bool(tags(cell) & WHY.keys())


@pytest.mark.parametrize("cell", CELLS)
def test_sound_is_not_compared(cell):
    shown = any(sign in str(output) for output in cell.outputs for sign in ("<audio", "data:audio"))
    if shown or calls(cell.source) & {"play", "play_all", "Audio"}:
        assert "sound" in tags(cell)
    else:
        assert "sound" not in tags(cell)


@pytest.mark.parametrize("cell", CELLS)
def test_time_is_not_compared(cell):
    """A cell may take the time into a variable; one that shows it is tagged."""
    measures = calls(cell.source) & {"monotonic", "warm_up", "text_lines", "train_epoch"}
    assert "timing" not in tags(cell) or measures or "duration" in cell.source
    assert not (measures - {"train_epoch"}) or "timing" in tags(cell) or "installed" in tags(cell)


def asserts(cell) -> bool:
    """By a statement, or by what it prints, which is compared: `at most 10 %: True`."""
    printed = "".join(output.get("text", "") for output in cell.outputs)
    stated = any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))
    return stated or (not is_ignored(cell) and printed.endswith("True\n"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_a_network_says_is_asserted_where_it_is_not_compared(path):
    """In the cell itself, or in the next one."""
    cells = code_cells(nbformat.read(path, as_version=4))
    assert [cell.source for cell, after in pairwise(cells)
            if "model" in tags(cell) and "installed" not in tags(cell)
            and not asserts(cell) and not asserts(after)] == []


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_compared_is_text_or_a_drawing(cell):
    if not is_ignored(cell):
        kinds = {kind for output in cell.outputs for kind in output.get("data", {})}
        assert kinds <= {"text/plain", "text/markdown", "text/html", "image/png"}


# nbval itself


def nbval(folder: Path, *outputs, **metadata) -> bool:
    """Whether nbval takes these outputs for those of a cell that prints 1.25 and shows a picture."""
    source = ("from IPython.display import Image, display\nprint(1.25)\n"
              "display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + bytes(100), format='png', width=1, height=1))")
    cell = new_code_cell(source, outputs=list(outputs), metadata=metadata, execution_count=1)
    nbformat.write(new_notebook(cells=[cell]), folder / "one.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "-p", "no:cacheprovider", "one.ipynb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 0


def outputs(text: str, plain: str = "<IPython.core.display.Image object>") -> list:
    return [new_output("stream", text=text),
            new_output("display_data", data={"image/png": "another picture", "text/plain": plain})]


def test_nbval_compares_text_and_no_pictures(tmp_path):
    assert nbval(tmp_path, *outputs("1.25\n"))
    assert not nbval(tmp_path, *outputs("1.26\n"))
    assert not nbval(tmp_path, *outputs("1.25\n", plain="<Figure size 640x480 with 1 Axes>"))
    assert nbval(tmp_path, *outputs("1.26\n"), tags=["nbval-ignore-output"])
