"""The input of the model: a normalised log spectrogram with 200 bins.

Frames are 25 ms long with a hop of 10 ms: 400 and 160 samples at 16 kHz. The discrete Fourier
transform of 400 samples has 201 bins, 40 Hz apart; the last one (8 kHz) is dropped, because 200 can
be halved three times.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import spectrogram

__all__ = [
    "BINS", "FRAME_SAMPLES", "HOP_SAMPLES", "Count", "extract_features", "frame_count", "log_spectrogram",
    "normalise",
]

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
BINS = 200
FLOOR = 1e-3  # added to the magnitude, so that the logarithm of silence is finite

Count = TypeVar("Count", int, Tensor, np.ndarray)  # a number, or one per utterance


def frame_count(samples: Count) -> Count:
    """Return the number of whole frames in `samples` samples at 16 kHz (0 if too short)."""
    return (samples >= FRAME_SAMPLES) * ((samples - FRAME_SAMPLES) // HOP_SAMPLES + 1)


def log_spectrogram(waveform: Tensor) -> Tensor:
    """Compute ln(magnitude + 1e-3): `(..., samples)` at 16 kHz to `(..., frames, 200)`.

    Periodic Hamming window, no padding. Raises ValueError if shorter than one frame.
    """
    if waveform.shape[-1] < FRAME_SAMPLES:
        raise ValueError(
            f"too short: {waveform.shape[-1]} samples, a frame needs {FRAME_SAMPLES}"
        )
    window = torch.hamming_window(FRAME_SAMPLES, device=waveform.device, dtype=waveform.dtype)
    magnitude = spectrogram(
        waveform, pad=0, window=window, n_fft=FRAME_SAMPLES, hop_length=HOP_SAMPLES,
        win_length=FRAME_SAMPLES, power=1.0, normalized=False, center=False,
    )  # (..., 201, frames)
    return torch.log(magnitude[..., :BINS, :] + FLOOR).transpose(-1, -2)


def normalise(features: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Normalise each utterance to mean 0 and standard deviation 1 over all its frames and bins.

    `features` is `(batch, frames, bins)`, `lengths` `(batch,)` frames; padding is ignored and set
    to 0. This removes loudness, which adds the same to every value, but keeps the differences between
    bins, which in a short word are what identifies the vowel.
    """
    batch, frames, bins = features.shape
    if lengths is None:
        lengths = torch.full((batch,), frames, device=features.device)
    padding = torch.arange(frames, device=features.device) >= lengths[:, None]  # (batch, frames)
    padding = padding[:, :, None]
    count = (lengths * bins)[:, None, None]
    mean = features.masked_fill(padding, 0).sum((1, 2), keepdim=True) / count  # (batch, 1, 1)
    centred = (features - mean).masked_fill(padding, 0)
    deviation = (centred.square().sum((1, 2), keepdim=True) / count).sqrt()
    return centred / (deviation + 1e-3)


def extract_features(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Turn a padded batch of waveforms into model input.

    `waveforms` is `(batch, samples)` at 16 kHz, on any device, `lengths` `(batch,)` samples. Returns
    normalised features `(batch, frames, 200)` and their lengths `(batch,)` in frames. Raises
    ValueError if an utterance is shorter than a frame.
    """
    frames = frame_count(lengths)
    if frames.min() < 1:
        shortest = int(frames.argmin())
        raise ValueError(f"utterance {shortest} of the batch is shorter than a frame")
    return normalise(log_spectrogram(waveforms), frames), frames
