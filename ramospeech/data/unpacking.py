"""Unpacking archives from the network: complete, and nothing outside the folder.

The standard library's `tarfile.data_filter` (PEP 706) keeps names inside the folder; links and
devices, which no corpus contains, are refused as well.
"""

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import IO

from ramospeech.utils.files import MEGABYTE

__all__ = ["DAMAGE", "unpack_stream"]

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError)  # of a damaged archive


def unpack_stream(packed: IO[bytes], folder: Path, depth: int = 0) -> None:
    """Unpack a `.tar.gz` into `folder`, and the `.tar.gz` in it where they are.

    Raises tarfile.FilterError for anything but files and folders inside `folder`, one of DAMAGE for an
    incomplete or invalid archive.
    """
    with gzip.GzipFile(fileobj=packed) as plain, tarfile.open(fileobj=plain, mode="r|") as tar:
        for member in tar:
            archive = tar.extractfile(member) if member.isfile() and depth == 0 else None
            if archive and member.name.endswith(".tar.gz"):
                inside = folder / _plain_file(member, str(folder)).name
                unpack_stream(archive, inside.parent, depth + 1)
            else:
                tar.extract(member, folder, filter=_plain_file)
        while plain.read(MEGABYTE):  # gzip verifies its checksum only at the end
            pass


def _plain_file(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    if not (member.isfile() or member.isdir()):
        raise tarfile.FilterError(f"{member.name!r} is neither a file nor a folder")
    return tarfile.data_filter(member, folder)
