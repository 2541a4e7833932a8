"""The same words from another mouth, at another pace, in another room.

A model that heard one voice knows one voice. These changes make a crowd of a single speaker. They
work on the log spectrogram before it is normalised, `(frames, 200)`, ln(magnitude + 1e-3), and are
cheap: the new voice is one matrix product. Each takes what it draws from a random generator.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ramospeech.audio.features import BINS, FLOOR

TRACTS = (0.85, 1.18)  # resonances, times; a child's vocal tract is short, a tall man's long
PITCHES = (0.7, 1.4)  # distance of the harmonics, times
DEPTHS = (0.6, 1.1)  # height of the harmonics over what lies between them, times; less when deeper
TEMPOS = (0.85, 1.2)
PAUSE = 12  # frames of silence at either end, on average
SPEECH = 4.0  # nepers (35 dB): a frame that is quieter than the loudest by more is a pause
GATES = (1.5, 4.0)  # the same for a microphone that opens late and closes early
SMOOTH = 40  # waves over the spectrum, of 200: what is coarser is the vocal tract's doing
NOISE_RATIOS = (2.0, 6.0)  # nepers from the noise up to the speech: 17 to 52 dB
GAINS = (-2.5, 0.5)  # nepers


def augment_voice(spectrogram: Tensor, rng: np.random.Generator, least_frames: int = 1) -> Tensor:
    """Another speaker, pace and room; no shorter than `least_frames`, or than it was."""
    least_frames = min(least_frames, len(spectrogram))
    spectrogram = change_pauses(spectrogram, rng, least_frames)
    fastest = max(TEMPOS[0], min(TEMPOS[1], len(spectrogram) / least_frames))
    spectrogram = change_tempo(spectrogram, rng.uniform(TEMPOS[0], fastest))
    pitch = _ratio(PITCHES, rng)
    depth = rng.uniform(*DEPTHS) * min(1.0, pitch)  # close harmonics stand out less
    spectrogram = change_voice(spectrogram, _ratio(TRACTS, rng), pitch, depth)
    return change_room(spectrogram, rng)


def _ratio(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Drawn so that twice as much is as likely as half as much."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def change_pauses(spectrogram: Tensor, rng: np.random.Generator, least_frames: int = 1) -> Tensor:
    """Another length of silence before and after the speech, made of the recording's own.

    Every second time a gate cuts the soft beginning and end off the speech, as that of a telephone,
    or an editor's hand.
    """
    level = spectrogram.exp().square().sum(1).log() / 2  # (frames,) nepers
    gate = rng.uniform(*GATES) if rng.random() < 0.5 else SPEECH
    speech = torch.nonzero(level > level.max() - gate).ravel()
    first, last = int(speech[0]), int(speech[-1])
    quiet = torch.nonzero(level <= level.max() - SPEECH).ravel().numpy()
    before, after = (int(count) for count in rng.exponential(PAUSE, size=2))
    if len(quiet) == 0 or before + last + 1 - first + after < least_frames:
        return spectrogram
    pauses = [torch.from_numpy(rng.choice(quiet, count)) for count in (before, after)]
    kept = torch.arange(first, last + 1)
    return spectrogram[torch.cat([pauses[0], kept, pauses[1]])]


def change_tempo(spectrogram: Tensor, tempo: float) -> Tensor:
    """`tempo` times as fast at the same pitch: frames are read off between the frames."""
    frames = max(1, round(len(spectrogram) / tempo))
    return torch.nn.functional.interpolate(
        spectrogram.T[None], size=frames, mode="linear", align_corners=True
    )[0].T


def change_voice(spectrogram: Tensor, tract: float, pitch: float, depth: float = 1.0) -> Tensor:
    """Resonances moved by the factor `tract`, harmonics by the factor `pitch`.

    A spectrum is a smooth curve (the vocal tract's) with ripples on it (the voice's harmonics):
    the two are told apart, stretched each by its own factor along the frequencies, and put
    together again, the ripples `depth` times as high. Stretching the smooth part is vocal-tract
    length perturbation (Jaitly & Hinton 2013).
    """
    smooth = _smoothing()
    ripples = torch.eye(BINS) - smooth
    return spectrogram @ (smooth @ _stretch(tract) + depth * (ripples @ _stretch(pitch)))


@cache
def _smoothing() -> Tensor:
    """`(200, 200)`: a row times this matrix keeps its slow waves over the bins, the cepstrum's
    low end."""
    places, waves = torch.arange(BINS) + 0.5, torch.arange(SMOOTH)
    cosines = torch.cos(torch.pi * places[:, None] * waves / BINS)  # (200, SMOOTH)
    cosines = cosines / cosines.norm(dim=0)
    return cosines @ cosines.T


def _stretch(factor: float) -> Tensor:
    """`(200, 200)`: a row times this matrix has at bin `factor * f` what it had at bin f.

    Beyond the last bin there is nothing to read, so from 0.8 of the way the bins are stretched
    less, and the last stays where it is.
    """
    last = BINS - 1
    bins = np.arange(BINS)
    knee = 0.8 * last * min(1.0, factor)  # where the straight line from zero ends, in the new bins
    source = np.where(bins <= knee, bins / factor,
                      knee / factor + (bins - knee) * (last - knee / factor) / (last - knee))
    below = np.minimum(source.astype(int), last - 1)
    weights = torch.zeros(BINS, BINS)
    share = torch.from_numpy(source - below).float()
    weights[below, bins] = 1 - share
    weights[below + 1, bins] = share
    return weights


def change_room(spectrogram: Tensor, rng: np.random.Generator) -> Tensor:
    """Another microphone and loudness; in some recordings an echo, in most a noise."""
    magnitude = (spectrogram.exp() - FLOOR).clamp(min=0) * float(np.exp(rng.uniform(*GAINS)))
    magnitude = magnitude * torch.exp(_curve(rng, height=0.4))
    if rng.random() < 0.2:
        magnitude = _echo(magnitude, rng)
    if rng.random() < 0.6:
        magnitude = torch.hypot(magnitude, _noise(magnitude, rng))
    return torch.log(magnitude + FLOOR)


def _curve(rng: np.random.Generator, height: float) -> Tensor:
    """`(200,)`: a random smooth curve over the bins, by three slow waves."""
    places = np.linspace(0, np.pi, BINS)
    waves = [rng.normal(0, height) * np.cos(order * places) for order in (1, 2, 3)]
    return torch.from_numpy(np.sum(waves, axis=0)).float()


def _echo(magnitude: Tensor, rng: np.random.Generator) -> Tensor:
    """Each frame fades over those that follow, as in a room that rings for 0.1 to 0.5 s."""
    fade = 6.9 / (rng.uniform(0.1, 0.5) * 100)  # 6.9 nepers are 60 dB
    delays = torch.arange(1, 25)
    tail = rng.uniform(0.02, 0.25) * torch.exp(-2 * fade * delays)
    kernel = torch.cat([torch.ones(1), tail]).flip(0)
    power = torch.nn.functional.pad(magnitude.square().T[:, None], (len(delays), 0))
    return torch.nn.functional.conv1d(power, kernel[None, None])[:, 0].T.sqrt()


def _noise(magnitude: Tensor, rng: np.random.Generator) -> Tensor:
    """Steady noise of a random colour, at a random distance below the speech."""
    loud = float(magnitude.square().mean(1).quantile(0.9).sqrt())
    level = loud * float(np.exp(-rng.uniform(*NOISE_RATIOS)))
    grains = torch.from_numpy(rng.rayleigh(np.sqrt(0.5), size=magnitude.shape)).float()
    colour = torch.exp(_curve(rng, height=1.0))
    return level * grains * colour / colour.square().mean().sqrt()
