"""Recordings opened for reading: libsndfile decodes them, what it would misread is mended first."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from ramospeech.audio.containers import check_sound, find_sound, finished_copy, is_unfinished
from ramospeech.audio.mp3 import Mp3, bare_copy, find_mp3
from ramospeech.audio.not_audio import BEGIN, describe, ffmpeg_line
from ramospeech.audio.ogg import check_one_stream, last_page, marked_copy
from ramospeech.utils.errors import RamoSpeechError

RATES = range(1_000, 1_000_001)  # samples a second; beyond it a header is wrong
UNSTATED = 1 << 58  # samples; libsndfile says more where a header does not state how many there are
COUNTED = 10.0  # seconds decoded at once to find out how many there are
NOT_FINITE = "holds samples that are not finite numbers"


class AudioError(RamoSpeechError):
    """A recording that cannot be used; the message names the file and says why."""


class Recording(soundfile.SoundFile):
    """A recording that is read on from where it stands, to the end.

    `samples` is how many it has, or None where nothing tells.
    """

    def __init__(self, source: BinaryIO, samples: int | None = None) -> None:
        source.flush()
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        super().__init__(source.fileno(), closefd=False)  # by number: its content decides, no name
        check_rate(self.samplerate)
        self.samples = samples or (self.frames if self.frames < UNSTATED else None)

    def seekable(self) -> bool:
        """No: a `SoundFile` that can seek does so after each read, to where it is already. An MP3
        decoder then forgets what earlier frames hold of the next ones.
        """
        return False

    def blocks(self, seconds: float) -> Iterator[np.ndarray]:
        """All samples, `(samples, channels)` of so many seconds each. Raises ValueError."""
        length, read = max(1, round(seconds * self.samplerate)), 0
        while self.samples is None or read < self.samples:
            wanted = length if self.samples is None else min(length, self.samples - read)
            block = self.read(wanted, dtype="float32", always_2d=True)
            if len(block) == 0:
                break
            if not np.isfinite(block).all():
                raise ValueError(NOT_FINITE)
            read += len(block)
            yield block
        if self.samples is not None and read < self.samples:
            raise ValueError(f"truncated: {read} of {self.samples} samples")


def check_rate(rate: int) -> None:
    """Raise ValueError for a rate that no recording has (below 1 kHz, above 1 MHz)."""
    if rate not in RATES:
        raise ValueError(f"a rate of {rate} samples a second is not one of sound")


@contextmanager
def open_recording(path: Path) -> Iterator[Recording]:
    """A recording to read from. Whatever goes wrong meanwhile is raised as AudioError."""
    with (_naming(path), _open_bytes(path) as file,
          _decoder(file, _find_mp3(file), path) as recording):
        yield recording


def count_samples(path: Path) -> tuple[int, int]:
    """How many samples a recording has, of one channel, and how many there are a second.

    Only what neither states nor betrays it is decoded to find out. Raises AudioError.
    """
    with _naming(path), _open_bytes(path) as file:
        mp3 = _find_mp3(file)
        if mp3 and not mp3.is_stated:
            return mp3.samples, mp3.rate
        with _decoder(file, mp3, path) as recording:
            if recording.samples is None:
                return sum(map(len, recording.blocks(COUNTED))), recording.samplerate
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
        way_out = (f"; get it again, or keep what is there: {ffmpeg_line(path)}"
                   if str(error).startswith("truncated: ") else "")
        raise AudioError(f"{path}: {error}{way_out}") from None


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


def _begin(file: BinaryIO) -> bytes:
    return os.pread(file.fileno(), BEGIN, 0)


def _find_mp3(file: BinaryIO) -> Mp3 | None:
    """The frames of what begins like an MP3 file."""
    return find_mp3(file, _size(file)) if _begin(file).startswith((b"\xff", b"ID3")) else None


@contextmanager
def _decoder(file: BinaryIO, mp3: Mp3 | None, path: Path) -> Iterator[Recording]:
    """What decodes an open file, whose frames are known if it begins like an MP3 file."""
    with ExitStack() as stack:
        try:
            recording = _decode(file, mp3, stack)
        except soundfile.LibsndfileError as error:
            mp3 = mp3 or find_mp3(file, _size(file))  # behind something else
            if mp3 is None:
                raise ValueError(describe(path, _begin(file), error.error_string)) from None
            recording = _decode(file, mp3, stack)
        if mp3 is None and recording.format == "MP3":  # libsndfile takes AAC for it, and hears noise
            raise ValueError(describe(path, _begin(file), "no MP3 file, though it begins like one"))
        yield recording


def _decode(file: BinaryIO, mp3: Mp3 | None, stack: ExitStack) -> Recording:
    """What decodes the file, or a copy of it that libsndfile reads rightly."""
    source = _finished(file) if mp3 is None else file if mp3.is_plain else bare_copy(file, mp3)
    samples = None if mp3 is None or mp3.is_stated else mp3.samples
    return stack.enter_context(Recording(stack.enter_context(source), samples))


def _finished(file: BinaryIO) -> BinaryIO:
    """The file, or a copy whose end is marked as it should be. Raises ValueError where it is cut."""
    size = _size(file)
    if _begin(file).startswith(b"OggS"):
        last = last_page(file, size)
        check_one_stream(file, last)
        return file if last.is_marked else marked_copy(file, last)
    sound = find_sound(file, size)
    if sound is None:
        return file
    check_sound(sound)
    return finished_copy(file, sound) if is_unfinished(file, sound, size) else file
