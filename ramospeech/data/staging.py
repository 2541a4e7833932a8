"""Where a download is kept until it is complete, and how it then gets into its folder.

A folder that exists already may be a mount point, the only disk with enough space: everything is
downloaded into it, and it stays the same folder. Otherwise everything is downloaded next to it, and
the folder appears when it is complete.
"""

from pathlib import Path

from ramospeech.data.preparation import is_junk

__all__ = ["contains_other_files", "move_into_place", "staging_folder", "staging_path"]


def staging_path(target: Path, name: str) -> Path:
    """Where to keep the file or folder `name` until `target` is complete."""
    return (target if target.is_dir() else target.parent) / name


def staging_folder(target: Path) -> Path:
    """The folder to fill before `move_into_place`."""
    return staging_path(target, f"{target.name}.part")


def contains_other_files(target: Path, *ours: str) -> bool:
    """Whether a folder contains more than junk and the parts, `ours`, of an earlier attempt."""
    return target.is_dir() and not all(
        is_junk(path.name) or path.name.startswith(ours) for path in target.iterdir())


def move_into_place(staged: Path, target: Path) -> None:
    """Rename the folder `staged` to `target`, or move its contents there if `target` exists."""
    if not target.is_dir():
        staged.replace(target)
        return
    for path in sorted(staged.iterdir(), reverse=True):  # hidden files last: they do not count
        path.replace(target / path.name)
    staged.rmdir()
