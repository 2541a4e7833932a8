"""From a file to a waveform: any format that libsndfile reads, 16 kHz, one channel."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample

from ramospeech.audio.reader import NOT_FINITE, check_rate, count_samples, open_recording
from ramospeech.audio.reader import AudioError as AudioError  # noqa: PLC0414 part of what is offered here
from ramospeech.utils.logs import LOGGER

SAMPLE_RATE = 16_000  # samples a second
SILENCE = 1e-4  # a swing below this, of the full scale 1.0, holds no speech
FINEST_RATIO = 1_000  # the largest number in a ratio of two rates
BLOCK = 10.0  # seconds read at once
CANCELLED = 1 / 8  # of the loudest channel's power: where the channels' mean has less, they cancel


def load_audio(path: Path | str) -> Tensor:
    """Read a recording: `(samples,)`, float32, 16 kHz, one channel, full scale 1.0.

    Reads WAV, FLAC, Ogg, MP3 and more, at any rate. Of several channels it is the mean, or, where
    they cancel each other out, the loudest. Raises AudioError, naming the file, where it is missing,
    not audio, empty, truncated, silent or not finite.
    """
    with open_recording(Path(path)) as recording:
        _tell_rate(path, recording.samplerate)
        blocks = list(recording.blocks(BLOCK))
        channel = _channel_to_hear(blocks)
        samples = np.concatenate([_mix(block, channel) for block in blocks] or [np.zeros(0)])
        waveform = check_waveform(torch.from_numpy(samples))
        return resample(waveform, recording.samplerate)


def read_blocks(path: Path | str, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """A recording bit by bit: `(samples,)` of so many seconds, one channel, and their rate.

    For recordings that are too long to be held whole. The blocks are the samples that `load_audio`
    sees, and AudioError is raised as there, but for what is silent: that is for whoever has seen all
    blocks to say. Of several channels, all is read twice: first to find out whether they cancel.
    """
    channel = _channel_to_hear(_blocks_to_choose_by(Path(path)))
    with open_recording(Path(path)) as recording:
        _tell_rate(path, recording.samplerate)
        for block in recording.blocks(seconds):
            yield _mix(block, channel), recording.samplerate


def _blocks_to_choose_by(path: Path) -> Iterator[np.ndarray]:
    """Of several channels; as far as they can be read, for what breaks is told when it is heard."""
    with suppress(AudioError), open_recording(path) as recording:
        if recording.channels > 1:
            yield from recording.blocks(BLOCK)


def audio_seconds(path: Path | str) -> float:
    """The length of a recording, decoded only where nothing else tells. Raises AudioError."""
    samples, rate = count_samples(Path(path))
    return samples / rate


def _tell_rate(path: Path | str, rate: int) -> None:
    """What a low rate costs was measured by benchmarks/low_rate.py."""
    if rate < SAMPLE_RATE:
        LOGGER.warning(
            "%s: %d samples a second hold no sound above %d Hz; at 8,000 the shipped model has 45 of "
            "100 syllables of audio-cmn wrong, instead of 9 at 16,000 (said once)", path, rate, rate // 2,
            extra={"once": True})


def _channel_to_hear(blocks: Iterable[np.ndarray]) -> int | None:
    """The loudest channel, where the mean of all has next to nothing of it; else None, for the mean.

    So it is where one microphone of two is connected the wrong way round.
    """
    count, sums, squares = 0, 0.0, 0.0  # of each channel, and of their mean behind them
    for block in blocks:
        signals = np.column_stack([block, block.mean(axis=1)]).astype(np.float64)
        count += len(signals)
        sums, squares = sums + signals.sum(axis=0), squares + np.square(signals).sum(axis=0)
    if count == 0:
        return None
    *powers, together = squares / count - np.square(sums / count)
    loudest = int(np.argmax(powers))
    return loudest if together < CANCELLED * powers[loudest] else None


def _mix(block: np.ndarray, channel: int | None) -> np.ndarray:
    return block.mean(axis=1) if channel is None else block[:, channel]


def resample(waveform: Tensor, rate: int) -> Tensor:
    """`(samples,)` at `rate` samples a second to `(samples,)` at 16 kHz.

    Raises ValueError for a rate that no recording has (below 1 kHz, above 1 MHz).
    """
    if rate == SAMPLE_RATE:
        return waveform
    check_rate(rate)
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
