"""`make horovod` without compiling: patches, the cached wheel, error messages."""

import subprocess
import sys
import tarfile
from importlib import metadata
from io import BytesIO
from pathlib import Path

import pytest

from tools import build_horovod
from tools.build_horovod import CPP_17, NO_CUDA, STOP_GENTLY, CannotBuild, change


@pytest.fixture
def source(tmp_path) -> Path:
    """Files with the lines to be patched, and others."""
    for name, old, _ in CPP_17 + NO_CUDA + STOP_GENTLY:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text() if path.exists() else "first\n"
        path.write_text(f"{before}{old}\nlast\n")
    return tmp_path


def test_lines_are_changed_and_others_stay(source):
    change(source, CPP_17 + NO_CUDA)
    assert (source / "CMakeLists.txt").read_text() == "first\nset(CMAKE_CXX_STANDARD 17)\nlast\n"
    assert "set(Pytorch_CUDA FALSE)" in (source / "cmake/Modules/FindPytorch.cmake").read_text()


@pytest.mark.parametrize("filters", [True, False])
def test_a_release_is_unpacked(monkeypatch, tmp_path, filters):
    """Also by Python 3.11.2, which has no filters for archives."""
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        entry = tarfile.TarInfo(f"horovod-{build_horovod.VERSION}/setup.py")
        entry.size = 4
        file.addfile(entry, BytesIO(b"code"))
    folder = build_horovod.unpack(tmp_path / "a.tar.gz", tmp_path)
    assert (folder / "setup.py").read_bytes() == b"code"


def test_another_release_is_refused(source):
    (source / "CMakeLists.txt").write_text("set(CMAKE_CXX_STANDARD 20)\n")
    with pytest.raises(CannotBuild, match="CMakeLists.txt has no line 'set.CMAKE_CXX_STANDARD 14.'"):
        change(source, CPP_17)


def test_a_wheel_is_kept_for_a_python_a_torch_and_a_horovod(monkeypatch):
    wheel = build_horovod.kept_wheel()
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert f"torch-{metadata.version('torch')}" in str(wheel)
    assert wheel.name.startswith(f"horovod-{build_horovod.VERSION}-{python}-")
    monkeypatch.setattr(build_horovod.metadata, "version", lambda name: "9.9.9")
    assert "torch-9.9.9" in str(build_horovod.kept_wheel())


@pytest.mark.parametrize("missing, said", [
    ("g++", "apt install g++"), ("make", "apt install make"),
])
def test_what_is_missing_is_said(monkeypatch, capsys, tmp_path, missing, said):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(build_horovod, "kept_wheel", lambda: tmp_path / "none.whl")
    monkeypatch.setattr(build_horovod.shutil, "which", lambda tool: None if tool == missing else tool)
    assert build_horovod.main() == 1
    error = capsys.readouterr().err
    assert said in error and "on one process" in error and "Traceback" not in error


def test_a_build_that_fails_leaves_no_wheel(monkeypatch, capsys, tmp_path):
    wheel = tmp_path / "kept" / "horovod.whl"

    def fail(command, **_):
        return subprocess.CompletedProcess(command, 1, stdout="no such index\n")

    monkeypatch.setattr(build_horovod, "kept_wheel", lambda: wheel)
    monkeypatch.setattr(build_horovod.subprocess, "run", fail)
    assert build_horovod.main() == 1
    assert "no such index" in capsys.readouterr().err and list(wheel.parent.iterdir()) == []
