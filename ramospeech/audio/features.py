"""From a waveform to what the model sees: a log spectrogram of 200 bins, normalised.

A frame is 25 ms, a new one begins every 10 ms: at 16 kHz 400 and 160 samples. The discrete Fourier
transform of 400 samples has 201 bins, 40 Hz apart; the last (8 kHz) is left out, since 200 can be
halved three times.
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import spectrogram

FRAME_SAMPLES = 400
HOP_SAMPLES = 160
BINS = 200
FLOOR = 1e-3  # added to the magnitude, so that silence has a logarithm

Count = TypeVar("Count", int, Tensor, np.ndarray)  # one, or one of each utterance


def frame_count(samples: Count) -> Count:
    """How many whole frames fit into `samples` samples (of 16 kHz): none, where one does not."""
    return (samples >= FRAME_SAMPLES) * ((samples - FRAME_SAMPLES) // HOP_SAMPLES + 1)


def log_spectrogram(waveform: Tensor) -> Tensor:
    """`(..., samples)` at 16 kHz to `(..., frames, 200)`: ln(magnitude + 1e-3).

    Periodic Hamming window, no padding at the ends. Raises ValueError below one frame.
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
    """Give each utterance mean 0 and standard deviation 1 over all its frames and bins.

    `features` is `(batch, frames, bins)`, `lengths` `(batch,)` frames; frames beyond an utterance's
    length count for nothing and come out as 0. Loudness, which adds the same to every number, is
    gone afterwards. Bins keep their distances: in a short word they are what a vowel is.
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
    """A padded batch of waveforms to the model's input.

    `waveforms` is `(batch, samples)` at 16 kHz, on the CPU or a GPU, `lengths` `(batch,)` samples.
    Returns normalised features `(batch, frames, 200)` and their lengths `(batch,)` in frames.
    """
    frames = frame_count(lengths)
    if frames.min() < 1:
        shortest = int(frames.argmin())
        raise ValueError(f"utterance {shortest} of the batch is shorter than a frame")
    return normalise(log_spectrogram(waveforms), frames), frames
