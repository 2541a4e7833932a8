"""The training script, exported from notebook 6 by the command that `make export` runs."""

import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from test_house import REPOSITORY

NOTEBOOK = REPOSITORY / "notebooks" / "06_distributed_training.ipynb"


def export_script(folder: Path) -> Path:
    """Write the script into `folder`, and return its path."""
    script = folder / f"{NOTEBOOK.stem}.py"
    script.write_text(_exported(), encoding="utf-8")
    return script


def export_arguments() -> list[str]:
    """Return what `make export` passes to Python."""
    printed = subprocess.run(["make", "--dry-run", "export"], cwd=REPOSITORY, capture_output=True, text=True,
                             check=True).stdout.replace("\\\n", " ")
    (line,) = [line for line in printed.splitlines() if "nbconvert" in line]
    return shlex.split(line)[1:]


@cache
def _exported() -> str:
    with TemporaryDirectory() as folder:
        arguments = [folder if word == "build" else word for word in export_arguments()]
        subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, check=True)
        return (Path(folder) / f"{NOTEBOOK.stem}.py").read_text(encoding="utf-8")
