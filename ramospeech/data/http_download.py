"""Resumable downloads of large files over HTTP.

`requests` reports when less arrives than was announced, and knows proxies and certificates. Other
libraries do less: Lhotse's `resumable_download` (1.33) appends a whole file to the existing part if
a server ignores the requested range, takes a broken connection for the end, and needs eleven
packages; Pooch (1.9) does not resume.
"""

import re
import time
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from ramospeech.data.preparation import CorpusError
from ramospeech.utils.files import brief

__all__ = ["download_rest"]

TRIES = 5  # in a row, without a byte
TIMEOUT = 60  # seconds, without a byte
CHUNK = 1 << 16  # bytes


def download_rest(url: str, file: BinaryIO, size: int, bar: "tqdm[NoReturn]") -> None:
    """Append to `file` what it lacks of `size` bytes; retry while data arrives.

    Raises CorpusError if no more arrives, or the server answers with anything else.
    """
    failures = 0
    while (have := file.tell()) < size:
        reason = "nothing arrived"
        try:
            for chunk in _request(url, have, size):
                bar.update(_write(file, chunk[:size - file.tell()]))
        except (requests.RequestException, HTTPError) as error:
            reason = brief(error)
        failures = 0 if file.tell() > have else failures + 1
        if failures == TRIES:
            raise CorpusError(reason)
        time.sleep(2 ** failures - 1)


def _write(file: BinaryIO, chunk: bytes) -> int:
    """Write all of it: an unbuffered file may accept less at once."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest):]
    return len(chunk)


def _request(url: str, have: int, size: int) -> Iterator[bytes]:
    """The bytes from position `have` on."""
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        skip = _bytes_to_skip(response, have, size)
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            yield chunk[skip:]
            skip = max(0, skip - len(chunk))


def _bytes_to_skip(response: requests.Response, have: int, size: int) -> int:
    """0, or `have` if the server ignored the range. Raises CorpusError if a retry would not help."""
    status, headers = response.status_code, response.headers
    if status >= 500 or status == 429:
        response.raise_for_status()  # perhaps a temporary fault
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise CorpusError(f"asked for the bytes from {have} on, the server sent "
                              f"{headers.get('Content-Range')}")
        skip, total = 0, found[2]
    elif status == 200 and not headers.get("Content-Type", "").startswith("text/"):
        skip, total = have, headers.get("Content-Length", "*")  # the whole file
    else:
        raise CorpusError(f"the server answered {status} {response.reason}, "
                          f"{headers.get('Content-Type')}")
    if total not in ("*", str(size)):
        raise CorpusError(f"the server's file has {total} bytes instead of {size}")
    return skip
