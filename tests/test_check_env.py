"""`make check-env`: a row for each requirement, and a command for each missing one."""

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tools import check_env

SCRIPT = Path(check_env.__file__)


def test_everything_needed_is_here():
    """Run it as make does: as a file, from any folder."""
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for name in ("Python", "disk", "torch", "torchaudio", "soundfile", "pytest", "C++ compiler",
                 "Horovod", "GPU", "corpus mini", "corpus audio-cmn"):
        assert any(line.startswith(name) for line in done.stdout.splitlines()), name
    assert "MISSING" not in done.stdout


def test_make_may_ask_before_anything_is_installed():
    """With the standard library only: -I -S hides all installed packages."""
    done = subprocess.run([sys.executable, "-I", "-S", SCRIPT, "--can-set-up"],
                          capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_packages_the_table_says_what_to_do():
    done = subprocess.run([sys.executable, "-I", "-S", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == ""
    lines = done.stdout.splitlines()
    (row,) = [number for number, line in enumerate(lines) if line.startswith("torch ")]
    assert "MISSING" in lines[row] and lines[row + 1].endswith("make setup")


def test_an_old_python_gets_as_far_as_to_be_told():
    ast.parse(SCRIPT.read_text(), feature_version=(3, 7))


def row(checks: list[check_env.Check], name: str) -> check_env.Check:
    return next(check for check in checks if check.name == name)


@pytest.mark.parametrize("version, present", [
    ("2.11.0", True), ("2.11.0+cpu", True), ("2.10.0", False), (None, False),
])
def test_a_pin_is_checked(monkeypatch, version, present):
    monkeypatch.setattr(check_env, "_version", lambda package: version)
    assert row(check_env.check_packages(), "torch").present == present


def test_extras_that_the_set_up_leaves_out_are_not_needed(monkeypatch):
    monkeypatch.setattr(check_env, "_version", lambda package: None)
    checks = check_env.check_packages()
    assert row(checks, "torch").needed and row(checks, "pytest").needed
    assert not row(checks, "gradio").needed and "'.[demo]'" in row(checks, "gradio").fix


def test_what_is_missing_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(check_env, "DISK_NEEDED_GB", 10**9)
    monkeypatch.setattr(check_env, "_is_set_up", lambda: False)
    monkeypatch.setattr(sys, "argv", ["check_env.py", "--can-set-up"])
    assert check_env.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("disk is missing") and "free 1000000000 GB" in line


def test_what_only_some_need_may_be_missing(monkeypatch, capsys):
    monkeypatch.setattr(check_env.shutil, "which", lambda tool: None)
    monkeypatch.setattr(check_env, "_first_line", lambda *command: "missing")
    monkeypatch.setattr(sys, "argv", ["check_env.py"])
    assert check_env.main() == 0
    lines = capsys.readouterr().out.splitlines()
    (number,) = [number for number, line in enumerate(lines) if line.startswith("git ")]
    assert lines[number].split() == ["git", "-", "missing"]
    assert lines[number + 1].strip().startswith("apt install git")


def test_versions_are_those_of_the_packages():
    assert row(check_env.check_packages(), "torch").found == metadata.version("torch")
