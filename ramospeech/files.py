"""Files that appear whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft beside `path`, then move it there.

    Raises OSError, naming the path, where that fails; what was there before stays.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(draft)
        draft.chmod(0o666 & ~_umask())  # some writers leave files that only their owner may read
        draft.replace(path)
    except ValueError:
        raise  # what is to be written is wrong, not the place
    except Exception as error:  # every library has kinds of its own for a full disk
        raise OSError(f"{path}: cannot be written ({brief(error)})") from None
    finally:
        draft.unlink(missing_ok=True)


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


def brief(error: Exception) -> str:
    """The first sentence of what an error says; PyTorch says much."""
    return f"{type(error).__name__}: {error}".splitlines()[0].split(". ")[0]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
