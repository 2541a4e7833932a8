"""Files that appear whole or not at all."""

import codecs
import glob
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

MEGABYTE = 1 << 20
MOST_LINKS = 40  # as many as Linux follows


def write_atomically(
    path: Path, write: Callable[[Path], object], outlast_power_cuts: bool = False
) -> None:
    """Let `write` fill a draft beside `path`, then move it there.

    Where `path` is a link, the file that it leads to is written, and the link stays; into a pipe or
    a device goes what the draft holds. Raises OSError, naming the path, where that fails; what was
    there before stays.
    """
    if is_stream(path):
        _write_into(path, write)
        return
    with _draft_of(path) as draft:
        write(draft)
        if outlast_power_cuts:
            _bring_to_disk(draft)
        draft.chmod(0o666 & ~_umask())  # some writers leave files that only their owner may read
        draft.replace(_destination(path))


def is_stream(path: Path) -> bool:
    """Whether a path leads to a pipe or a device, to be written into and not replaced."""
    end = _destination(path)
    return _number(end) is not None or (end.exists() and not end.is_file() and not end.is_dir())


def _destination(path: Path) -> Path:
    """Where links lead to; but /dev/stdout, and what is like it, stands for itself."""
    for _ in range(MOST_LINKS):
        if _number(path) is not None or not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise OSError(f"{path}: cannot be written (links that lead in a circle)")


def _number(path: Path) -> int | None:
    """The number of an open file that a path stands for: 1 for /dev/stdout."""
    match = re.fullmatch(r"(?:/dev|/proc/self)/(?:fd/(\d+)|(stdout|stderr))", str(path))
    return match and (int(match[1]) if match[1] else {"stdout": 1, "stderr": 2}[match[2]])


def _write_into(path: Path, write: Callable[[Path], object]) -> None:
    number = _number(end := _destination(path))
    sys.stdout.flush()  # what was printed before comes first
    try:
        with TemporaryDirectory() as folder:
            write(draft := Path(folder, "draft"))
            target = open(end, "wb") if number is None else os.fdopen(os.dup(number), "wb")
            with target, open(draft, "rb") as file:
                shutil.copyfileobj(file, target)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({brief(error)})") from None


@contextmanager
def _draft_of(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; the draft is gone afterwards, and errors name the path."""
    end = _destination(path)
    draft = end.with_name(f".{end.name}.{os.getpid()}")
    try:
        _make_folder(end.parent)
        yield draft
    except ValueError:
        raise  # what is to be written is wrong, not the place
    except Exception as error:  # noqa: BLE001 every library has kinds of its own for a full disk
        reason = "the disk is full" if _is_full(end.parent) else brief(error)
        raise OSError(f"{path}: cannot be written ({reason})") from None
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            draft.unlink()


def refuse_unwritable(path: Path) -> None:
    """Raise OSError, naming the path, where no file can be written; before hours of work, say."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: cannot be written (it is a folder)")
    if is_stream(path):
        return  # to open a pipe would wait for its reader, and to close it would be its end
    end = _destination(path)
    try:
        _make_folder(end.parent)
        with NamedTemporaryFile(dir=end.parent, prefix=f".{end.name}."):
            pass
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({brief(error)})") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file, in UTF-8 and with plain line ends."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8", newline="\n"))


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte-order mark. Raises ValueError, naming the line."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {number}: not UTF-8 ({error.reason}); if it is GB18030: "
                         f"`iconv -f GB18030 -t UTF-8 {shlex.quote(path.name)}`") from None


def check_room(path: Path, size: int, needed: int) -> None:
    """Find out whether `path` can take `size` bytes, and its disk `needed` bytes.

    Writes as much and deletes it again: quotas and limits are in no table of free space.
    Raises OSError, naming the path and the bytes.
    """
    with _draft_of(path) as draft:
        free = shutil.disk_usage(draft.parent).free
        if free < needed:
            raise OSError(f"{needed:,} bytes are needed, {free:,} are free")
        with open(draft, "wb") as file:
            for start in range(0, size, MEGABYTE):
                file.write(bytes(min(MEGABYTE, size - start)))
        _bring_to_disk(draft)


def remove_drafts(path: Path) -> None:
    """Remove what was left by processes that were killed while they wrote `path`."""
    path = _destination(path)
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        draft.unlink()


def _make_folder(folder: Path) -> None:
    """Make a folder, and those above it. Raises NotADirectoryError, naming a file in the way."""
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise NotADirectoryError(f"{part} is no folder")
    folder.mkdir(parents=True, exist_ok=True)


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
