"""Files that appear whole or not at all."""

import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

MEGABYTE = 1 << 20


def write_atomically(
    path: Path, write: Callable[[Path], object], outlast_power_cuts: bool = False
) -> None:
    """Let `write` fill a draft beside `path`, then move it there.

    Raises OSError, naming the path, where that fails; what was there before stays.
    """
    with _draft_of(path) as draft:
        write(draft)
        if outlast_power_cuts:
            _bring_to_disk(draft)
        draft.chmod(0o666 & ~_umask())  # some writers leave files that only their owner may read
        draft.replace(path)


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; the draft is gone afterwards, and errors name the path."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield draft
    except ValueError:
        raise  # what is to be written is wrong, not the place
    except Exception as error:  # noqa: BLE001 every library has kinds of its own for a full disk
        reason = "the disk is full" if _is_full(path.parent) else brief(error)
        raise OSError(f"{path}: cannot be written ({reason})") from None
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            draft.unlink()


def refuse_unwritable(path: Path) -> None:
    """Raise OSError, naming the path, where no file can be written; before hours of work, say."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: cannot be written (it is a folder)")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({brief(error)})") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file, in UTF-8 and with plain line ends."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8", newline="\n"))


def check_room(path: Path, size: int, needed: int) -> None:
    """Find out whether `path` can take `size` bytes, and its disk `needed` bytes.

    Writes as much and deletes it again: quotas and limits are in no table of free space.
    Raises OSError, naming the path and the bytes.
    """
    with _draft_of(path) as draft:
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise OSError(f"{needed:,} bytes are needed, {free:,} are free")
        with open(draft, "wb") as file:
            for start in range(0, size, MEGABYTE):
                file.write(bytes(min(MEGABYTE, size - start)))
        _bring_to_disk(draft)


def remove_drafts(path: Path) -> None:
    """Remove what was left by processes that were killed while they wrote `path`."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        draft.unlink()


def brief(error: Exception) -> str:
    """The first sentence of what an error says; PyTorch says much."""
    return f"{type(error).__name__}: {error}".splitlines()[0].split(". ")[0]


def _is_full(folder: Path) -> bool:
    """Asked while the draft is still there, because PyTorch does not tell."""
    return folder.is_dir() and shutil.disk_usage(folder).free < MEGABYTE


def _bring_to_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
