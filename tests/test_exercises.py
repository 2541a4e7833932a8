"""Exercises of the notebooks: a check tells the task as it stands from its solution.

A cell tagged `exercise` is followed by its check, and that by a text cell with the solution. They
need nothing of the notebook but what it imports.
"""

import ast
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def imports(cells: list) -> str:
    """The import statements at the top level of code cells."""
    statements = []
    for cell in cells:
        if cell.cell_type == "code":
            statements += [node for node in ast.parse(cell.source).body
                           if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(map(ast.unparse, statements))


def exercises() -> list:
    found = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        for place, cell in enumerate(cells):
            if "exercise" in cell.metadata.get("tags", []):
                check, text = cells[place + 1], cells[place + 2]
                found.append(pytest.param(imports(cells[:place]), cell.source, check.source,
                                          text.source, id=f"{path.stem}-{place}"))
    return found


def verdict(capsys: pytest.CaptureFixture, *sources: str) -> str:
    names: dict = {}
    for source in sources:
        exec(source, names)
    return capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("prelude, task, check, text", exercises())
def test_a_check_tells_right_from_wrong(prelude, task, check, text, capsys):
    solution = re.search(r"<details>.*?```python\n(.*?)```.*?</details>", text, re.DOTALL)[1]
    assert verdict(capsys, prelude, task, check).startswith("not yet")
    assert verdict(capsys, prelude, task, solution, check) == "right"
