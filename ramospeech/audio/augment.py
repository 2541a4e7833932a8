"""Changes that leave the words of a recording as they are: more data from the same recordings.

Every choice comes from the random generator that is passed in, so the same seed gives the same
changes.
"""

import numpy as np
from torch import Tensor

from ramospeech.audio.io import SAMPLE_RATE, resample

SPEEDS = (0.9, 1.0, 1.1)  # Ko et al., "Audio augmentation for speech recognition", 2015


def change_speed(waveform: Tensor, speed: float) -> Tensor:
    """Play `(samples,)` `speed` times as fast: shorter and higher, or longer and lower.

    As a tape does: the samples are taken for those of a recording at another rate.
    """
    return resample(waveform, round(SAMPLE_RATE * speed))


def random_speed(waveform: Tensor, rng: np.random.Generator) -> Tensor:
    """One of three speeds, each as likely as the others."""
    return change_speed(waveform, SPEEDS[rng.integers(len(SPEEDS))])


def spec_augment(
    features: Tensor,
    rng: np.random.Generator,
    frequency_masks: int = 2,
    frequency_width: int = 27,
    time_masks: int = 2,
    time_width: int = 10,
) -> Tensor:
    """Blot out random bands of bins and spans of frames (Park et al. 2019, arXiv:1904.08779).

    `features` is `(frames, bins)`, normalised, so that 0 is the mean of them all. A mask is up to
    `frequency_width` bins or `time_width` frames wide, and never over a fifth of the frames.
    Returns a changed copy.
    """
    features = features.clone()
    frames, bins = features.shape
    for _ in range(frequency_masks):
        start, stop = _random_span(bins, frequency_width, rng)
        features[:, start:stop] = 0
    for _ in range(time_masks):
        start, stop = _random_span(frames, min(time_width, frames // 5), rng)
        features[start:stop] = 0
    return features


def _random_span(size: int, widest: int, rng: np.random.Generator) -> tuple[int, int]:
    width = int(rng.integers(min(widest, size) + 1))
    start = int(rng.integers(size - width + 1))
    return start, start + width
