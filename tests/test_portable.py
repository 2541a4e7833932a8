"""The quick notebooks on another processor, from the repository's root. Run by `make test-portable`.

Everything that is compared must come out as committed: text as it stands, and what figures draw
(`data/drawn.json`) within a tolerance. To write the latter anew, after a notebook has changed:

    python tests/test_portable.py
"""

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from test_house import NOTEBOOKS, REPOSITORY, code_cells

from tools.tutorial import CELL_TIMEOUT

TESTS = Path(__file__).parent
DRAWN = TESTS / "data" / "drawn.json"
# Those that train nothing, so that their values hang on the processor by last bits alone.
QUICK = ("01_data", "02_features", "05_beam_decoders", "07_speech_to_text")

pytestmark = pytest.mark.portable


def ignored(cell) -> bool:
    return "nbval-ignore-output" in cell.metadata.get("tags", [])


def run(path: Path) -> tuple[list, list[dict]]:
    """The code cells of a notebook after it ran, and what its figures drew, but for ignored cells."""
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    first = new_code_cell("import drawn, last_bits\ndrawn.watch()\nlast_bits.LastBits().__enter__()")
    last = new_code_cell("import json\nprint(json.dumps(drawn.figures))")
    notebook.cells = [first, *notebook.cells, last]
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT, resources={"metadata": {"path": REPOSITORY}})
    paths = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    client.execute(env=os.environ | {"TQDM_DISABLE": "1", "PYTHONPATH": paths})
    figures = json.loads(last.outputs[0].text)
    return cells, [figure for figure in figures if not ignored(cells[figure["cell"] - 2])]


def comparable(cell) -> tuple[str, list[dict]]:
    """What a cell printed, and what else it shows that is no picture."""
    shown = [output.data for output in cell.outputs if "data" in output]
    return ("".join(output.get("text", "") for output in cell.outputs),
            [{kind: value for kind, value in data.items() if kind != "image/png"} for data in shown])


def different(found, expected) -> list[str]:
    """Where two descriptions of figures differ by more than a thousandth; nothing where they do not."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return [f"{key}: {place}" for key in expected for place in different(found[key], expected[key])]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [f"{place}: {rest}" for place, pair in enumerate(zip(found, expected))
                for rest in different(*pair)]
    if isinstance(expected, float) and isinstance(found, float):
        return [] if found == pytest.approx(expected, rel=1e-3, abs=1e-3) else [f"{found}, not {expected}"]
    return [] if found == expected else [f"{found!r}, not {expected!r}"]


@pytest.mark.parametrize("name", QUICK)
def test_a_notebook_shows_on_another_processor_what_it_shows_here(name):
    path = REPOSITORY / "notebooks" / f"{name}.ipynb"
    committed = code_cells(nbformat.read(path, as_version=4))
    cells, figures = run(path)
    for cell, before in zip(cells, committed, strict=True):
        if not ignored(cell):
            assert comparable(cell) == comparable(before), cell.source
    assert different(figures, json.loads(DRAWN.read_text())[name]) == []


def test_figures_that_draw_something_else_are_told_apart():
    (figure, *_) = json.loads(DRAWN.read_text())["02_features"]
    changed = json.loads(json.dumps(figure))
    means = changed["axes"][0]["lines"][0][1]["means"]
    means[0] += 1e-5
    assert different(changed, figure) == []
    means[0] += 0.1
    assert len(different(changed, figure)) == 1


if __name__ == "__main__":
    paths = [path for path in NOTEBOOKS if path.stem in QUICK]
    DRAWN.write_text(json.dumps({path.stem: run(path)[1] for path in paths}, indent=1) + "\n")
