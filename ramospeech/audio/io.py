"""Load audio files as mono 16 kHz waveforms, in any format that libsndfile reads."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample

from ramospeech.audio.reader import NOT_FINITE, AudioError, check_rate, count_samples, open_recording
from ramospeech.utils.logs import LOGGER

__all__ = [
    "SAMPLE_RATE", "AudioError", "audio_seconds", "check_waveform", "load_audio", "read_blocks", "resample",
]

SAMPLE_RATE = 16_000  # hertz
SILENCE = 1e-4  # smallest peak-to-peak amplitude of speech; full scale is 1.0
MAX_RATIO_TERM = 1_000  # in a ratio of two sample rates
BLOCK = 10.0  # seconds per read
CANCELLED = 1 / 8  # channels cancel if their mean has less than this fraction of the loudest one's power


def load_audio(path: Path | str) -> Tensor:
    """Read a recording: `(samples,)`, float32, 16 kHz, one channel, full scale 1.0.

    Reads WAV, FLAC, Ogg, MP3 and more, at any sample rate. Multiple channels are averaged; if they
    cancel each other out, the loudest is used. Raises AudioError, naming the file, if it is missing,
    not audio, empty, truncated, silent or not finite.
    """
    with open_recording(Path(path)) as recording:
        _warn_of_low_rate(path, recording.samplerate)
        blocks = list(recording.blocks(BLOCK))
        channel = _choose_channel(blocks)
        samples = np.concatenate([_mix(block, channel) for block in blocks] or [np.zeros(0)])
        waveform = check_waveform(torch.from_numpy(samples))
        return resample(waveform, recording.samplerate)


def read_blocks(path: Path | str, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """Yield blocks `(samples,)` of `seconds` each, one channel, with their sample rate.

    For recordings too long for memory. Yields the same samples as `load_audio` before resampling and
    raises AudioError as it does, except for silence, which only the caller can judge. Files with
    several channels are read twice: first to find out whether the channels cancel.
    """
    channel = _choose_channel(_multichannel_blocks(Path(path)))
    with open_recording(Path(path)) as recording:
        _warn_of_low_rate(path, recording.samplerate)
        for block in recording.blocks(seconds):
            yield _mix(block, channel), recording.samplerate


def _multichannel_blocks(path: Path) -> Iterator[np.ndarray]:
    """Yield the blocks of a file with several channels; errors are left to the second reading."""
    with suppress(AudioError), open_recording(path) as recording:
        if recording.channels > 1:
            yield from recording.blocks(BLOCK)


def audio_seconds(path: Path | str) -> float:
    """Return the duration of a recording, decoding it only if necessary. Raises AudioError."""
    samples, rate = count_samples(Path(path))
    return samples / rate


def _warn_of_low_rate(path: Path | str, rate: int) -> None:
    """Log the cost of a low sample rate, as measured by benchmarks/low_rate.py."""
    if rate < SAMPLE_RATE:
        LOGGER.warning(
            "%s: a sample rate of %d Hz holds no sound above %d Hz; at 8 kHz the shipped model gets 45 of "
            "100 syllables of audio-cmn wrong, at 16 kHz only 9 (shown once)", path, rate, rate // 2,
            extra={"once": True})


def _choose_channel(blocks: Iterable[np.ndarray]) -> int | None:
    """Return the loudest channel if the channels cancel, else None, for their mean.

    Channels cancel if one of two microphones is wired with reversed polarity.
    """
    count, sums, squares = 0, 0.0, 0.0  # of each channel; last, of their mean
    for block in blocks:
        signals = np.column_stack([block, block.mean(axis=1)]).astype(np.float64)
        count += len(signals)
        sums, squares = sums + signals.sum(axis=0), squares + np.square(signals).sum(axis=0)
    if count == 0:
        return None
    *powers, mean_power = squares / count - np.square(sums / count)
    loudest = int(np.argmax(powers))
    return loudest if mean_power < CANCELLED * powers[loudest] else None


def _mix(block: np.ndarray, channel: int | None) -> np.ndarray:
    return block.mean(axis=1) if channel is None else block[:, channel]


def resample(waveform: Tensor, rate: int) -> Tensor:
    """Resample `(samples,)` from `rate` hertz to 16 kHz.

    Raises ValueError for an implausible rate (below 1 kHz or above 1 MHz).
    """
    if rate == SAMPLE_RATE:
        return waveform
    check_rate(rate)
    return _resampler(*_simple_ratio(rate, SAMPLE_RATE))(waveform)


def _simple_ratio(old_rate: int, new_rate: int) -> tuple[int, int]:
    """Return the ratio of two rates in small terms, such as 441 and 320 for 22,050 and 16,000.

    The size of the resampling filter is about their product: 20 GB for 44,101 and 16,000. So large
    terms are rounded, which changes the tempo by less than 0.1 %.
    """
    if old_rate > new_rate:
        return _simple_ratio(new_rate, old_rate)[::-1]
    ratio = Fraction(old_rate, new_rate).limit_denominator(MAX_RATIO_TERM)
    return ratio.numerator, ratio.denominator


@lru_cache(maxsize=16)
def _resampler(old_rate: int, new_rate: int) -> Resample:
    return Resample(old_rate, new_rate)


def check_waveform(waveform: Tensor) -> Tensor:
    """Return the waveform, or raise ValueError if it is empty, silent or not finite."""
    if waveform.numel() == 0:
        raise ValueError("empty: no samples")
    if not torch.isfinite(waveform).all():
        raise ValueError(NOT_FINITE)
    if waveform.max() - waveform.min() < SILENCE:
        raise ValueError("silent")
    return waveform
