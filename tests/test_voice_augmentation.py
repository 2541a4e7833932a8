"""Voice augmentation on synthetic voices with known harmonics and resonances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.audio.features import BINS, FLOOR, log_spectrogram
from ramospeech.audio.voice_augmentation import (
    TEMPOS, augment_voice, change_pauses, change_room, change_tempo, change_voice,
)

seeds = st.integers(0, 10_000)
SILENCE = float(np.log(FLOOR))


def a_vowel(pitch: float = 250.0, resonance: float = 1500.0, seconds: float = 0.5) -> torch.Tensor:
    """(samples,) harmonics of `pitch`, loudest at `resonance`, both in hertz."""
    time = torch.arange(int(16_000 * seconds)) / 16_000
    harmonics = torch.arange(pitch, 7900, pitch)
    heights = torch.exp(-0.5 * ((harmonics - resonance) / 600) ** 2) + 0.01
    return (heights[:, None] * torch.sin(2 * torch.pi * harmonics[:, None] * time)).sum(0) * 0.05


def harmonic_distance(spectrogram: torch.Tensor) -> float:
    """Bins from one harmonic to the next, by the strongest ripple of the mean spectrum."""
    mean = spectrogram.mean(0)[5:120].numpy()
    smooth = np.convolve(mean, np.ones(13) / 13, mode="same")
    power = np.abs(np.fft.rfft((mean - smooth)[10:-10], 4096))
    return 4096 / (200 + int(power[200:2000].argmax()))


def resonance_bin(spectrogram: torch.Tensor) -> float:
    """The centre of gravity of the power."""
    power = spectrogram.mean(0).exp().square()
    return float((power * torch.arange(BINS)).sum() / power.sum())


def test_factors_of_one_change_nothing():
    spectrogram = log_spectrogram(a_vowel())
    assert torch.allclose(change_voice(spectrogram, 1.0, 1.0, 1.0), spectrogram, atol=1e-4)


@pytest.mark.parametrize("pitch", [0.7, 1.3, 1.5])
def test_pitch_moves_the_harmonics_and_not_the_resonance(pitch):
    spectrogram = log_spectrogram(a_vowel())
    changed = change_voice(spectrogram, 1.0, pitch)
    assert harmonic_distance(spectrogram) == pytest.approx(250 / 40, rel=0.05)
    assert harmonic_distance(changed) == pytest.approx(pitch * 250 / 40, rel=0.08)
    assert resonance_bin(changed) == pytest.approx(resonance_bin(spectrogram), rel=0.1)


@pytest.mark.parametrize("tract", [0.8, 1.25])
def test_the_tract_moves_the_resonance_and_not_the_harmonics(tract):
    spectrogram = log_spectrogram(a_vowel())
    changed = change_voice(spectrogram, tract, 1.0)
    assert resonance_bin(changed) == pytest.approx(tract * resonance_bin(spectrogram), rel=0.1)
    assert harmonic_distance(changed) == pytest.approx(250 / 40, rel=0.08)


def test_without_depth_there_are_no_harmonics():
    spectrogram = log_spectrogram(a_vowel())
    flat = change_voice(spectrogram, 1.0, 1.0, depth=0.0)
    assert flat.diff(dim=1).abs().mean() < 0.3 * spectrogram.diff(dim=1).abs().mean()


@given(st.floats(0.5, 2.0), st.integers(10, 200))
def test_tempo_changes_the_length_and_keeps_the_ends(tempo, frames):
    spectrogram = torch.randn(frames, BINS)
    changed = change_tempo(spectrogram, tempo)
    assert len(changed) == round(frames / tempo)
    assert torch.allclose(changed[[0, -1]], spectrogram[[0, -1]], atol=1e-4)


def test_tempo_interpolates_between_frames():
    ramp = torch.arange(21.0)[:, None].expand(21, BINS)
    assert torch.allclose(change_tempo(ramp, 0.5)[:, 0], torch.linspace(0, 20, 42), atol=1e-4)


@given(seeds)
def test_pauses_change_and_the_speech_between_them_stays(seed):
    speech = torch.randn(30, BINS) * 0.1
    quiet = torch.full((40, BINS), SILENCE) + torch.rand(40, BINS)
    spectrogram = torch.cat([quiet[:20], speech, quiet[20:]])
    changed = change_pauses(spectrogram, np.random.default_rng(seed))
    start = next(i for i in range(len(changed)) if torch.equal(changed[i], speech[0]))
    assert torch.equal(changed[start:start + 30], speech)
    rest = torch.cat([changed[:start], changed[start + 30:]])
    assert all((frame == quiet).all(1).any() for frame in rest)  # the recording's own silence


def test_a_gate_cuts_soft_edges_off_in_less_than_half_of_all():
    """Ten frames 3 nepers below the loudest, as those of an m, before and after a vowel."""
    soft, loud = torch.full((10, BINS), -3.0), torch.zeros(20, BINS)
    quiet = torch.full((15, BINS), SILENCE)
    spectrogram = torch.cat([quiet, soft, loud, soft, quiet])
    rng, kept = np.random.default_rng(0), []
    for _ in range(1000):
        changed = change_pauses(spectrogram, rng)
        assert int((changed[:, 0] == 0).sum()) == 20  # never of the loud ones
        kept.append(int((changed[:, 0] == -3).sum()))
    assert set(kept) == {0, 20}
    # every second time, and the gate between 1.5 and 4 nepers is below 3 in three of five
    assert np.mean(np.array(kept) == 0) == pytest.approx(0.3, abs=0.05)


def test_pauses_are_long_and_short_and_twelve_frames_on_average():
    spectrogram = torch.cat([torch.full((30, BINS), SILENCE), torch.zeros(20, BINS)])
    rng = np.random.default_rng(0)
    lengths = [len(change_pauses(spectrogram, rng)) - 20 for _ in range(1000)]
    assert min(lengths) <= 2 and max(lengths) > 60
    assert np.mean(lengths) == pytest.approx(24, abs=2)


@given(seeds, st.integers(1, 150))
def test_enough_frames_are_left(seed, min_frames):
    spectrogram = log_spectrogram(a_vowel(seconds=1.0))
    changed = augment_voice(spectrogram, np.random.default_rng(seed), min_frames)
    assert min(min_frames, len(spectrogram)) <= len(changed)
    assert changed.shape[1] == BINS and torch.isfinite(changed).all()
    assert (changed >= SILENCE - 1e-4).all()


@given(seeds)
def test_a_seed_decides_the_result(seed):
    spectrogram = log_spectrogram(a_vowel())
    kept = spectrogram.clone()
    one, other = (augment_voice(spectrogram, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(one, other) and torch.equal(spectrogram, kept)


def test_silence_can_be_augmented():
    """As from a broken microphone: no speech to keep, nothing to scale the noise by."""
    for seed in range(20):
        spectrogram = torch.full((40, BINS), SILENCE)
        assert torch.isfinite(augment_voice(spectrogram, np.random.default_rng(seed))).all()


def test_results_differ():
    spectrogram = log_spectrogram(a_vowel(seconds=1.0))
    lengths = {len(augment_voice(spectrogram, np.random.default_rng(seed))) for seed in range(30)}
    assert len(lengths) > 10
    assert min(lengths) < len(spectrogram) / 1.1 and max(lengths) > len(spectrogram) / 0.95
    assert TEMPOS[0] < 1 < TEMPOS[1]


def test_a_room_keeps_its_frames_and_reverberates_only_afterwards():
    spectrogram = torch.full((60, BINS), SILENCE)
    spectrogram[30] = 2.0
    before, after = [], []
    for seed in range(60):
        changed = change_room(spectrogram, np.random.default_rng(seed))
        assert changed.shape == spectrogram.shape
        before.append(changed[25:30].mean())
        after.append(changed[31:36].mean())
    assert sum(b + 0.3 < a for a, b in zip(after, before)) > 5
    assert sum(a + 0.3 < b for a, b in zip(after, before)) == 0
