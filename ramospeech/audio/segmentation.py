"""A recording in segments, cut where it is quietest, so that hours need little memory."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ramospeech.audio.features import frame_count
from ramospeech.audio.io import SILENCE, AudioError, audio_seconds, read_blocks, resample

LONGEST = 60.0  # seconds of a segment
CUT_FROM, CUT_TO = 20.0, 59.0  # seconds: where in the longest segment it is cut
LEAST_FRAMES = 8  # of the spectrogram: one output frame of the models
QUIET = 0.2  # seconds whose loudness is judged together: the pause between two phrases
BLOCK = 10.0  # seconds read at once


class Segment(NamedTuple):
    """A part of a recording."""

    start: float  # seconds from the beginning of the recording
    waveform: Tensor  # (samples,) at 16 kHz


def read_segments(path: Path | str, least_frames: int = LEAST_FRAMES) -> Iterator[Segment]:
    """A recording whole, where it is no longer than a minute; else in segments, cut at silences.

    Segments that hold no sound, or fewer than `least_frames` frames, are left out. Raises AudioError where
    none is left, and as `load_audio` does; what is broken far behind shows when it is reached.
    """
    read, rate = 0, 1
    reason: str | None = "silent"
    for part, rate in _cut(path):
        start, read = read / rate, read + len(part)
        if np.ptp(part) < SILENCE:
            continue
        waveform = resample(torch.from_numpy(part), rate)
        if frame_count(len(waveform)) >= least_frames:
            yield Segment(start, waveform)
            reason = None
        elif reason:
            reason = f"too short: {len(part) / rate:.3f} s"
    if reason:
        raise AudioError(f"{path}: {reason if read else 'empty: no samples'}")


def whole_seconds(path: Path | str) -> float:
    """The length that the header of a recording states; of one that cannot be read, none."""
    with suppress(AudioError):
        return audio_seconds(path)
    return 0.0


def _cut(path: Path | str) -> Iterator[tuple[np.ndarray, int]]:
    """All samples of a recording in parts of a minute at most, each with the rate."""
    held = np.zeros(0, np.float32)
    for block, rate in read_blocks(path, BLOCK):
        held = np.concatenate([held, block])
        while len(held) > LONGEST * rate:
            place = quietest_place(held[: round(LONGEST * rate)], rate)
            yield held[:place], rate
            held = held[place:]
    if len(held):
        yield held, rate


def quietest_place(samples: np.ndarray, rate: int) -> int:
    """Where to cut `(samples,)`: the middle of the quietest fifth of a second that is not too near
    to the beginning or the end.
    """
    window = max(1, round(QUIET * rate))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    loudness = energy[window:] - energy[:-window]  # of the window that begins at each sample
    first, last = round(CUT_FROM * rate), round(CUT_TO * rate) - window
    return first + int(loudness[first:last].argmin()) + window // 2
