"""The pitch of a voice over time, by which Mandarin tells its tones apart.

A voiced sound repeats itself: as often as the vocal folds open, 60 to 500 times a second. A frame
laid over a copy of itself, shifted by one such period, fits it well. That fit, for every shift, is
the frame's autocorrelation (Boersma 1993, "Accurate short-term analysis of the fundamental
frequency").
"""

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from ramospeech.audio.io import SAMPLE_RATE

FRAME_SAMPLES, HOP_SAMPLES = 640, 160  # 40 ms, so that a low voice repeats itself in a frame; 10 ms
LOWEST, HIGHEST = 60, 500  # hertz
VOICED = 0.7  # a frame of voice fits its own copy at least this well
QUIET = 0.1  # of the loudest frame's amplitude: what is softer is no voice
SHORTER = 0.85  # a copy two periods away fits as well as the next: take the first fit near the best


def track_pitch(waveform: Tensor) -> Tensor:
    """The pitch of a waveform `(samples,)` at 16 kHz, every 10 ms: `(frames,)` in hertz.

    NaN where there is no voice: in silence, and in sounds such as s or f. Frame i is centred on
    second (i + 2) / 100. Raises ValueError below one frame of 40 ms.
    """
    if len(waveform) < FRAME_SAMPLES:
        raise ValueError(f"too short: {len(waveform)} samples, a frame needs {FRAME_SAMPLES}")
    frames = waveform.unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
    loudness = frames.std(dim=1)
    fit = self_similarity(frames)[:, : SAMPLE_RATE // LOWEST + 2]  # (frames, shifts)
    fit[:, : SAMPLE_RATE // HIGHEST] = 0
    shift = first_peak(fit)  # (frames,)
    pitch = SAMPLE_RATE / refine(fit, shift)
    best = fit.gather(1, shift[:, None]).squeeze(1)
    return pitch.where((best > VOICED) & (loudness > QUIET * loudness.max()), torch.nan)


def self_similarity(frames: Tensor) -> Tensor:
    """How well each frame fits its copy: 1 at shift 0. `(frames, samples)` to `(frames, shifts)`.

    The window's own autocorrelation is divided out, else longer shifts would seem worse.
    """
    window = torch.hann_window(frames.shape[1])
    fit = _autocorrelation((frames - frames.mean(dim=1, keepdim=True)) * window)
    return fit / fit[:, :1].clamp_min(1e-9) / _autocorrelation(window) * window.square().sum()


def _autocorrelation(signal: Tensor) -> Tensor:
    samples = signal.shape[-1]
    return irfft(rfft(signal, 2 * samples).abs().square())[..., :samples]


def first_peak(fit: Tensor) -> Tensor:
    """The shortest shift, `(frames,)`, whose fit is a peak and nearly the best of its frame."""
    inner = fit[:, 1:-1]
    peak = (inner > fit[:, :-2]) & (inner >= fit[:, 2:])
    best = (inner * peak).amax(dim=1, keepdim=True)
    return 1 + (peak & (inner >= SHORTER * best)).int().argmax(dim=1)


def refine(fit: Tensor, shift: Tensor) -> Tensor:
    """The top of the parabola through a peak and its neighbours: a shift between two samples."""
    before, peak, after = (fit.gather(1, shift[:, None] + step).squeeze(1) for step in (-1, 0, 1))
    return shift + 0.5 * (before - after) / (before - 2 * peak + after)
