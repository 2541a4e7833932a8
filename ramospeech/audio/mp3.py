"""The frames of an MP3 file, counted, because nothing else tells how long it is.

A frame is 4 bytes of header, from which its size follows, and what was compressed of 1,152 samples
(576 below 32 kHz). Encoders may put a frame in front (Xing, Info or VBRI) that states how many
follow. Where there is none, libsndfile divides the file's size by the first frame's, whatever the
sizes of the others and the tags around them, and finds too many samples or too few.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
KBITS = {  # a second, by layer, whether it is MPEG-1, and 4 bits of a header; 0 stands for "free"
    (3, True): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, True): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, False): LOW, (2, False): LOW,
}
RATES = (44_100, 48_000, 32_000)  # of MPEG-1; half of it in MPEG-2, a quarter in MPEG-2.5
HALVINGS = {3: 0, 2: 1, 0: 2}  # by the 2 bits of a header for the version
LAYERS = {1: 3, 2: 2}  # by 2 bits: MP3 is layer III; layer II is its older brother, MP2
MONO = 3  # what 2 bits say
IN_A_ROW = 3  # frames of one form that follow each other are no accident,
FREE_IN_A_ROW = 10  # in free format, where any distance would do
FARTHEST = 1 << 16  # bytes in front of the first frame, tags apart; with more it is something else
LARGEST_FREE = 4096  # bytes of a frame in free format
TAG_BY = 44  # bytes into a frame: until there a Xing or Info header has begun
ID3V1 = 128  # bytes of the tag behind the frames that every decoder knows
PART = 1 << 20  # bytes copied at once


class Form(NamedTuple):
    """What all frames of a file have in common."""

    layer: int
    rate: int  # samples a second
    is_mono: bool
    is_free: bool  # in "free format": no header states how many kilobits there are


class Header(NamedTuple):
    """What the 4 bytes in front of a frame say."""

    form: Form
    size: int  # bytes, header included; in free format of the padding alone
    samples: int


class Mp3(NamedTuple):
    """What was found in an MP3 file."""

    spans: list[list[int]]  # where its frames begin and end, with a header's in front if that is right
    rate: int
    frames: int
    samples: int
    largest: int = 0  # bytes of a frame
    is_stated: bool = False  # whether a Xing or Info header states just as many frames
    is_plain: bool = False  # whether nothing but tags lies around them


def find_mp3(file: BinaryIO, size: int) -> Mp3 | None:
    """The frames of an open file of so many bytes; None where it is no MP3 file.

    Raises ValueError where it was cut off, and where its rate changes on the way.
    """
    with mmap(file.fileno(), size, access=ACCESS_READ) as data:
        start = _behind_id3(data)
        if _is_row(data, start, may_be_cut=True):
            return _read(data, start)
        found = _find(data, start, min(len(data), start + FARTHEST))
        return None if found is None else _read(data, found)


def bare_copy(file: BinaryIO, mp3: Mp3) -> BinaryIO:
    """The frames of a file and nothing else, so that libsndfile finds room for all of them.

    Without a header, it takes a file to hold as many frames as would fit in, were they all as large
    as the first: the copy is made that long, and whoever reads it has to stop at `mp3.samples`.
    """
    copy = TemporaryFile()
    for start, end in mp3.spans:
        file.seek(start)
        for place in range(start, end, PART):
            copy.write(file.read(min(PART, end - place)))
    if not mp3.is_stated:
        copy.truncate(max(copy.tell(), (mp3.frames + IN_A_ROW) * mp3.largest))
    return copy


@lru_cache(maxsize=4096)
def parse_header(header: bytes) -> Header | None:
    """The 4 bytes in front of a frame of MPEG layer III or II; None where they are something else."""
    bits = int.from_bytes(header)
    version, layer, kbits, rate = bits >> 19 & 3, bits >> 17 & 3, bits >> 12 & 15, bits >> 10 & 3
    is_sync = len(header) == 4 and bits >> 21 == 0x7FF and version in HALVINGS and layer in LAYERS
    if not is_sync or kbits == 15 or rate == 3:
        return None
    layer, is_first, padding = LAYERS[layer], version == 3, bits >> 9 & 1
    hertz, samples = RATES[rate] >> HALVINGS[version], 1152 if is_first or layer == 2 else 576
    size = samples // 8 * KBITS[layer, is_first][kbits] * 1000 // hertz + padding
    return Header(Form(layer, hertz, bits >> 6 & 3 == MONO, kbits == 0), size, samples)


def _read(data: mmap, start: int) -> Mp3:
    first, free = _header(data, start), _free_size(data, start)
    assert first is not None  # a row of frames begins here
    behind = start + first.size + free
    stated = _stated(data[start:behind])
    if stated is None:
        return _count(data, start, first, free)
    frames, size = stated
    if frames and size and start + size <= len(data) and _find(data, start + size, len(data)) is None:
        mp3 = Mp3([[behind, start + size]], first.form.rate, frames, frames * first.samples)
    else:
        mp3 = _count(data, behind, first, free)
        if mp3.frames < frames:
            raise ValueError(f"truncated: {mp3.frames} of {frames} frames")
    return _with_header(mp3, [start, behind], data) if size and mp3.frames == frames else mp3


def _with_header(mp3: Mp3, header: list[int], data: mmap) -> Mp3:
    """The same, with the frame in front that states how many there are."""
    (begin, end), *others = mp3.spans
    is_plain = header[0] == _behind_id3(data) and header[1] == begin and not others
    is_plain = is_plain and len(data) - end in (0, ID3V1)
    return mp3._replace(spans=[header, *mp3.spans], is_stated=True, is_plain=is_plain)


def _count(data: mmap, start: int, first: Header, free: int) -> Mp3:
    spans: list[list[int]] = []
    frames = largest = 0
    for place, size in _frames(data, start, first.form, free):
        frames, largest = frames + 1, max(largest, size)
        if spans and spans[-1][1] == place:
            spans[-1][1] = place + size
        else:
            spans.append([place, place + size])
    if not frames:
        raise ValueError("empty: no samples")
    return Mp3(spans, first.form.rate, frames, frames * first.samples, largest)


def _frames(
    data: mmap, place: int | None, form: Form, free: int
) -> Iterator[tuple[int, int]]:
    """Where each frame is, and its size; tags and damage between them are passed over."""
    while place is not None:
        header = _header(data, place)
        if header is None or header.form != form:
            place = _find(data, place, len(data))
            header = None if place is None else _header(data, place)
            if header is not None and header.form != form:
                raise ValueError("its rate or number of channels changes on the way")
        elif place + header.size + free > len(data):
            raise ValueError(f"truncated: {len(data) - place} of {header.size + free} bytes of its "
                             "last frame")
        else:
            yield place, header.size + free
            place += header.size + free


def _header(data: mmap, place: int) -> Header | None:
    return parse_header(data[place:place + 4])


def _find(data: mmap, place: int, end: int) -> int | None:
    """Where the next frames in a row begin, before `end`."""
    while (place := data.find(b"\xff", place, end)) >= 0:
        if _is_row(data, place):
            return place
        place += 1
    return None


def _is_row(data: mmap, place: int, may_be_cut: bool = False) -> bool:
    """Whether some frames follow each other here, or all up to the end."""
    first = _header(data, place)
    free = _free_size(data, place)
    for _ in range(FREE_IN_A_ROW if free else IN_A_ROW):
        header = _header(data, place)
        if header is None or first is None or header.form != first.form:
            return False
        if header.form.is_free and not free:
            return False
        place += header.size + free
        if place >= len(data):
            return may_be_cut or place == len(data)
    return True


def _free_size(data: mmap, place: int) -> int:
    """The bytes of a frame in free format, padding apart: as far as to the next one, and again.

    0 for one that states how many kilobits it has.
    """
    first = _header(data, place)
    if first is None or not first.form.is_free:
        return 0
    for size in range(TAG_BY, LARGEST_FREE):
        second = _header(data, place + first.size + size)
        if second and second.form == first.form:
            third = _header(data, place + first.size + second.size + 2 * size)
            if third and third.form == first.form:
                return size
    return 0


def _stated(frame: bytes) -> tuple[int, int] | None:
    """How many frames and bytes a header frame states; 0 where it does not; None for sound."""
    if frame[36:40] == b"VBRI":  # which libsndfile does not understand
        return int.from_bytes(frame[50:54]), 0
    place = max(frame.find(name, 0, TAG_BY) for name in (b"Xing", b"Info"))
    if place < 0:
        return None
    flags, *numbers = struct.unpack(">3I", frame[place + 4:place + 16])
    return (numbers.pop(0) if flags & 1 else 0), (numbers.pop(0) if flags & 2 else 0)


def _behind_id3(data: mmap) -> int:
    """Where the tags in front of the frames end."""
    place = 0
    while data[place:place + 3] == b"ID3":
        place += 10 + sum(byte << shift for byte, shift in zip(data[place + 6:place + 10], (21, 14, 7, 0)))
    return place if place < len(data) else 0
