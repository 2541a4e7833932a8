"""Open recordings for decoding by libsndfile, after repairing or rejecting what it would misread."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from ramospeech.audio.containers import check_sound, find_sound, finished_copy, is_unfinished
from ramospeech.audio.mp3 import Mp3, bare_copy, find_mp3
from ramospeech.audio.unsupported import SIGNATURE_BYTES, describe, ffmpeg_command
from ramospeech.audio.ogg import check_one_stream, last_page, marked_copy
from ramospeech.utils.errors import RamoSpeechError

__all__ = ["AudioError", "Recording", "check_rate", "count_samples", "open_recording"]

RATES = range(1_000, 1_000_001)  # hertz; any other rate is a broken header
UNSTATED = 1 << 58  # samples; libsndfile returns more than this if the header states no length
BLOCK = 10.0  # seconds decoded at a time to count samples
NOT_FINITE = "holds samples that are not finite numbers"


class AudioError(RamoSpeechError):
    """A recording that cannot be used; the message names the file and the reason."""


class Recording(soundfile.SoundFile):
    """A recording that is read sequentially; `samples` is its length, or None if unknown."""

    def __init__(self, source: BinaryIO, samples: int | None = None) -> None:
        source.flush()
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        super().__init__(source.fileno(), closefd=False)  # without a name, so that only the content decides
        check_rate(self.samplerate)
        self.samples = samples or (self.frames if self.frames < UNSTATED else None)

    def seekable(self) -> bool:
        """Return False: a seekable `SoundFile` seeks to its own position after each read, and an MP3
        decoder then loses the bits that earlier frames hold for the next ones.
        """
        return False

    def blocks(self, seconds: float) -> Iterator[np.ndarray]:
        """Yield all samples as blocks `(samples, channels)` of `seconds` each. Raises ValueError."""
        length, read = max(1, round(seconds * self.samplerate)), 0
        while self.samples is None or read < self.samples:
            count = length if self.samples is None else min(length, self.samples - read)
            block = self.read(count, dtype="float32", always_2d=True)
            if len(block) == 0:
                break
            if not np.isfinite(block).all():
                raise ValueError(NOT_FINITE)
            read += len(block)
            yield block
        if self.samples is not None and read < self.samples:
            raise ValueError(f"truncated: {read} of {self.samples} samples")


def check_rate(rate: int) -> None:
    """Raise ValueError for an implausible sample rate (below 1 kHz or above 1 MHz)."""
    if rate not in RATES:
        raise ValueError(f"implausible sample rate: {rate} Hz")


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """Open a recording; errors until it is closed are raised as AudioError, naming the file."""
    with (_naming(path), _open_bytes(path) as file,
          _decoder(file, _find_mp3(file), path) as recording):
        yield recording


def count_samples(path: Path) -> tuple[int, int]:
    """Return the number of samples per channel and the sample rate.

    Decodes the file only if its headers do not give the length. Raises AudioError.
    """
    with _naming(path), _open_bytes(path) as file:
        mp3 = _find_mp3(file)
        if mp3 and not mp3.is_stated:
            return mp3.samples, mp3.rate
        with _decoder(file, mp3, path) as recording:
            if recording.samples is None:
                return sum(map(len, recording.blocks(BLOCK))), recording.samplerate
            return recording.samples, recording.samplerate


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from None
    except soundfile.LibsndfileError as error:
        reason = error.error_string.removeprefix("Error : ")
        raise AudioError(f"{path}: cannot be decoded ({reason})") from None
    except (ValueError, MemoryError) as error:
        advice = (f"; download it again, or keep what is left: {ffmpeg_command(path)}"
                   if str(error).startswith("truncated: ") else "")
        raise AudioError(f"{path}: {error}{advice}") from None


def _open_bytes(path: Path) -> BinaryIO:
    if not path.is_file():
        raise ValueError("a folder, not a file" if path.is_dir() else
                         "a pipe or a device: save it as a file first" if path.exists() else
                         "no such file")
    file = open(path, "rb", buffering=0)
    if _size(file) == 0:
        file.close()
        raise ValueError("empty: no bytes")
    return file


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _signature(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), SIGNATURE_BYTES, 0)


def _find_mp3(file: BinaryIO) -> Mp3 | None:
    """Parse a file that begins like an MP3 file."""
    return find_mp3(file, _size(file)) if _signature(file).startswith((b"\xff", b"ID3")) else None


@contextmanager
def _decoder(file: BinaryIO, mp3: Mp3 | None, path: Path) -> Iterator[Recording]:
    """Decode an open file; `mp3` is given if it begins like an MP3 file."""
    with ExitStack() as stack:
        try:
            recording = _decode(file, mp3, stack)
        except soundfile.LibsndfileError as error:
            mp3 = mp3 or find_mp3(file, _size(file))  # after other data
            if mp3 is None:
                raise ValueError(describe(path, _signature(file), error.error_string)) from None
            recording = _decode(file, mp3, stack)
        if mp3 is None and recording.format == "MP3":  # libsndfile decodes AAC as MP3, to noise
            raise ValueError(describe(path, _signature(file), "not an MP3 file, although it begins like one"))
        yield recording


def _decode(file: BinaryIO, mp3: Mp3 | None, stack: ExitStack) -> Recording:
    """Decode the file, or a repaired copy that libsndfile reads correctly."""
    source = _complete(file) if mp3 is None else file if mp3.is_plain else bare_copy(file, mp3)
    samples = None if mp3 is None or mp3.is_stated else mp3.samples
    return stack.enter_context(Recording(stack.enter_context(source), samples))


def _complete(file: BinaryIO) -> BinaryIO:
    """Return the file, or a copy with a repaired header or end. Raises ValueError if it is truncated."""
    size = _size(file)
    if _signature(file).startswith(b"OggS"):
        last = last_page(file, size)
        check_one_stream(file, last)
        return file if last.is_marked else marked_copy(file, last)
    sound = find_sound(file, size)
    if sound is None:
        return file
    check_sound(sound)
    return finished_copy(file, sound) if is_unfinished(file, sound, size) else file
