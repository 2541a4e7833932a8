"""Track the pitch of a voice, which distinguishes the tones of Mandarin.

A voiced sound is periodic: the vocal folds open 60 to 500 times per second. A frame is therefore
similar to a copy of itself shifted by one period. The similarity at every shift is the frame's
autocorrelation (Boersma 1993, "Accurate short-term analysis of the fundamental frequency").
"""

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from ramospeech.audio.io import SAMPLE_RATE

__all__ = ["first_peak", "refine", "self_similarity", "track_pitch"]

FRAME_SAMPLES, HOP_SAMPLES = 640, 160  # 40 ms, at least two periods of a low voice; 10 ms
LOWEST, HIGHEST = 60, 500  # hertz
VOICED = 0.7  # minimum similarity of a voiced frame
QUIET = 0.1  # minimum amplitude of a voiced frame, relative to the loudest
NEAR_BEST = 0.85  # two periods are as similar as one: take the first peak this close to the best


def track_pitch(waveform: Tensor) -> Tensor:
    """Return the pitch of `(samples,)` at 16 kHz, every 10 ms: `(frames,)` in hertz.

    NaN in unvoiced frames: silence, and sounds such as s or f. Frame i is centred at second
    (i + 2) / 100. Raises ValueError if shorter than one frame of 40 ms.
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
    """Normalised autocorrelation, 1 at shift 0: `(frames, samples)` to `(frames, shifts)`.

    Divided by the autocorrelation of the window, which would make longer shifts seem worse.
    """
    window = torch.hann_window(frames.shape[1])
    fit = _autocorrelation((frames - frames.mean(dim=1, keepdim=True)) * window)
    return fit / fit[:, :1].clamp_min(1e-9) / _autocorrelation(window) * window.square().sum()


def _autocorrelation(signal: Tensor) -> Tensor:
    samples = signal.shape[-1]
    return irfft(rfft(signal, 2 * samples).abs().square())[..., :samples]


def first_peak(fit: Tensor) -> Tensor:
    """Return the shortest shift, `(frames,)`, at a peak close to the best of its frame."""
    inner = fit[:, 1:-1]
    peak = (inner > fit[:, :-2]) & (inner >= fit[:, 2:])
    best = (inner * peak).amax(dim=1, keepdim=True)
    return 1 + (peak & (inner >= NEAR_BEST * best)).int().argmax(dim=1)


def refine(fit: Tensor, shift: Tensor) -> Tensor:
    """Interpolate a peak by the parabola through its neighbours: a fractional shift, `(frames,)`."""
    before, peak, after = (fit.gather(1, shift[:, None] + step).squeeze(1) for step in (-1, 0, 1))
    return shift + 0.5 * (before - after) / (before - 2 * peak + after)
