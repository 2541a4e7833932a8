"""The exercises of the notebooks: a check says "not yet" to the task as it stands, "right" to its solution.

A cell tagged `exercise` is followed by one tagged `check`, and that by the solution in a text cell.
"""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def exercises() -> list:
    found = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for place, cell in enumerate(cells):
            if "exercise" in cell.metadata.get("tags", []):
                found.append(pytest.param(*cells[place : place + 3], id=f"{path.stem}-{place}"))
    return found


def run(capsys: pytest.CaptureFixture, *sources: str) -> str:
    names: dict = {}
    for source in sources:
        exec(source, names)
    return capsys.readouterr().out


@pytest.mark.parametrize("task, check, text", exercises())
def test_a_check_tells_right_from_wrong(task, check, text, capsys):
    assert "check" in check.metadata.get("tags", [])
    [solution] = re.findall(r"<details>.*?```python\n(.*?)```.*?</details>", text.source, re.DOTALL)
    assert run(capsys, task.source, check.source).startswith("not yet")
    assert run(capsys, task.source, solution, check.source) == "right\n"
