"""Splice syllables that nobody recorded from parts of recorded ones.

`lve4` is rare, but `lv4` and `yue4` are not: the beginning of the first, cross-faded over ten
milliseconds into the end of the second, is a `lve4`. The cut is fifty milliseconds after the onset
of the voice, because the transition from consonant to vowel distinguishes l from n.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ramospeech.audio.features import FLOOR, FRAME_SAMPLES, HOP_SAMPLES, log_spectrogram
from ramospeech.audio.io import SAMPLE_RATE

__all__ = ["Parts", "find_parts", "splice"]

SPEECH = 4.0  # nepers (35 dB) below the loudest frame, where speech ends and a pause begins
LASTING = 5  # minimum frames of speech
VOICE = 1.0  # nepers: a frame is voiced if its bins are this close to their loudest
VOICE_BINS = slice(3, 60)  # 120 Hz to 2.4 kHz
VOWEL_WITHIN = 45  # frames from the start of the speech
PAUSE = 25 * HOP_SAMPLES  # samples kept before and after the speech
OVERLAP = HOP_SAMPLES  # samples
LEVEL = SAMPLE_RATE // 20  # samples after the cut whose loudness is matched
AFTER = 5 * HOP_SAMPLES  # from the onset of the voice to the cut


class Parts(NamedTuple):
    """Positions in a recording, in samples."""

    start: int  # of the speech
    voice: int  # of the first vowel
    end: int  # of the speech


def find_parts(waveform: Tensor) -> Parts:
    """Find the speech in `(samples,)` and the onset of the voice.

    Raises ValueError if no sound lasts for 0.07 s.
    """
    if len(waveform) < FRAME_SAMPLES + (LASTING - 1) * HOP_SAMPLES:
        raise ValueError("no speech: the recording is too short")
    magnitude = log_spectrogram(waveform).exp() - FLOOR  # (frames, 200)
    level = _nepers(magnitude)
    loud = level > level.max() - SPEECH  # (frames,)
    lasting = loud.unfold(0, LASTING, 1).all(1)  # no click
    if not lasting.any():
        raise ValueError("no speech: the recording contains nothing but clicks")
    start, end = int(lasting.nonzero()[0]), int(loud.nonzero()[-1]) + 1
    voice = _nepers(magnitude[start:start + VOWEL_WITHIN, VOICE_BINS])
    first = int((voice > voice.max() - VOICE).nonzero()[0])
    return Parts(*(HOP_SAMPLES * frame for frame in (start, start + first, end)))


def _nepers(magnitude: Tensor) -> Tensor:
    """Return the level of each frame in nepers: `(frames, bins)` to `(frames,)`."""
    return (magnitude.square().sum(1) + 1e-9).log() / 2


def splice(beginning: Tensor, end: Tensor, after: int = AFTER) -> Tensor:
    """Join the beginning of one syllable, up to its vowel, with the end of another.

    Takes and returns recordings `(samples,)`; the result is as loud as the second. The cut is
    `after` samples after the onset of the voice. Raises ValueError if one contains no speech.
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
