"""Archives of speech from openslr.org: downloaded, verified and unpacked.

Gigabytes come over connections that break, from servers that do not all follow the rules, and one
wrong byte stays unnoticed until a training fails. So

- an archive is written to `NAME.part`; after a broken connection the download resumes, at once or
  when the command is run again (`http_download`);
- it gets its name when its size is right, and is used when its MD5 is right, if one is published;
- it is unpacked into a folder that gets its name when it is complete (`unpacking`); then the archive
  is deleted.
"""

import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

from tqdm import tqdm

from ramospeech.data.preparation import CorpusError
from ramospeech.data.staging import (
    contains_other_files, move_into_place, staging_folder, staging_path,
)
from ramospeech.data.unpacking import DAMAGE, UnsafeMemberError, unpack_stream
from ramospeech.utils.files import MEGABYTE, brief

__all__ = ["MIRRORS", "Archive", "check", "download", "fetch", "unpack"]

MIRRORS = {  # the same files
    "main": "https://www.openslr.org/resources",
    "us": "https://us.openslr.org/resources",
    "eu": "https://openslr.elda.org/resources",
    "cn": "https://openslr.magicdatatech.com/resources",
}
RESUME = "run the command again to resume, if necessary with another --mirror"


@dataclass(frozen=True)
class Archive:
    """A file of openslr.org/PAGE."""

    page: int
    file: str
    folder: str  # that it unpacks to
    size: int  # bytes
    unpacked: int  # bytes, about
    md5: str | None = None  # if one is published


def download(archive: Archive, target: Path, mirror: str = "main") -> Path:
    """Fetch an archive and unpack it to `target`, which appears when it is complete.

    An existing empty folder `target` is kept, and everything is downloaded into it. `mirror` is a
    name in MIRRORS or a URL. Raises CorpusError, which says what to do; valid data is kept for the
    next attempt.
    """
    if (target / archive.folder).is_dir():
        return target
    if contains_other_files(target, archive.file, staging_folder(target).name):
        raise CorpusError(f"{target} contains something other than {archive.folder}: choose another "
                          "folder with --to")
    path = staging_path(target, archive.file)
    with _exclusive(path):
        _refuse_small_disk(archive, path)
        if not path.exists():
            fetch(archive, path, mirror)
        check(archive, path)
        unpack(archive, path, target)
    path.unlink()
    print(f"{path.name} is unpacked, and was deleted")
    return target


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """A lock against a second command that writes to the same file."""
    from filelock import FileLock, Timeout

    lock = path.with_name(path.name + ".lock")
    try:
        with FileLock(lock, blocking=False):
            try:
                yield
            finally:
                lock.unlink()
    except Timeout:
        raise CorpusError(f"another command is fetching {path}: wait for it") from None


def _refuse_small_disk(archive: Archive, path: Path) -> None:
    here = sum(there.stat().st_size for there in (path, _part(path)) if there.exists())
    needed, free = archive.size + archive.unpacked - here, shutil.disk_usage(path.parent).free
    if free < needed:
        raise CorpusError(f"{path.parent} has {free / 1e9:.1f} GB free, and {archive.file} needs "
                          f"{needed / 1e9:.1f} GB: free some space, or choose another folder with --to")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def fetch(archive: Archive, path: Path, mirror: str = "main") -> None:
    """Download an archive, or the rest of it; `path` appears when its size is right."""
    from ramospeech.data.http_download import download_rest

    if mirror not in MIRRORS and "://" not in mirror:
        raise CorpusError(f"no mirror {mirror!r}; there are {', '.join(MIRRORS)}, or a URL")
    url = f"{MIRRORS.get(mirror, mirror)}/{archive.page}/{archive.file}"
    try:
        with _part(path).open("ab", buffering=0) as file, \
                tqdm(desc=archive.file, total=archive.size, initial=file.tell(), unit="B",
                     unit_scale=True) as bar:
            download_rest(url, file, archive.size, bar)
    except (CorpusError, OSError) as error:
        reason = str(error) if isinstance(error, CorpusError) else brief(error)
        have = _part(path).stat().st_size if _part(path).exists() else 0
        raise CorpusError(f"{url}: {reason}; {have:,} of {archive.size:,} bytes are in "
                          f"{_part(path)}: {RESUME}") from None
    _part(path).replace(path)


def check(archive: Archive, path: Path) -> None:
    """Set an archive aside and raise CorpusError if it is not the published one."""
    size = path.stat().st_size
    if size != archive.size:
        _set_aside(path, f"{size} bytes instead of {archive.size}")
    if archive.md5 and _md5(path) != archive.md5:
        _set_aside(path, f"its MD5 is not {archive.md5}")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with _reading(path, "checking") as file:
        while chunk := file.read(MEGABYTE):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _reading(path: Path, action: str) -> Iterator[BinaryIO]:
    """An open file whose reading moves a progress bar."""
    size = path.stat().st_size
    with path.open("rb") as file, \
            tqdm.wrapattr(file, "read", total=size, desc=f"{action} {path.name}", unit="B",
                          unit_scale=True) as counted:
        yield cast(BinaryIO, counted)


def _set_aside(path: Path, reason: str) -> NoReturn:
    damaged = path.with_name(path.name + ".damaged")
    path.replace(damaged)
    raise CorpusError(f"{path.name} is damaged ({reason}): it was renamed to {damaged}, delete it; "
                      "run the command again to fetch a new copy, preferably with another --mirror")


def unpack(archive: Archive, path: Path, target: Path) -> None:
    """Unpack an archive, and the archives in it; `target` appears when it is complete.

    Raises CorpusError if it is damaged, or contains anything but files and folders.
    """
    staged = staging_folder(target)
    shutil.rmtree(staged, ignore_errors=True)  # of an interrupted attempt
    try:
        with _reading(path, "unpacking") as file:
            unpack_stream(file, staged)
        if not (staged / archive.folder).is_dir():
            raise tarfile.ReadError(f"there is no {archive.folder} in it")
        move_into_place(staged, target)
    except UnsafeMemberError as error:
        raise CorpusError(f"{path} was not unpacked ({brief(error)}): delete it, and fetch it from "
                          "another --mirror") from None
    except DAMAGE as error:
        _set_aside(path, brief(error))
    except OSError as error:
        raise CorpusError(f"{staged}: {brief(error)}; {path} is complete: {RESUME}") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
