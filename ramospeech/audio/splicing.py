"""Syllables that nobody recorded, made of parts of those that somebody did.

`lve4` is rare, but there is `lv4` and there is `yue4`: the beginning of the one and the end of the
other, laid over each other for ten milliseconds, are a `lve4`. The cut comes fifty milliseconds
after the voice began, since a vowel begins on its way from the consonant, and that way tells l
from n.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ramospeech.audio.features import FLOOR, FRAME_SAMPLES, HOP_SAMPLES, log_spectrogram
from ramospeech.audio.io import SAMPLE_RATE

SPEECH = 4.0  # nepers (35 dB): a frame that is quieter than the loudest by more is a pause
LASTING = 5  # frames that speech lasts at least
VOICE = 1.0  # nepers: the voice is there where its bins come this near to their loudest
VOICE_BINS = slice(3, 60)  # 120 Hz to 2.4 kHz
VOWEL_WITHIN = 45  # frames after the speech began
PAUSE = 25 * HOP_SAMPLES  # samples kept before and after the speech
OVERLAP = HOP_SAMPLES  # samples
LEVEL = SAMPLE_RATE // 20  # samples after the cut whose loudness is made alike
AFTER = 5 * HOP_SAMPLES  # from the beginning of the voice to the cut


class Parts(NamedTuple):
    """Where things are in a recording, in samples."""

    start: int  # of the speech
    voice: int  # of the first vowel
    end: int  # of the speech


def find_parts(waveform: Tensor) -> Parts:
    """Find the speech in `(samples,)`, and in it the beginning of the voice.

    Raises ValueError where nothing lasts for seven hundredths of a second.
    """
    if len(waveform) < FRAME_SAMPLES + (LASTING - 1) * HOP_SAMPLES:
        raise ValueError("no speech: it is too short")
    magnitude = log_spectrogram(waveform).exp() - FLOOR  # (frames, 200)
    level = _nepers(magnitude)
    loud = level > level.max() - SPEECH  # (frames,)
    lasting = loud.unfold(0, LASTING, 1).all(1)  # no click
    if not lasting.any():
        raise ValueError("no speech: it holds nothing but clicks")
    start, end = int(lasting.nonzero()[0]), int(loud.nonzero()[-1]) + 1
    voice = _nepers(magnitude[start:start + VOWEL_WITHIN, VOICE_BINS])
    first = int((voice > voice.max() - VOICE).nonzero()[0])
    return Parts(*(HOP_SAMPLES * frame for frame in (start, start + first, end)))


def _nepers(magnitude: Tensor) -> Tensor:
    """The level of each frame: `(frames, bins)` to `(frames,)`."""
    return (magnitude.square().sum(1) + 1e-9).log() / 2


def splice(beginning: Tensor, end: Tensor, after: int = AFTER) -> Tensor:
    """The beginning of one syllable, until its vowel is reached, and the end of another.

    Both are recordings `(samples,)`; so is what comes out, as loud as the second. The cut comes
    `after` samples of voice. Raises ValueError where there is no speech in one of them.
    """
    one, other = find_parts(beginning), find_parts(end)
    cut, resume = (min(parts.voice + after, parts.end - 1) for parts in (one, other))
    gain = _loudness(end[resume:]) / _loudness(beginning[cut:])
    left = gain * beginning[max(0, one.start - PAUSE):cut]
    right = end[resume - OVERLAP:other.end + PAUSE]
    fade = torch.linspace(0, 1, OVERLAP)
    both = left[-OVERLAP:] * (1 - fade) + right[:OVERLAP] * fade
    return torch.cat([left[:-OVERLAP], both, right[OVERLAP:]])


def _loudness(waveform: Tensor) -> Tensor:
    return waveform[:LEVEL].square().mean().sqrt() + 1e-6
