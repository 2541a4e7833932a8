"""Working copies of the notebooks, as `make lab` opens them.

    python -m tools.lab [--fresh]

They lie in `lab/`, which git ignores: what is solved, tried and saved there spoils neither `make test`
nor `git pull`. A copy is made once and never overwritten; one whose notebook has changed since is named.
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
MADE_OF = ".made_of.json"  # for each copy the hash of the notebook that it was made of


def main(arguments: list[str]) -> int:
    """Make what copies are missing; with --fresh, put the old ones aside before that."""
    if arguments not in ([], ["--fresh"]):
        print("usage: python -m tools.lab [--fresh]", file=sys.stderr)
        return 2
    if arguments and (aside := put_aside(LAB)):
        print(f"your copies are now in {aside.name}/")
    for name in copy_missing(NOTEBOOKS, LAB):
        print(f"lab/{name} was made of an older notebook. Your copy is kept; for a new one rename or"
              " delete it, or put all of them aside: make lab-fresh")
    return 0


def put_aside(lab: Path) -> Path | None:
    """Rename the folder of copies, and return its new path; None where there is none."""
    if not lab.exists():
        return None
    return lab.rename(lab.with_name(f"{lab.name}-{time.strftime('%Y-%m-%d-%H%M%S')}"))


def copy_missing(notebooks: Path, lab: Path) -> list[str]:
    """Copy the notebooks that `lab` lacks; returns the names of those that have changed since."""
    lab.mkdir(exist_ok=True)
    record = lab / MADE_OF
    made_of = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    changed = []
    for path in sorted(notebooks.glob("*.ipynb")):
        now = hashlib.sha256(path.read_bytes()).hexdigest()
        if not (lab / path.name).exists():
            shutil.copyfile(path, lab / path.name)
            made_of[path.name] = now
        elif made_of.get(path.name) != now:
            changed.append(path.name)
    write_text(record, json.dumps(made_of, indent=1) + "\n")
    return changed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
