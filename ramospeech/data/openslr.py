"""Archives of speech from openslr.org: fetched, checked and unpacked.

Gigabytes come over a line that breaks off, from servers that do not all keep to the rules, and one
wrong byte stays unseen until a training fails. So

- an archive is written to `NAME.part`; where the line broke off it is taken up again, at once, or
  when the command is run again. What a server answers is compared with what it was asked;
- it gets its name when its size is right, and is used when its MD5 is, where one is published;
- it is unpacked into a folder that gets its name when all is in it; then the archive is deleted.

`requests` does the carrying: it tells when less comes than was announced, and knows proxies and
certificates. Lhotse's `resumable_download` (1.33) appends a whole file to the part that is there
where a server ignores the range it was asked for, takes a line that breaks off for the end, and
needs eleven packages; its `safe_extract` does not look at links. Pooch (1.9) does not resume.
Unpacking keeps to `tarfile.data_filter` (PEP 706), and refuses links and devices as well.
"""

import fcntl
import gzip
import hashlib
import re
import shutil
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, NoReturn, cast

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from ramospeech.data.download_place import beside, draft_of, holds_other, settle
from ramospeech.data.preparation import CorpusError
from ramospeech.utils.files import brief

MIRRORS = {  # the same files
    "main": "https://www.openslr.org/resources",
    "us": "https://us.openslr.org/resources",
    "eu": "https://openslr.elda.org/resources",
    "cn": "https://openslr.magicdatatech.com/resources",
}
TRIES = 5  # in a row, without a byte
TIMEOUT = 60  # seconds, without a byte
CHUNK = 1 << 16  # bytes
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError)
GO_ON = "run the command again to go on, if need be with another --mirror"


@dataclass(frozen=True)
class Archive:
    """A file of openslr.org/PAGE."""

    page: int
    file: str
    folder: str  # that it unpacks to
    size: int  # bytes
    unpacked: int  # bytes, about
    md5: str | None = None  # where one is published


def download(archive: Archive, target: Path, mirror: str = "main") -> Path:
    """Fetch an archive and unpack it to `target`, which appears when all of it is there.

    A `target` that is an empty folder stays, and archive and all lie inside it from the start.
    `mirror` is a name in MIRRORS or an address. Raises CorpusError, which says what to do; what
    came rightly is kept for the next time.
    """
    if (target / archive.folder).is_dir():
        return target
    if holds_other(target, archive.file, draft_of(target).name):
        raise CorpusError(f"{target} holds something else than {archive.folder}: choose another "
                          "folder with --to")
    path = beside(target, archive.file)
    with _alone(path):
        _refuse_small_disk(archive, path)
        if not path.exists():
            fetch(archive, path, mirror)
        check(archive, path)
        unpack(archive, path, target)
    path.unlink()
    print(f"{path.name} is unpacked, and was deleted")
    return target


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Two commands would write into one file."""
    lock = path.with_name(path.name + ".lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CorpusError(f"another command is fetching {path}: wait for it") from None
        try:
            yield
        finally:
            lock.unlink()


def _refuse_small_disk(archive: Archive, path: Path) -> None:
    here = sum(there.stat().st_size for there in (path, _part(path)) if there.exists())
    needed, free = archive.size + archive.unpacked - here, shutil.disk_usage(path.parent).free
    if free < needed:
        raise CorpusError(f"{path.parent} has {free / 1e9:.1f} GB free, and {archive.file} needs "
                          f"{needed / 1e9:.1f} GB: make room, or choose another folder with --to")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def fetch(archive: Archive, path: Path, mirror: str = "main") -> None:
    """Fetch an archive, from where the last time broke off; `path` appears when it has its size."""
    if mirror not in MIRRORS and "://" not in mirror:
        raise CorpusError(f"no mirror {mirror!r}; there are {', '.join(MIRRORS)}, or an address")
    url = f"{MIRRORS.get(mirror, mirror)}/{archive.page}/{archive.file}"
    try:
        with _part(path).open("ab", buffering=0) as file, \
                tqdm(desc=archive.file, total=archive.size, initial=file.tell(), unit="B",
                     unit_scale=True) as bar:
            _fetch_all(url, file, archive.size, bar)
    except (CorpusError, OSError) as error:
        reason = str(error) if isinstance(error, CorpusError) else brief(error)
        have = _part(path).stat().st_size if _part(path).exists() else 0
        raise CorpusError(f"{url}: {reason}; {have:,} of {archive.size:,} bytes are in "
                          f"{_part(path)}: {GO_ON}") from None
    _part(path).replace(path)


def _fetch_all(url: str, file: BinaryIO, size: int, bar: "tqdm[NoReturn]") -> None:
    """Ask for what is missing until nothing is. Raises CorpusError where no more comes."""
    failures = 0
    while (have := file.tell()) < size:
        reason = "nothing came"
        try:
            for chunk in _answer(url, have, size):
                bar.update(_write(file, chunk[:size - file.tell()]))
        except (requests.RequestException, HTTPError) as error:
            reason = brief(error)
        failures = 0 if file.tell() > have else failures + 1
        if failures == TRIES:
            raise CorpusError(reason)
        time.sleep(2 ** failures - 1)


def _write(file: BinaryIO, chunk: bytes) -> int:
    """All of it: a file without a buffer may take less at once."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest):]
    return len(chunk)


def _answer(url: str, have: int, size: int) -> Iterator[bytes]:
    """What the server has from byte `have` on."""
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        skip = _check_answer(response, have, size)
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            yield chunk[skip:]
            skip = max(0, skip - len(chunk))


def _check_answer(response: requests.Response, have: int, size: int) -> int:
    """How many bytes to skip. Raises CorpusError for an answer that would come again."""
    status, headers = response.status_code, response.headers
    if status >= 500 or status == 429:
        response.raise_for_status()  # a passing fault, perhaps
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise CorpusError(f"asked for what follows byte {have}, the server sent "
                              f"{headers.get('Content-Range')}")
        skip, total = 0, found[2]
    elif status == 200 and not headers.get("Content-Type", "").startswith("text/"):
        skip, total = have, headers.get("Content-Length", "*")  # all of it, from the start
    else:
        raise CorpusError(f"the server answered {status} {response.reason}, "
                          f"{headers.get('Content-Type')}")
    if total not in ("*", str(size)):
        raise CorpusError(f"the server's file has {total} bytes instead of {size}")
    return skip


def check(archive: Archive, path: Path) -> None:
    """Raise CorpusError for an archive that is not the published one, and set it aside."""
    size = path.stat().st_size
    if size != archive.size:
        _set_aside(path, f"{size} bytes instead of {archive.size}")
    if archive.md5 and _md5(path) != archive.md5:
        _set_aside(path, f"its MD5 is not {archive.md5}")


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with _reading(path, "checking") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _reading(path: Path, what: str) -> Iterator[BinaryIO]:
    size = path.stat().st_size
    with path.open("rb") as file, \
            tqdm.wrapattr(file, "read", total=size, desc=f"{what} {path.name}", unit="B",
                          unit_scale=True) as counted:
        yield cast(BinaryIO, counted)  # a file whose `read` is counted


def _set_aside(path: Path, reason: str) -> None:
    damaged = path.with_name(path.name + ".damaged")
    path.replace(damaged)
    raise CorpusError(f"{path.name} is damaged ({reason}): it is called {damaged} now, delete it; "
                      "run the command again to fetch it anew, best with another --mirror")


def unpack(archive: Archive, path: Path, target: Path) -> None:
    """Unpack an archive, and the archives in it; `target` appears when all is there.

    Raises CorpusError for one that is damaged, or that holds anything but files and folders.
    """
    if not hasattr(tarfile, "data_filter"):
        raise CorpusError("to unpack safely, Python 3.11.4 or later is needed")
    draft = draft_of(target)
    shutil.rmtree(draft, ignore_errors=True)  # of a time that was broken off
    try:
        with _reading(path, "unpacking") as file:
            _unpack_stream(file, draft)
        if not (draft / archive.folder).is_dir():
            raise tarfile.ReadError(f"there is no {archive.folder} in it")
        settle(draft, target)
    except tarfile.FilterError as error:
        raise CorpusError(f"{path} was not unpacked ({brief(error)}): delete it, and fetch it from "
                          "another --mirror") from None
    except DAMAGE as error:
        _set_aside(path, brief(error))
    except OSError as error:
        raise CorpusError(f"{draft}: {brief(error)}; {path} is whole: {GO_ON}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _unpack_stream(packed: IO[bytes], folder: Path, depth: int = 0) -> None:
    """To the end: what gzip counted is compared with what it says only there."""
    with gzip.GzipFile(fileobj=packed) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            archive = tar.extractfile(member) if member.isfile() and depth == 0 else None
            if archive and member.name.endswith(".tar.gz"):
                inside = folder / _plain_file(member, str(folder)).name
                _unpack_stream(archive, inside.parent, depth + 1)
            else:
                tar.extract(member, folder, filter=_plain_file)
        while plain.read(CHUNK):
            pass


def _plain_file(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """Files and folders that stay inside `folder`. Raises FilterError for anything else."""
    if not (member.isfile() or member.isdir()):
        raise tarfile.FilterError(f"{member.name!r} is neither a file nor a folder")
    return tarfile.data_filter(member, folder)
