"""Check what RamoSpeech needs on this machine, and print the command that installs what is missing.

    make check-env

Uses only Python's standard library, so that it runs before anything is installed.
"""

from __future__ import annotations  # so that an older Python gets far enough to report its version

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent
SET_UP = (None, "notebooks", "test")  # the extras that `make setup` installs; None: no extra
DISK_NEEDED_GB = 8  # the environment with PyTorch's CUDA libraries, and working space


class Check(NamedTuple):
    name: str
    present: bool
    found: str
    fix: str = ""  # the command to run if it is missing
    needed: bool = True  # False: optional


def main() -> int:
    """Print the table; return 0 if everything required is present."""
    if "--can-set-up" in sys.argv:
        return _report_missing(check_set_up())
    checks = check_set_up()
    if checks[0].present:
        checks += check_packages() + check_extras()
    print_table(checks)
    print_build()
    return 0 if all(check.present for check in checks if check.needed) else 1


def check_set_up() -> list[Check]:
    """What `make` needs before it can install anything."""
    version = ".".join(map(str, sys.version_info[:3]))
    free = shutil.disk_usage(REPOSITORY).free / 1e9
    return [
        Check("Python 3.11 or 3.12", (3, 11) <= sys.version_info[:2] <= (3, 12), version,
              "apt install python3.11 python3.11-venv (or: make PYTHON=/path/to/python3.11 ...)"),
        Check("venv", _has("venv") and _has("ensurepip"), "part of Python's standard library",
              f"apt install python3.{sys.version_info[1]}-venv"),
        Check("disk", _is_set_up() or free >= DISK_NEEDED_GB, f"{free:.0f} GB free",
              f"free {DISK_NEEDED_GB} GB on the disk that holds the repository"),
    ]


def check_packages() -> list[Check]:
    """Check the packages that pyproject.toml declares, and their pinned versions."""
    checks = []
    for requirement, extra in _requirements():
        name = re.split(r"[^\w-]", requirement, maxsplit=1)[0]
        found = _version(name)
        pinned = re.search(r"==([\w.]+)", requirement)
        right = found is not None and (not pinned or found.split("+")[0] == pinned[1])
        needed = extra in SET_UP
        fix = _setup_command() if needed else f"pip install --editable '.[{extra}]'"
        checks.append(Check(name, right, found or "missing", fix, needed))
    return checks


def check_extras() -> list[Check]:
    """Check what is optional: a compiler and Horovod for several workers, a GPU, real corpora."""
    return [
        Check("C++ compiler", shutil.which("g++") is not None, _first_line("g++", "--version"),
              "apt install g++ (needed to build Horovod)", needed=False),
        Check("git", shutil.which("git") is not None, _first_line("git", "--version"),
              "apt install git (needed to download audio-cmn)", needed=False),
        Check("Horovod", _version("horovod") is not None, _version("horovod") or "missing",
              "make horovod (not needed for one process)", needed=False),
        _check_gpu(),
        *_check_corpora(),
    ]


def _check_gpu() -> Check:
    if not _has("torch"):
        return Check("GPU", False, "unknown without torch", "make setup", needed=False)
    import torch

    present = torch.cuda.is_available()
    return Check("GPU", present, torch.cuda.get_device_name() if present else "none",
                 "optional; for an NVIDIA card install its driver", needed=False)


def _check_corpora() -> list[Check]:
    if not _has("ramospeech") or not _has("pypinyin"):
        return [Check("corpora", False, "unknown before setup", "make setup", needed=False)]
    from ramospeech.data.corpora import CORPORA

    return [_check_corpus(name) for name in CORPORA]


def _check_corpus(name: str) -> Check:
    from ramospeech.config.paths import data_dir
    from ramospeech.data.corpora import get_corpus

    fix = "created on first use" if name == "mini" else get_corpus(name).how_to_get()
    try:
        present = get_corpus(name).is_prepared()
        found = str(data_dir() / name) if present else "not prepared"
    except (OSError, ValueError) as error:
        present, found = False, str(error)
    return Check(f"corpus {name}", present, found, fix, needed=False)


def print_table(checks: list[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark = "ok" if check.present else "MISSING" if check.needed else "-"
        print(f"{check.name:{width}}  {mark:7}  {check.found}")
        if not check.present:
            print(f"{'':{width}}           {check.fix}")


def print_build() -> None:
    """Print the options that Horovod was built with, if it is installed."""
    command = Path(sys.executable).with_name("horovodrun")
    if command.exists():
        print(f"\n$ {command.name} --check-build")
        print(subprocess.run([command, "--check-build"], capture_output=True, text=True).stdout)


def _report_missing(checks: list[Check]) -> int:
    """Print one line for each missing item to standard error."""
    missing = [check for check in checks if not check.present]
    for check in missing:
        print(f"{check.name} is missing (found: {check.found}). {check.fix}", file=sys.stderr)
    return 1 if missing else 0


def _requirements() -> list[tuple[str, str | None]]:
    """Return every requirement in pyproject.toml with the extra that it belongs to."""
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {None: project["dependencies"], **project["optional-dependencies"]}
    return [(item, extra) for extra, items in extras.items() for item in items]


def _setup_command() -> str:
    """`make setup` does nothing if .venv/ready says that it is done."""
    done = (REPOSITORY / ".venv" / "ready").exists()
    return "rm -rf .venv && make setup" if done else "make setup"


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _is_set_up() -> bool:
    return (REPOSITORY / ".venv" / "ready").exists() or "CONDA_PREFIX" in os.environ


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _first_line(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]
    except (OSError, IndexError):
        return "missing"


if __name__ == "__main__":
    # Run as a file, Python searches this folder first, but the package is one level up.
    sys.path[0] = str(REPOSITORY)
    sys.exit(main())
