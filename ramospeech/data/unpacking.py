"""Unpacking archives from the network: complete, and nothing outside the folder.

Only files and folders whose real path is inside the folder are written; links and devices, which no
corpus contains, are refused. (`tarfile.data_filter` of PEP 706 does much of this, but Debian 12's
Python 3.11.2 lacks it.)
"""

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import IO

from ramospeech.utils.errors import RamoSpeechError
from ramospeech.utils.files import MEGABYTE

__all__ = ["DAMAGE", "UnsafeMemberError", "unpack_stream"]

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError)  # of a damaged archive


class UnsafeMemberError(RamoSpeechError):
    """An archive contains something that must not be written."""


def unpack_stream(packed: IO[bytes], folder: Path, depth: int = 0) -> None:
    """Unpack a `.tar.gz` into `folder`, and the `.tar.gz` in it where they are.

    Raises UnsafeMemberError for anything but files and folders inside `folder`, one of DAMAGE for an
    incomplete or invalid archive.
    """
    with gzip.GzipFile(fileobj=packed) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            target = _target(member, folder)
            content = tar.extractfile(member)
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
            elif depth == 0 and member.name.endswith(".tar.gz"):
                unpack_stream(content, target.parent, depth + 1)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                with open(target, "wb") as file:
                    shutil.copyfileobj(content, file)
        while plain.read(MEGABYTE):  # gzip verifies its checksum only at the end
            pass


def _target(member: tarfile.TarInfo, folder: Path) -> Path:
    """The real path that a member of an archive is written to."""
    if not (member.isfile() or member.isdir()):
        raise UnsafeMemberError(f"{member.name!r} is neither a file nor a folder")
    target = (folder / member.name.lstrip("/")).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise UnsafeMemberError(f"{member.name!r} would be outside the folder")
    return target
