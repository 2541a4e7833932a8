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

KBITS = {  # a second, by the 4 bits that a header has for them; 0 stands for "free"
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 and 2.5
}
RATES = (44_100, 48_000, 32_000)  # of MPEG-1; half of it in MPEG-2, a quarter in MPEG-2.5
HALVINGS = {3: 0, 2: 1, 0: 2}  # by the 2 bits of a header for the version
LAYER_3, MONO = 1, 3  # what 2 bits say
IN_A_ROW = 3  # frames of one form that follow each other are no accident
FARTHEST = 1 << 16  # bytes in front of the first frame, tags apart; with more it is something else
LARGEST_FREE = 4096  # bytes of a frame in free format
TAG_BY = 44  # bytes into a frame: until there a Xing or Info header has begun
PART = 1 << 20  # bytes copied at once


class Header(NamedTuple):
    """What the 4 bytes in front of a frame say."""

    form: tuple[int, bool, bool]  # samples a second, one channel, free format: alike in all frames
    size: int  # bytes, header included; in free format of the padding alone
    samples: int


class Mp3(NamedTuple):
    """What was found in an MP3 file."""

    spans: list[list[int]]  # where its frames begin and end, but for a header's in front
    rate: int
    frames: int
    samples: int
    largest: int  # bytes of a frame
    is_stated: bool  # whether a header in front of nothing but frames states just as many


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

    It takes a file to hold as many frames as would fit in, were they all as large as the first: the
    copy is made that long. Whoever reads it has to stop at `mp3.samples`.
    """
    copy = TemporaryFile()
    for start, end in mp3.spans:
        file.seek(start)
        for place in range(start, end, PART):
            copy.write(file.read(min(PART, end - place)))
    copy.truncate(max(copy.tell(), (mp3.frames + IN_A_ROW) * mp3.largest))
    return copy


@lru_cache(maxsize=4096)
def parse_header(header: bytes) -> Header | None:
    """The 4 bytes in front of a frame of MPEG layer III; None where they are something else."""
    bits = int.from_bytes(header)
    version, kbits, rate = bits >> 19 & 3, bits >> 12 & 15, bits >> 10 & 3
    is_sync = len(header) == 4 and bits >> 21 == 0x7FF and bits >> 17 & 3 == LAYER_3
    if not is_sync or version not in HALVINGS or kbits == 15 or rate == 3:
        return None
    is_first, is_mono, padding = version == 3, bits >> 6 & 3 == MONO, bits >> 9 & 1
    hertz, samples = RATES[rate] >> HALVINGS[version], 1152 if is_first else 576
    size = samples // 8 * KBITS[is_first][kbits] * 1000 // hertz + padding
    return Header((hertz, is_mono, kbits == 0), size, samples)


def _read(data: mmap, start: int) -> Mp3:
    first, free = _header(data, start), _free_size(data, start)
    assert first is not None  # a row of frames begins here
    behind = start + first.size + free
    stated = _stated(data[start:behind])
    if stated is None:
        return _count(data, start, first, free)
    frames, size = stated
    is_plain = bool(frames and size) and start == _behind_id3(data)
    if is_plain and _ends(data, start + size):  # no need to count
        return Mp3([[behind, start + size]], first.form[0], frames, frames * first.samples, 0, True)
    mp3 = _count(data, behind, first, free)
    _check_stated(frames, size, mp3.frames, len(data) - start)
    is_plain = is_plain and len(mp3.spans) == 1 and mp3.spans[0][0] == behind
    return mp3._replace(is_stated=is_plain and mp3.frames == frames)


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
    return Mp3(spans, first.form[0], frames, frames * first.samples, largest, is_stated=False)


def _ends(data: mmap, place: int) -> bool:
    """Whether no frame follows, and none is missing."""
    return place <= len(data) and _header(data, place) is None


def _frames(
    data: mmap, place: int | None, form: tuple[int, bool, bool], free: int
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
    """Whether frames follow each other here, three at least or all up to the end."""
    first = _header(data, place)
    free = _free_size(data, place)
    for _ in range(IN_A_ROW):
        header = _header(data, place)
        if header is None or first is None or header.form != first.form:
            return False
        if header.form[2] and not free:
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
    if first is None or not first.form[2]:
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


def _check_stated(frames: int, size: int, found: int, found_size: int) -> None:
    """Raise ValueError where frames are missing; some encoders count the one in front as well."""
    missing = frames - found
    if missing > 1 or (missing == 1 and found_size < size):
        raise ValueError(f"truncated: {found} of {frames} frames")


def _behind_id3(data: mmap) -> int:
    """Where the tags in front of the frames end."""
    place = 0
    while data[place:place + 3] == b"ID3":
        place += 10 + sum(byte << shift for byte, shift in zip(data[place + 6:place + 10], (21, 14, 7, 0)))
    return place if place < len(data) else 0
