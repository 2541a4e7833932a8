"""Pages of an Ogg file: detect truncation and repair a missing end-of-stream flag."""

import zlib
from typing import BinaryIO, NamedTuple

from ramospeech.audio.containers import patched_copy

__all__ = ["Page", "check_one_stream", "last_page", "marked_copy"]

HEADER = 27  # bytes, followed by a table of at most 255 segment sizes, and the segments
MAX_PAGE = HEADER + 255 + 255 * 255
FIRST, LAST = 2, 4  # flags: first page of a stream, last page of a stream


class Page(NamedTuple):
    """A page of an Ogg file, from byte `start`."""

    start: int
    content: bytes

    @property
    def size(self) -> int:
        """The size in bytes according to its header."""
        segments = self.content[HEADER - 1]
        return HEADER + segments + sum(self.content[HEADER:HEADER + segments])

    @property
    def is_marked(self) -> bool:
        """Whether the end-of-stream flag is set."""
        return bool(self.content[5] & LAST)


def last_page(file: BinaryIO, size: int) -> Page:
    """Return the last page of an Ogg file. Raises ValueError if the file is truncated."""
    start = max(0, size - MAX_PAGE)
    file.seek(start)
    end = file.read()
    place = end.rfind(b"OggS")
    page = Page(start + place, end[place:])
    if place < 0 or len(page.content) < HEADER or len(page.content) < page.size:
        raise ValueError("truncated: its last page is missing")
    return page._replace(content=page.content[:page.size])


def check_one_stream(file: BinaryIO, last: Page) -> None:
    """Raise ValueError for concatenated Ogg files, of which libsndfile reads only the first."""
    place, streams = 0, set()
    while True:
        file.seek(place)
        head = file.read(HEADER + 255)
        if len(head) < HEADER or not head[5] & FIRST:
            break
        streams.add(head[14:18])
        place += Page(place, head).size
    if last.content[14:18] not in streams:
        raise ValueError("several recordings concatenated, of which only the first would be read; split them")


def marked_copy(file: BinaryIO, last: Page) -> BinaryIO:
    """Return a copy with the end-of-stream flag set, without which libsndfile cannot read Opus."""
    content = bytearray(last.content)
    content[5] |= LAST
    content[22:26] = bytes(4)
    content[22:26] = _checksum(content).to_bytes(4, "little")
    return patched_copy(file, last.start, bytes(content))


def _checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC-32: zlib's with bits in reverse order and without the inversions."""
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    found = zlib.crc32(page.translate(reverse), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2)
