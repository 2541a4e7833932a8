"""Working copies of the notebooks: created once, and never overwritten."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from test_house import NOTEBOOKS, REPOSITORY, tracked_files

from tools import lab


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    """A repository with two notebooks."""
    monkeypatch.setattr(lab, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(lab, "LAB", tmp_path / "lab")
    (tmp_path / "notebooks").mkdir()
    for name in ("01_a.ipynb", "02_b.ipynb"):
        (tmp_path / "notebooks" / name).write_text(f"{name} as it was given")
    return tmp_path


def test_copies_are_made_once_and_kept(course, capsys):
    assert lab.main([]) == 0
    assert (course / "lab" / "02_b.ipynb").read_text() == "02_b.ipynb as it was given"
    (course / "lab" / "01_a.ipynb").write_text("solved")
    assert lab.main([]) == 0
    assert (course / "lab" / "01_a.ipynb").read_text() == "solved"
    assert (course / "notebooks" / "01_a.ipynb").read_text() == "01_a.ipynb as it was given"
    assert capsys.readouterr().out == ""


def test_a_copy_of_an_older_notebook_is_named_and_kept(course, capsys):
    lab.main([])
    (course / "notebooks" / "02_b.ipynb").write_text("mended")
    lab.main([])
    assert (course / "lab" / "02_b.ipynb").read_text() == "02_b.ipynb as it was given"
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "lab/02_b.ipynb" in said and "make lab-fresh" in said


def test_a_copy_that_was_deleted_is_made_anew(course, capsys):
    lab.main([])
    (course / "notebooks" / "02_b.ipynb").write_text("mended")
    (course / "lab" / "02_b.ipynb").unlink()
    lab.main([])
    assert (course / "lab" / "02_b.ipynb").read_text() == "mended"
    assert capsys.readouterr().out == ""


def test_fresh_copies_leave_the_old_ones_in_a_folder_of_their_own(course, capsys):
    assert lab.main(["--fresh"]) == 0  # there is nothing to move yet
    assert capsys.readouterr().out == ""
    (course / "lab" / "01_a.ipynb").write_text("solved")
    assert lab.main(["--fresh"]) == 0
    (aside,) = course.glob("lab-*")
    assert aside.name in capsys.readouterr().out
    assert (aside / "01_a.ipynb").read_text() == "solved"
    assert (course / "lab" / "01_a.ipynb").read_text() == "01_a.ipynb as it was given"


def test_other_arguments_are_refused(course, capsys):
    assert lab.main(["--frsh"]) == 2
    assert "usage" in capsys.readouterr().err and not (course / "lab").exists()


@pytest.mark.parametrize("folder", ["lab", "lab-2026-01-31-120000"])
def test_git_ignores_the_copies(folder):
    tracked_files()  # skips the test without git
    path = REPOSITORY / folder / "01_data.ipynb"
    assert subprocess.run(["git", "check-ignore", "--quiet", path], cwd=REPOSITORY).returncode == 0


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_copy_lead_somewhere(path, tmp_path):
    for name in ("README.md", "docs", "data_config", "benchmarks"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    lab.copy_missing(REPOSITORY / "notebooks", tmp_path / "lab")
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells
                     if cell.cell_type == "markdown")
    local = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]
    assert local
    assert [target for target in local if not (tmp_path / "lab" / target).exists()] == []
