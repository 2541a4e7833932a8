"""Where a download lies while it comes, and how it gets into its folder.

A folder that is there already may be a mount point, the only disk with room: all goes inside it, and
it stays what it is. Otherwise all lies beside it, and the folder appears when all is in it.
"""

from pathlib import Path

from ramospeech.data.preparation import is_junk


def beside(target: Path, name: str) -> Path:
    """Where the file or folder `name` lies until all of `target` is there."""
    return (target if target.is_dir() else target.parent) / name


def draft_of(target: Path) -> Path:
    """The folder to fill, which `settle` brings to its place."""
    return beside(target, f"{target.name}.part")


def holds_other(target: Path, *ours: str) -> bool:
    """Whether a folder holds more than junk and what a download, begun earlier, calls `ours`."""
    return target.is_dir() and not all(
        is_junk(path.name) or path.name.startswith(ours) for path in target.iterdir())


def settle(draft: Path, target: Path) -> None:
    """Let `target` be the folder `draft`, or hold what is in it where it is there already."""
    if not target.is_dir():
        draft.replace(target)
        return
    for path in sorted(draft.iterdir(), reverse=True):  # hidden ones last: they do not count
        path.replace(target / path.name)
    draft.rmdir()
