"""Voice augmentation: vary vocal tract, pitch, tempo, pauses, reverberation and noise.

Turns the recordings of one speaker into those of many. Works on the log spectrogram before
normalisation, `(frames, 200)`, ln(magnitude + 1e-3), and is cheap: vocal-tract length perturbation
(VTLP) and a change of pitch are a single matrix product. All randomness comes from the generator
passed in.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ramospeech.audio.features import BINS, FLOOR

__all__ = [
    "TEMPOS", "augment_voice", "change_pauses", "change_room", "change_tempo", "change_voice",
    "smoothing_matrix", "stretching_matrix",
]

TRACTS = (0.85, 1.18)  # VTLP: factor of the resonances, higher for a shorter vocal tract
PITCHES = (0.7, 1.4)  # factor of the pitch
DEPTHS = (0.6, 1.1)  # factor of the height of the harmonics; lower for low voices
TEMPOS = (0.85, 1.2)
PAUSE = 12  # mean frames of silence at each end
SPEECH = 4.0  # nepers (35 dB) below the loudest frame, where speech ends and a pause begins
GATES = (1.5, 4.0)  # the same for a noise gate, which opens late and closes early
CEPSTRUM = 40  # of 200 coefficients: those of the spectral envelope
NOISE_RATIOS = (2.0, 6.0)  # signal-to-noise ratio in nepers: 17 to 52 dB
GAINS = (-2.5, 0.5)  # nepers


def augment_voice(spectrogram: Tensor, rng: np.random.Generator, min_frames: int = 1) -> Tensor:
    """Simulate another speaker, tempo and room.

    The result has at least `min_frames` frames, unless the input is shorter.
    """
    min_frames = min(min_frames, len(spectrogram))
    spectrogram = change_pauses(spectrogram, rng, min_frames)
    fastest = max(TEMPOS[0], min(TEMPOS[1], len(spectrogram) / min_frames))
    spectrogram = change_tempo(spectrogram, rng.uniform(TEMPOS[0], fastest))
    pitch = _ratio(PITCHES, rng)
    depth = rng.uniform(*DEPTHS) * min(1.0, pitch)  # close harmonics are less distinct
    spectrogram = change_voice(spectrogram, _ratio(TRACTS, rng), pitch, depth)
    return change_room(spectrogram, rng)


def _ratio(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw from a log-uniform distribution, in which doubling is as likely as halving."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def change_pauses(spectrogram: Tensor, rng: np.random.Generator, min_frames: int = 1) -> Tensor:
    """Change the silence before and after the speech, reusing the recording's own quiet frames.

    Half of the time a noise gate also cuts off the soft beginning and end of the speech.
    """
    level = spectrogram.exp().square().sum(1).log() / 2  # (frames,) nepers
    gate = rng.uniform(*GATES) if rng.random() < 0.5 else SPEECH
    speech = torch.nonzero(level > level.max() - gate).ravel()
    first, last = int(speech[0]), int(speech[-1])
    quiet = torch.nonzero(level <= level.max() - SPEECH).ravel().numpy()
    before, after = (int(count) for count in rng.exponential(PAUSE, size=2))
    if len(quiet) == 0 or before + last + 1 - first + after < min_frames:
        return spectrogram
    pauses = [torch.from_numpy(rng.choice(quiet, count)) for count in (before, after)]
    kept = torch.arange(first, last + 1)
    return spectrogram[torch.cat([pauses[0], kept, pauses[1]])]


def change_tempo(spectrogram: Tensor, tempo: float) -> Tensor:
    """Play `tempo` times as fast at the same pitch, by interpolating between frames."""
    frames = max(1, round(len(spectrogram) / tempo))
    return torch.nn.functional.interpolate(
        spectrogram.T[None], size=frames, mode="linear", align_corners=True
    )[0].T


def change_voice(spectrogram: Tensor, tract: float, pitch: float, depth: float = 1.0) -> Tensor:
    """Multiply resonances by `tract` and harmonics by `pitch`.

    A spectrum is a smooth envelope (the vocal tract) with ripples (the harmonics of the voice). Both
    are separated, stretched along the frequency axis by their own factors, and added again, the
    ripples `depth` times as high. Stretching the envelope is vocal-tract length perturbation
    (VTLP, Jaitly & Hinton 2013).
    """
    envelope = smoothing_matrix()
    ripples = torch.eye(BINS) - envelope
    return spectrogram @ (envelope @ stretching_matrix(tract)
                          + depth * (ripples @ stretching_matrix(pitch)))


@cache
def smoothing_matrix() -> Tensor:
    """Return `(200, 200)`: a row times this matrix keeps its envelope, the low end of its cepstrum."""
    places, waves = torch.arange(BINS) + 0.5, torch.arange(CEPSTRUM)
    cosines = torch.cos(torch.pi * places[:, None] * waves / BINS)  # (200, CEPSTRUM)
    cosines = cosines / cosines.norm(dim=0)
    return cosines @ cosines.T


def stretching_matrix(factor: float) -> Tensor:
    """Return `(200, 200)`: a row times this matrix has at bin `factor * f` what it had at bin f.

    There is no data beyond the last bin, so above 0.8 of the range the bins are stretched less, and
    the last one stays in place.
    """
    last = BINS - 1
    bins = np.arange(BINS)
    knee = 0.8 * last * min(1.0, factor)  # end of the linear part, in output bins
    source = np.where(bins <= knee, bins / factor,
                      knee / factor + (bins - knee) * (last - knee / factor) / (last - knee))
    below = np.minimum(source.astype(int), last - 1)
    weights = torch.zeros(BINS, BINS)
    fraction = torch.from_numpy(source - below).float()
    weights[below, bins] = 1 - fraction
    weights[below + 1, bins] = fraction
    return weights


def change_room(spectrogram: Tensor, rng: np.random.Generator) -> Tensor:
    """Change microphone and loudness, sometimes add reverberation, usually add noise."""
    magnitude = (spectrogram.exp() - FLOOR).clamp(min=0) * float(np.exp(rng.uniform(*GAINS)))
    magnitude = magnitude * torch.exp(_curve(rng, height=0.4))
    if rng.random() < 0.2:
        magnitude = _reverberate(magnitude, rng)
    if rng.random() < 0.6:
        magnitude = torch.hypot(magnitude, _make_noise(magnitude, rng))
    return torch.log(magnitude + FLOOR)


def _curve(rng: np.random.Generator, height: float) -> Tensor:
    """Return `(200,)`: a random smooth curve over the bins, the sum of three cosines."""
    places = np.linspace(0, np.pi, BINS)
    waves = [rng.normal(0, height) * np.cos(order * places) for order in (1, 2, 3)]
    return torch.from_numpy(np.sum(waves, axis=0)).float()


def _reverberate(magnitude: Tensor, rng: np.random.Generator) -> Tensor:
    """Let each frame decay over the following ones; the reverberation time is 0.1 to 0.5 s."""
    fade = 6.9 / (rng.uniform(0.1, 0.5) * 100)  # 6.9 nepers are 60 dB
    delays = torch.arange(1, 25)
    tail = rng.uniform(0.02, 0.25) * torch.exp(-2 * fade * delays)
    kernel = torch.cat([torch.ones(1), tail]).flip(0)
    power = torch.nn.functional.pad(magnitude.square().T[:, None], (len(delays), 0))
    return torch.nn.functional.conv1d(power, kernel[None, None])[:, 0].T.sqrt()


def _make_noise(magnitude: Tensor, rng: np.random.Generator) -> Tensor:
    """Return stationary noise of a random colour, at a random signal-to-noise ratio."""
    loud = float(magnitude.square().mean(1).quantile(0.9).sqrt())
    level = loud * float(np.exp(-rng.uniform(*NOISE_RATIOS)))
    grains = torch.from_numpy(rng.rayleigh(np.sqrt(0.5), size=magnitude.shape)).float()
    colour = torch.exp(_curve(rng, height=1.0))
    return level * grains * colour / colour.square().mean().sqrt()
