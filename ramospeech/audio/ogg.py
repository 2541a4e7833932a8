"""The pages of an Ogg file: whether the last one is there, and says so."""

import zlib
from typing import BinaryIO, NamedTuple

from ramospeech.audio.containers import patched_copy

HEADER = 27  # bytes of a page; a table of the sizes of its parts follows, of 255 at most, and these
LONGEST = HEADER + 255 + 255 * 255
FIRST, LAST = 2, 4  # flags: of the first page of a stream and of the last


class Page(NamedTuple):
    """A page of an Ogg file."""

    start: int
    content: bytes

    @property
    def size(self) -> int:
        """As it states itself."""
        parts = self.content[HEADER - 1]
        return HEADER + parts + sum(self.content[HEADER:HEADER + parts])

    @property
    def is_marked(self) -> bool:
        """Whether it says that it is the last."""
        return bool(self.content[5] & LAST)


def last_page(file: BinaryIO, size: int) -> Page:
    """The last page of an Ogg file. Raises ValueError where it was cut off."""
    start = max(0, size - LONGEST)
    file.seek(start)
    end = file.read()
    place = end.rfind(b"OggS")
    page = Page(start + place, end[place:])
    if place < 0 or len(page.content) < HEADER or len(page.content) < page.size:
        raise ValueError("truncated: its last page is missing")
    return page._replace(content=page.content[:page.size])


def check_one_stream(file: BinaryIO, last: Page) -> None:
    """Raise ValueError where Ogg files were joined: libsndfile would read the first of them only."""
    place, streams = 0, set()
    while True:
        file.seek(place)
        head = file.read(HEADER + 255)
        if len(head) < HEADER or not head[5] & FIRST:
            break
        streams.add(head[14:18])
        place += Page(place, head).size
    if last.content[14:18] not in streams:
        raise ValueError("several recordings joined, of which only the first would be read")


def marked_copy(file: BinaryIO, last: Page) -> BinaryIO:
    """A copy of an Ogg file whose last page says that it is the last; without, libsndfile fails at
    Opus files.
    """
    content = bytearray(last.content)
    content[5] |= LAST
    content[22:26] = bytes(4)
    content[22:26] = _checksum(content).to_bytes(4, "little")
    return patched_copy(file, last.start, bytes(content))


def _checksum(page: bytes | bytearray) -> int:
    """Ogg's: zlib's of the bits in reverse order, without its inversions."""
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    found = zlib.crc32(page.translate(reverse), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{found:032b}"[::-1], 2)
