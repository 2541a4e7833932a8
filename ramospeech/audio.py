"""From a file to a waveform: any format that libsndfile reads, 16 kHz, one channel."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torchaudio.transforms import Resample

SAMPLE_RATE = 16_000  # samples a second
SILENCE = 1e-4  # a swing below this, of the full scale 1.0, holds no speech
RATES = range(1_000, 1_000_001)  # samples a second; beyond it a header is wrong
FINEST_RATIO = 1_000  # the largest number in a ratio of two rates
ENDLESS = 0x7FFFF000  # a WAV header that never learnt its length states this or more
UNSTATED = 1 << 58  # samples; libsndfile says more where a FLAC header, written to a pipe, says none
NOT_FINITE = "holds samples that are not finite numbers"
LONGEST_PAGE = 27 + 255 + 255 * 255  # bytes of a page of an Ogg file: header, table, body


class AudioError(ValueError):
    """A recording that cannot be used; the message names the file and says why."""


def load_audio(path: Path | str) -> Tensor:
    """Read a recording: `(samples,)`, float32, 16 kHz, channels averaged, full scale 1.0.

    Reads WAV, FLAC, OGG and MP3 at any rate. Raises AudioError, naming the file, where it is
    missing, not audio, empty, truncated, silent or not finite. (An MP3 file that does not state
    its length may be cut unnoticed: nothing in it tells.)
    """
    with _open(Path(path)) as file:
        samples = _read_whole(file)  # (samples, channels)
        waveform = check_waveform(torch.from_numpy(samples).mean(dim=1))
        return resample(waveform, file.samplerate)


def audio_seconds(path: Path | str) -> float:
    """The length of a recording, read from its header. Raises AudioError."""
    with _open(Path(path)) as file:
        return file.frames / file.samplerate


@contextmanager
def _open(path: Path) -> Iterator[soundfile.SoundFile]:
    """An audio file to read from; whatever goes wrong with it names it."""
    try:
        _check_is_whole(path)
        with soundfile.SoundFile(os.fsencode(path)) as file:  # a name may be in any encoding
            _check_header(file)
            yield file
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from None
    except soundfile.LibsndfileError as error:
        reason = error.error_string.removeprefix("Error : ")
        raise AudioError(f"{path}: cannot be decoded ({reason})") from None
    except TypeError:  # what soundfile raises for names that end in .raw
        raise AudioError(f"{path}: raw samples, without a header that states their rate") from None
    except (ValueError, MemoryError) as error:
        raise AudioError(f"{path}: {error}") from None


def read_blocks(path: Path | str, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """A recording bit by bit: `(samples,)` of so many seconds, channels averaged, and their rate.

    For recordings that are too long to be held whole. Raises AudioError, as `load_audio` does, but
    for what is silent: that is for whoever has seen all blocks to say.
    """
    with _open(Path(path)) as file:
        length, read = round(seconds * file.samplerate), 0
        while len(block := file.read(length, dtype="float32", always_2d=True)):
            read += len(block)
            if not np.isfinite(block).all():
                raise ValueError(NOT_FINITE)
            yield block.mean(axis=1), file.samplerate
        _check_count(read, file.frames)


def _read_whole(file: soundfile.SoundFile) -> np.ndarray:
    samples = file.read(file.frames, dtype="float32", always_2d=True)
    _check_count(len(samples), file.frames)
    return samples


def _check_header(file: soundfile.SoundFile) -> None:
    _check_rate(file.samplerate)
    if file.frames >= UNSTATED:
        raise ValueError("its header does not state how long it is; convert it to WAV")


def _check_rate(rate: int) -> None:
    if rate not in RATES:
        raise ValueError(f"a rate of {rate} samples a second is not one of sound")


def _check_count(read: int, stated: int) -> None:
    if read < stated:
        raise ValueError(f"truncated: {read} of {stated} samples")


def _check_is_whole(path: Path) -> None:
    """libsndfile reads WAV and OGG files that were cut off without a word; the bytes tell."""
    if not path.is_file():
        raise ValueError("a folder, not a file" if path.is_dir() else
                         "a pipe or a device: save it as a file first" if path.exists() else
                         "no such file")
    with open(path, "rb") as file:
        size, format_name = os.fstat(file.fileno()).st_size, file.read(4)
        if size == 0:
            raise ValueError("empty: no bytes")
        if format_name == b"RIFF":
            _check_wav_is_whole(file, size)
        elif format_name == b"OggS":
            file.seek(max(0, size - LONGEST_PAGE))
            _check_ogg_is_whole(file.read())


def _check_wav_is_whole(file, size: int) -> None:
    """The chunk `data` of a WAV file states how many bytes of samples follow it."""
    file.seek(12)  # RIFF, a length that many programs write wrong, WAVE; then the chunks
    while len(header := file.read(8)) == 8:
        name, stated = struct.unpack("<4sI", header)
        if name == b"data":
            if (actual := size - file.tell()) < stated < ENDLESS:
                raise ValueError(f"truncated: {actual} of {stated} bytes of samples")
            return
        file.seek(stated + stated % 2, os.SEEK_CUR)


def _check_ogg_is_whole(end: bytes) -> None:
    """The last page of an Ogg file is marked, and its table states how long it is."""
    page = end[end.rfind(b"OggS"):]
    table = page[27:27 + page[26]] if len(page) > 26 else b""
    is_last, is_whole = table and page[5] & 4, len(page) >= 27 + len(table) + sum(table)
    if not (is_last and is_whole):
        raise ValueError("truncated: its last page is missing")


def resample(waveform: Tensor, rate: int) -> Tensor:
    """`(samples,)` at `rate` samples a second to `(samples,)` at 16 kHz.

    Raises ValueError for a rate that no recording has (below 1 kHz, above 1 MHz).
    """
    if rate == SAMPLE_RATE:
        return waveform
    _check_rate(rate)
    return _resampler(*_simple_ratio(rate, SAMPLE_RATE))(waveform)


def _simple_ratio(old_rate: int, new_rate: int) -> tuple[int, int]:
    """Two small numbers in the ratio of two rates, such as 441 and 320 for 22,050 and 16,000.

    The filter holds about their product. For 44,101 and 16,000 it would fill 20 GB, so large
    numbers are rounded; the tempo is off by less than a thousandth then.
    """
    if old_rate > new_rate:
        return _simple_ratio(new_rate, old_rate)[::-1]
    ratio = Fraction(old_rate, new_rate).limit_denominator(FINEST_RATIO)
    return ratio.numerator, ratio.denominator


@lru_cache(maxsize=16)
def _resampler(old_rate: int, new_rate: int) -> Resample:
    return Resample(old_rate, new_rate)


def check_waveform(waveform: Tensor) -> Tensor:
    """Return the waveform, or raise ValueError where it is empty, silent or not finite."""
    if waveform.numel() == 0:
        raise ValueError("empty: no samples")
    if not torch.isfinite(waveform).all():
        raise ValueError(NOT_FINITE)
    if waveform.max() - waveform.min() < SILENCE:
        raise ValueError("silent")
    return waveform
