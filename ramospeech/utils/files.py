"""Atomic writes: a file appears completely or not at all."""

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

__all__ = [
    "MEGABYTE", "brief", "check_room", "is_stream", "read_text", "refuse_unwritable", "remove_drafts",
    "write_atomically", "write_text",
]

MEGABYTE = 1 << 20
MOST_LINKS = 40  # as many as Linux follows


def write_atomically(
    path: Path, write: Callable[[Path], object], outlast_power_cuts: bool = False
) -> None:
    """Let `write` fill a draft beside `path`, then rename it to `path`.

    If `path` is a link, its target is written, and the link stays; a pipe or a device gets a copy of
    the draft. Raises OSError, naming the path; then the old file stays.
    """
    if is_stream(path):
        _write_into(path, write)
        return
    with _draft_of(path) as draft:
        write(draft)
        if outlast_power_cuts:
            _bring_to_disk(draft)
        draft.chmod(0o666 & ~_umask())  # some writers create files for their owner only
        draft.replace(_destination(path))


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe or a device, which is written to and not replaced."""
    end = _destination(path)
    return _number(end) is not None or (end.exists() and not end.is_file() and not end.is_dir())


def _destination(path: Path) -> Path:
    """Resolve links, except /dev/stdout and the like."""
    for _ in range(MOST_LINKS):
        if _number(path) is not None or not path.is_symlink():
            return path
        path = path.parent / path.readlink()
    raise OSError(f"{path}: cannot be written (a loop of links)")


def _number(path: Path) -> int | None:
    """Return the file descriptor that a path names: 1 for /dev/stdout."""
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
    """Yield a path beside `path` to write to, and delete it afterwards; errors name `path`."""
    end = _destination(path)
    draft = end.with_name(f".{end.name}.{os.getpid()}")
    try:
        _make_folder(end.parent)
        yield draft
    except ValueError:
        raise  # the content is wrong, not the place
    except Exception as error:  # noqa: BLE001 every library has its own error for a full disk
        reason = "the disk is full" if _is_full(end.parent) else brief(error)
        raise OSError(f"{path}: cannot be written ({reason})") from None
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            draft.unlink()


def refuse_unwritable(path: Path) -> None:
    """Raise OSError, naming the path, if no file can be written there: to be called before the work."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: cannot be written (it is a folder)")
    if is_stream(path):
        return  # opening a pipe would block, and closing it would end it
    end = _destination(path)
    try:
        _make_folder(end.parent)
        with NamedTemporaryFile(dir=end.parent, prefix=f".{end.name}."):
            pass
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({brief(error)})") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 with Unix line ends."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8", newline="\n"))


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte-order mark. Raises ValueError with the line."""
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {number}: not UTF-8 ({error.reason}); if it is GB18030: "
                         f"`iconv -f GB18030 -t UTF-8 {shlex.quote(path.name)}`") from None


def check_room(path: Path, size: int, needed: int) -> None:
    """Check that `path` can hold `size` bytes, and that its disk has `needed` bytes free.

    Writes `size` bytes and deletes them, because the free space reported ignores quotas and limits.
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
    """Remove the drafts of processes that were killed while writing `path`."""
    path = _destination(path)
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*"):
        draft.unlink()


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises NotADirectoryError, naming a file in the way."""
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise NotADirectoryError(f"{part} is not a folder")
    folder.mkdir(parents=True, exist_ok=True)


def brief(error: Exception) -> str:
    """Return the first sentence of an error; PyTorch's are long."""
    return f"{type(error).__name__}: {error}".splitlines()[0].split(". ")[0]


def _is_full(folder: Path) -> bool:
    """Whether the disk is full, asked while the draft exists: PyTorch's errors do not say."""
    return folder.is_dir() and shutil.disk_usage(folder).free < MEGABYTE


def _bring_to_disk(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
