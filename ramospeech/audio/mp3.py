"""Count the frames of an MP3 file, because nothing else gives its exact length.

A frame has a 4-byte header, which determines its size, and 1,152 compressed samples (576 below
32 kHz). Encoders may write an info frame first (Xing, Info or VBRI) with the number of frames.
Without one, libsndfile divides the file size by the size of the first frame, regardless of tags and
of the other frames' sizes, and gets too many or too few samples.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

__all__ = ["Form", "Header", "Mp3", "bare_copy", "find_mp3", "parse_header"]

LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
KBITS = {  # per second, by layer, whether MPEG-1, and 4 header bits; 0 means free format
    (3, True): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, True): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, False): LOW, (2, False): LOW,
}
RATES = (44_100, 48_000, 32_000)  # in MPEG-1; half in MPEG-2, a quarter in MPEG-2.5
HALVINGS = {3: 0, 2: 1, 0: 2}  # by the version bits
LAYERS = {1: 3, 2: 2}  # by the layer bits: MP3 is layer III, MP2 layer II
MONO = 3  # channel mode bits
IN_A_ROW = 3  # consecutive frames of the same form are not a coincidence
FREE_IN_A_ROW = 10  # the same in free format, where any distance would do
MAX_JUNK = 1 << 16  # bytes before the first frame, not counting tags
MAX_FREE = 4096  # bytes of a frame in free format
INFO_BY = 44  # bytes into a frame by which a Xing or Info header has begun
ID3V1 = 128  # bytes of the tag after the frames that every decoder skips
CHUNK = 1 << 20  # bytes copied at a time


class Form(NamedTuple):
    """What all frames of a file have in common."""

    layer: int
    rate: int  # hertz
    is_mono: bool
    is_free: bool  # "free format": headers do not state the bit rate


class Header(NamedTuple):
    """The parsed header of a frame."""

    form: Form
    size: int  # bytes including the header; in free format only the padding
    samples: int


class Mp3(NamedTuple):
    """The frames of an MP3 file."""

    spans: list[list[int]]  # byte ranges of the frames, the info frame first if it is correct
    rate: int
    frames: int
    samples: int
    largest: int = 0  # bytes of a frame
    is_stated: bool = False  # whether a Xing or Info frame states the same number of frames
    is_plain: bool = False  # whether the file has nothing but frames and tags


def find_mp3(file: BinaryIO, size: int) -> Mp3 | None:
    """Return the frames of an open file of `size` bytes; None if it is not an MP3 file.

    Raises ValueError if it is truncated or its sample rate changes.
    """
    with mmap(file.fileno(), size, access=ACCESS_READ) as data:
        start = _skip_id3(data)
        if _is_row(data, start, may_be_cut=True):
            return _read(data, start)
        found = _find(data, start, min(len(data), start + MAX_JUNK))
        return None if found is None else _read(data, found)


def bare_copy(file: BinaryIO, mp3: Mp3) -> BinaryIO:
    """Return a copy with only the frames, long enough for libsndfile to read all of them.

    Without an info frame, libsndfile assumes that all frames are as large as the first. So the copy
    is padded to that length, and its reader has to stop at `mp3.samples`.
    """
    copy = TemporaryFile()
    for start, end in mp3.spans:
        file.seek(start)
        for place in range(start, end, CHUNK):
            copy.write(file.read(min(CHUNK, end - place)))
    if not mp3.is_stated:
        copy.truncate(max(copy.tell(), (mp3.frames + IN_A_ROW) * mp3.largest))
    return copy


@lru_cache(maxsize=4096)
def parse_header(header: bytes) -> Header | None:
    """Parse the 4-byte header of an MPEG layer III or II frame; None if it is not one."""
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
    assert first is not None  # frames start here
    end = start + first.size + free
    stated = _stated(data[start:end])
    if stated is None:
        return _count(data, start, first, free)
    frames, size = stated
    if frames and size and start + size <= len(data) and _find(data, start + size, len(data)) is None:
        mp3 = Mp3([[end, start + size]], first.form.rate, frames, frames * first.samples)
    else:
        mp3 = _count(data, end, first, free)
        if mp3.frames < frames:
            raise ValueError(f"truncated: {mp3.frames} of {frames} frames")
    return _with_info(mp3, [start, end], data) if size and mp3.frames == frames else mp3


def _with_info(mp3: Mp3, header: list[int], data: mmap) -> Mp3:
    """Add the info frame that states the number of frames."""
    (begin, end), *others = mp3.spans
    is_plain = header[0] == _skip_id3(data) and header[1] == begin and not others
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
    """Yield the position and size of each frame; skip tags and damage between them."""
    while place is not None:
        header = _header(data, place)
        if header is None or header.form != form:
            place = _find(data, place, len(data))
            header = None if place is None else _header(data, place)
            if header is not None and header.form != form:
                raise ValueError("its sample rate or number of channels changes")
        elif place + header.size + free > len(data):
            raise ValueError(f"truncated: {len(data) - place} of {header.size + free} bytes of its "
                             "last frame")
        else:
            yield place, header.size + free
            place += header.size + free


def _header(data: mmap, place: int) -> Header | None:
    return parse_header(data[place:place + 4])


def _find(data: mmap, place: int, end: int) -> int | None:
    """Return where the next consecutive frames start, before `end`."""
    while (place := data.find(b"\xff", place, end)) >= 0:
        if _is_row(data, place):
            return place
        place += 1
    return None


def _is_row(data: mmap, place: int, may_be_cut: bool = False) -> bool:
    """Return whether several frames follow each other here, or all up to the end."""
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
    """Return the size of a free-format frame without padding: the distance of the next two frames.

    0 if the frame states its bit rate.
    """
    first = _header(data, place)
    if first is None or not first.form.is_free:
        return 0
    for size in range(INFO_BY, MAX_FREE):
        second = _header(data, place + first.size + size)
        if second and second.form == first.form:
            third = _header(data, place + first.size + second.size + 2 * size)
            if third and third.form == first.form:
                return size
    return 0


def _stated(frame: bytes) -> tuple[int, int] | None:
    """Return the frames and bytes that an info frame states (0 if not stated); None for audio."""
    if frame[36:40] == b"VBRI":  # not supported by libsndfile
        return int.from_bytes(frame[50:54]), 0
    place = max(frame.find(name, 0, INFO_BY) for name in (b"Xing", b"Info"))
    if place < 0:
        return None
    flags, *numbers = struct.unpack(">3I", frame[place + 4:place + 16])
    return (numbers.pop(0) if flags & 1 else 0), (numbers.pop(0) if flags & 2 else 0)


def _skip_id3(data: mmap) -> int:
    """Return where the tags before the frames end."""
    place = 0
    while data[place:place + 3] == b"ID3":
        place += 10 + sum(byte << shift for byte, shift in zip(data[place + 6:place + 10], (21, 14, 7, 0)))
    return place if place < len(data) else 0
