"""The runner of the notebooks, on small notebooks."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tools import tutorial


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder to run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_notebook(name: str, *sources: str, headline: str = "") -> str:
    """Write a notebook of code cells; the output of the cell `headline` goes into the table."""
    cells = [new_markdown_cell("# A title"), *map(new_code_cell, sources)]
    if headline:
        cells.append(new_code_cell(headline, metadata={"tags": ["headline"]}))
    path = Path("lessons") / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return str(path)


def row_of(name: str, table: str) -> str:
    return next(line for line in table.splitlines() if line.startswith(f"{name} "))


def test_notebooks_are_run_and_headlines_shown(folder, capfd):
    first = write_notebook(
        "01_first", "import os\nnumber = 6 * 7\nprint(os.path.basename(os.getcwd()))",
        headline="print(f'the answer is {number}')\nprint('and more')",
    )
    before = Path(first).read_bytes()
    assert tutorial.main([first]) == 0
    printed = capfd.readouterr().out
    assert row_of("01_first", printed).endswith("  the answer is 42")
    assert "build" in printed.splitlines()[-1]

    assert sorted(os.listdir("build")) == ["01_first.html", "01_first.ipynb"]
    executed = nbformat.read("build/01_first.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells[1:]] == [1, 2]
    assert executed.cells[1].outputs[0].text == f"{folder.name}\n"  # not in the notebook's folder
    assert "the answer is 42" in Path("build/01_first.html").read_text()
    assert Path(first).read_bytes() == before  # the notebook itself is unchanged


def test_a_notebook_that_fails_is_named_and_the_others_run(folder, capfd, monkeypatch):
    monkeypatch.setattr(tutorial, "CELL_TIMEOUT", 5)
    bad = write_notebook("01_bad", "print('so far')", "raise ValueError('too long\\na story')")
    slow = write_notebook("02_slow", "import time\ntime.sleep(60)")
    dead = write_notebook("03_dead", "import os\nos._exit(9)")
    good = write_notebook("04_good", "print('fine')", headline="print('done')")
    assert tutorial.main([bad, slow, dead, good]) == 1
    printed = capfd.readouterr().out
    assert row_of("01_bad", printed).endswith("failed: ValueError: too long")
    assert "failed: " in row_of("02_slow", printed)
    assert "failed: " in row_of("03_dead", printed)
    assert row_of("04_good", printed).endswith("done")
    executed = nbformat.read("build/01_bad.ipynb", as_version=4)  # up to the failing cell
    assert executed.cells[1].outputs[0].text == "so far\n"
    assert executed.cells[2].outputs[-1].ename == "ValueError"
    assert "so far" in Path("build/01_bad.html").read_text()


def test_without_notebooks_there_is_nothing_to_run(folder, capfd):
    assert tutorial.main([]) == 2
    assert "no notebooks given" in capfd.readouterr().out
    assert tutorial.main(["nowhere.ipynb"]) == 2
    assert "nowhere.ipynb" in capfd.readouterr().out


def test_the_headline_is_what_its_cell_printed():
    stream = nbformat.v4.new_output("stream", text="\n 9 % error\nmore\n")
    picture = nbformat.v4.new_output("display_data", data={"text/plain": "a figure"})
    tagged = new_code_cell("", metadata={"tags": ["headline"]}, outputs=[picture, stream])
    assert tutorial.find_headline(new_notebook(cells=[new_code_cell(), tagged])) == "9 % error"
    assert tutorial.find_headline(new_notebook(cells=[new_code_cell()])) == ""
    silent = new_code_cell("", metadata={"tags": ["headline"]})
    assert tutorial.find_headline(new_notebook(cells=[silent])) == ""
