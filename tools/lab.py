"""Create the working copies of the notebooks that `make lab` opens.

    python -m tools.lab [--fresh]

They are in `lab/`, which git ignores, so that work in them affects neither `make test` nor `git pull`. A
copy is made once and never overwritten; if its notebook has changed since, a message says so.
"""

import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

from ramospeech.config.paths import NOTEBOOKS, REPOSITORY
from ramospeech.utils.files import write_text

LAB = REPOSITORY / "lab"
MADE_FROM = ".made_from.json"  # for each copy, the hash of the notebook that it was made from


def main(arguments: list[str]) -> int:
    """Create missing copies; with --fresh, move the old ones to another folder first."""
    if arguments not in ([], ["--fresh"]):
        print("usage: python -m tools.lab [--fresh]", file=sys.stderr)
        return 2
    if arguments and (aside := put_aside(LAB)):
        print(f"your copies are now in {aside.name}/")
    for name in copy_missing(NOTEBOOKS, LAB):
        print(f"lab/{name} is a copy of an older notebook. Your copy is kept; for a new one, rename or"
              " delete it, or replace all of them: make lab-fresh")
    return 0


def put_aside(lab: Path) -> Path | None:
    """Rename the folder of copies; return its new path, or None if there is none."""
    if not lab.exists():
        return None
    return lab.rename(lab.with_name(f"{lab.name}-{time.strftime('%Y-%m-%d-%H%M%S')}"))


def copy_missing(notebooks: Path, lab: Path) -> list[str]:
    """Copy the notebooks missing in `lab`; return the names of copies whose notebook has changed."""
    lab.mkdir(exist_ok=True)
    record = lab / MADE_FROM
    made_from = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    changed = []
    for path in sorted(notebooks.glob("*.ipynb")):
        now = hashlib.sha256(path.read_bytes()).hexdigest()
        if not (lab / path.name).exists():
            shutil.copyfile(path, lab / path.name)
            made_from[path.name] = now
        elif made_from.get(path.name) != now:
            changed.append(path.name)
    write_text(record, json.dumps(made_from, indent=1) + "\n")
    return changed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
