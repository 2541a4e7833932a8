"""Compare the number of sample bytes in a header with the number in the file.

libsndfile reads truncated files without an error, and reads nothing from a WAV file whose recorder was
switched off before it wrote the lengths.
"""

import shutil
import struct
from tempfile import TemporaryFile
from typing import BinaryIO, Literal, NamedTuple

__all__ = ["Sound", "check_sound", "find_sound", "finished_copy", "is_unfinished", "patched_copy"]

UNKNOWN = 0xFFFFFFFF  # the largest 32-bit number
OPEN_32 = 0x7FFFF000  # streaming writers put this or more into a 32-bit length field,
OPEN_64 = 1 << 62  # and this or more into a 64-bit one
ZERO_MEANS_EMPTY = {b"RIFF", b"RIFX", b"RF64", b".snd", b"caff"}  # libsndfile takes a length of 0 literally


class Layout(NamedTuple):
    """The chunk layout of a container format: each chunk has a name, a size and content."""

    start: int  # bytes before the first chunk
    header: str  # struct format of a chunk's name and size
    sound: bytes  # name of the sample chunk
    own: int = 0  # header bytes included in the size
    align: int = 2  # chunks start at multiples of this


RIFF = Layout(12, "<4sI", b"data")
LAYOUTS = {
    b"RIFF": RIFF,  # WAV
    b"RIFX": Layout(12, ">4sI", b"data"),
    b"RF64": RIFF,
    b"FORM": Layout(12, ">4sI", b"SSND"),  # AIFF
    b"caff": Layout(8, ">4sQ", b"data", align=1),
    b"riff": Layout(40, "<16sQ", bytes.fromhex("64617461f3acd3118cd100c04f8edb8a"), 24, 8),  # W64
}


class Sound(NamedTuple):
    """Location and size of the samples in a file."""

    start: int  # byte offset
    stated: int  # bytes according to the header
    actual: int  # bytes to the end of the file
    field: slice  # position of the length in the header


def find_sound(file: BinaryIO, size: int) -> Sound | None:
    """Return where the samples of an open file of `size` bytes are; None if its header is unknown."""
    file.seek(0)
    begin = file.read(40)
    if begin[:4] == b".snd" and len(begin) >= 12:  # AU
        start, stated = struct.unpack(">II", begin[4:12])
        return Sound(start, stated, max(0, size - start), slice(8, 12))
    layout = LAYOUTS.get(begin[:4])
    found = layout and _find_chunk(file, layout, size)
    if found and found.stated == UNKNOWN and begin[:4] == b"RF64" and begin[12:16] == b"ds64":
        return found._replace(stated=int.from_bytes(begin[28:36], "little"))
    return found


def check_sound(sound: Sound) -> None:
    """Raise ValueError if a recording is truncated, but not if its length was left open."""
    is_open = sound.stated >= (OPEN_64 if sound.stated > UNKNOWN else OPEN_32)
    if sound.actual < sound.stated and not is_open:
        raise ValueError(f"truncated: {sound.actual} of {sound.stated} bytes of samples")


def is_unfinished(file: BinaryIO, sound: Sound, size: int) -> bool:
    """Return whether a recorder left the length at 0 and libsndfile would take the file as empty."""
    file.seek(0)
    kind, stated = struct.unpack("<4sI", file.read(8))
    is_empty = kind == b"RIFF" and stated + 8 == size  # a complete header without samples
    return sound.stated == 0 < sound.actual and kind in ZERO_MEANS_EMPTY and not is_empty


def finished_copy(file: BinaryIO, sound: Sound) -> BinaryIO:
    """Return a copy whose header says that the samples extend to the end of the file."""
    file.seek(0)
    header = bytearray(file.read(sound.start))
    if header[:4] == b"RF64":
        header[:4] = b"RIFF"
    width = len(header[sound.field])
    length = min(sound.actual, (1 << 8 * width) - 1)  # the largest number means unknown
    order: Literal["little", "big"] = "little" if header[:4] == b"RIFF" else "big"
    header[sound.field] = length.to_bytes(width, order)
    return patched_copy(file, 0, bytes(header))


def patched_copy(file: BinaryIO, place: int, content: bytes) -> BinaryIO:
    """Return an unnamed temporary copy of an open file with `content` written at `place`."""
    copy = TemporaryFile()
    file.seek(0)
    shutil.copyfileobj(file, copy)
    copy.seek(place)
    copy.write(content)
    copy.seek(0)
    return copy


def _find_chunk(file: BinaryIO, layout: Layout, size: int) -> Sound | None:
    place, length = layout.start, struct.calcsize(layout.header)
    while True:
        file.seek(place)
        if len(header := file.read(length)) < length:
            return None
        name, stated = struct.unpack(layout.header, header)
        if name == layout.sound:
            begin = place + length
            field = slice(begin - struct.calcsize(layout.header[0] + layout.header[-1]), begin)
            return Sound(begin, max(0, stated - layout.own), size - begin, field)
        end = place + max(length, stated - layout.own + length)
        place = end + -end % layout.align
