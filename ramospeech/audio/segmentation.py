"""Read a recording in segments, cut where it is quietest, so that hours need little memory."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ramospeech.audio.features import frame_count
from ramospeech.audio.io import SILENCE, AudioError, audio_seconds, read_blocks, resample

__all__ = ["LONGEST", "Segment", "quietest_place", "read_segments", "stated_seconds"]

LONGEST = 60.0  # seconds of a segment
CUT_FROM, CUT_TO = 20.0, 59.0  # seconds: range of a cut within the longest segment
MIN_FRAMES = 8  # of the spectrogram: one output frame of the models
QUIET = 0.2  # seconds over which loudness is measured: a pause between two phrases
BLOCK = 10.0  # seconds per read


class Segment(NamedTuple):
    """A part of a recording."""

    start: float  # seconds from the beginning of the recording
    waveform: Tensor  # (samples,) at 16 kHz


def read_segments(path: Path | str, min_frames: int = MIN_FRAMES) -> Iterator[Segment]:
    """Yield a recording in segments of at most a minute, cut at silences.

    Skips segments without sound or with fewer than `min_frames` frames. Raises AudioError if none
    is left, and as `load_audio` does; an error late in a file is raised when it is reached.
    """
    read, rate = 0, 1
    reason: str | None = "silent"
    for part, rate in _cut(path):
        start, read = read / rate, read + len(part)
        if np.ptp(part) < SILENCE:
            continue
        waveform = resample(torch.from_numpy(part), rate)
        if frame_count(len(waveform)) >= min_frames:
            yield Segment(start, waveform)
            reason = None
        elif reason:
            reason = f"too short: {len(part) / rate:.3f} s"
    if reason:
        raise AudioError(f"{path}: {reason if read else 'empty: no samples'}")


def stated_seconds(path: Path | str) -> float:
    """Return the duration of a recording, or 0 if it cannot be read."""
    with suppress(AudioError):
        return audio_seconds(path)
    return 0.0


def _cut(path: Path | str) -> Iterator[tuple[np.ndarray, int]]:
    """Yield all samples of a recording in parts of at most a minute, each with its sample rate."""
    pending = np.zeros(0, np.float32)
    for block, rate in read_blocks(path, BLOCK):
        pending = np.concatenate([pending, block])
        while len(pending) > LONGEST * rate:
            place = quietest_place(pending[: round(LONGEST * rate)], rate)
            yield pending[:place], rate
            pending = pending[place:]
    if len(pending):
        yield pending, rate


def quietest_place(samples: np.ndarray, rate: int) -> int:
    """Return where to cut `(samples,)`: the middle of the quietest fifth of a second that is not too
    close to the start or the end.
    """
    window = max(1, round(QUIET * rate))
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    loudness = energy[window:] - energy[:-window]  # of the window starting at each sample
    first, last = round(CUT_FROM * rate), round(CUT_TO * rate) - window
    return first + int(loudness[first:last].argmin()) + window // 2
