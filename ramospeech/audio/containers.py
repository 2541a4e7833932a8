"""How many bytes of samples the header of a recording states, and how many there are.

libsndfile reads files that were cut off without a word, and nothing of a WAV file whose recorder
was switched off before it wrote the lengths.
"""

import shutil
import struct
from tempfile import TemporaryFile
from typing import BinaryIO, Literal, NamedTuple

UNKNOWN = 0xFFFFFFFF  # the largest number that 4 bytes hold
ENDLESS = 0x7FFFF000  # a header of 4 bytes that never learnt its length states this or more,
ENDLESS_64 = 1 << 62  # and one of 8 bytes this
TAKEN_LITERALLY = {b"RIFF", b"RIFX", b"RF64", b".snd", b"caff"}  # where libsndfile believes a length of 0


class Layout(NamedTuple):
    """How a file consists of chunks, each with its name, the bytes that follow it, and these."""

    start: int  # bytes before the first chunk
    header: str  # of a chunk: its name and size, as for the module struct
    sound: bytes  # the name of the chunk of samples
    own: int = 0  # bytes of the header that its size counts as well
    align: int = 2  # chunks begin at multiples of so many bytes


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
    """The samples in a file."""

    start: int  # bytes before them
    stated: int  # bytes
    there: int  # bytes, at most
    field: slice  # where the header states how many there are


def find_sound(file: BinaryIO, size: int) -> Sound | None:
    """Where the samples of an open file of so many bytes are; None where its header does not tell."""
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
    """Raise ValueError where a recording was cut off; not where its length was left open."""
    is_open = sound.stated >= (ENDLESS_64 if sound.stated > UNKNOWN else ENDLESS)
    if sound.there < sound.stated and not is_open:
        raise ValueError(f"truncated: {sound.there} of {sound.stated} bytes of samples")


def is_unfinished(file: BinaryIO, sound: Sound, size: int) -> bool:
    """Whether a recorder left the length at 0, and libsndfile would believe it."""
    file.seek(0)
    kind, stated = struct.unpack("<4sI", file.read(8))
    is_empty = kind == b"RIFF" and stated + 8 == size  # a header that was finished: no samples
    return sound.stated == 0 < sound.there and kind in TAKEN_LITERALLY and not is_empty


def finished_copy(file: BinaryIO, sound: Sound) -> BinaryIO:
    """A copy whose header says that the samples go on to the end of the file."""
    file.seek(0)
    header = bytearray(file.read(sound.start))
    if header[:4] == b"RF64":
        header[:4] = b"RIFF"
    width = len(header[sound.field])
    length = min(sound.there, (1 << 8 * width) - 1)  # the largest number means that none is known
    order: Literal["little", "big"] = "little" if header[:4] == b"RIFF" else "big"
    header[sound.field] = length.to_bytes(width, order)
    return patched_copy(file, 0, bytes(header))


def patched_copy(file: BinaryIO, place: int, content: bytes) -> BinaryIO:
    """A copy of an open file, in a file without a name, with other bytes from a place on."""
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
