"""Data augmentation that keeps the labels: speed perturbation and SpecAugment.

All randomness comes from the generator passed in, so the same seed gives the same result.
"""

import numpy as np
from torch import Tensor

from ramospeech.audio.io import SAMPLE_RATE, resample

__all__ = ["SPEEDS", "change_speed", "random_speed", "spec_augment"]

SPEEDS = (0.9, 1.0, 1.1)  # Ko et al., "Audio augmentation for speech recognition", 2015


def change_speed(waveform: Tensor, speed: float) -> Tensor:
    """Play `(samples,)` `speed` times as fast: shorter and higher, or longer and lower.

    Like a tape: the samples are resampled as if recorded at another rate.
    """
    return resample(waveform, round(SAMPLE_RATE * speed))


def random_speed(waveform: Tensor, rng: np.random.Generator) -> Tensor:
    """Change the speed by one of three equally likely factors."""
    return change_speed(waveform, SPEEDS[rng.integers(len(SPEEDS))])


def spec_augment(
    features: Tensor,
    rng: np.random.Generator,
    frequency_masks: int = 2,
    frequency_width: int = 27,
    time_masks: int = 2,
    time_width: int = 10,
) -> Tensor:
    """SpecAugment: mask random bands of bins and spans of frames (Park et al. 2019, arXiv:1904.08779).

    `features` is `(frames, bins)`, normalised, so 0 is their mean. A mask is at most
    `frequency_width` bins or `time_width` frames wide, and at most a fifth of the frames. Returns a
    copy.
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
