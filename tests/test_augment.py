"""Augmentation: how much it changes at most, and that a seed decides it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.audio.augment import SPEEDS, change_speed, random_speed, spec_augment
from ramospeech.audio.features import log_spectrogram

seeds = st.integers(0, 10_000)


def spans(hidden: torch.Tensor) -> int:
    """How many unbroken runs of True there are in a vector."""
    padded = torch.cat([torch.tensor([False]), hidden])
    return int((padded[1:] & ~padded[:-1]).sum())


# Speed


@given(st.floats(0.7, 1.4), st.integers(400, 5000))
def test_speed_changes_the_length(speed, samples):
    changed = change_speed(torch.randn(samples), speed)
    assert len(changed) == pytest.approx(samples / speed, rel=2e-3, abs=2)


@pytest.mark.parametrize("speed", SPEEDS)
def test_speed_changes_the_pitch(speed):
    wave = torch.sin(2 * torch.pi * 2000 * torch.arange(8000) / 16_000)
    loudest = log_spectrogram(change_speed(wave, speed)).argmax(dim=1)
    assert (loudest == round(2000 * speed / 40)).all()


def test_speed_one_changes_nothing():
    waveform = torch.randn(1000)
    assert torch.equal(change_speed(waveform, 1.0), waveform)


def test_there_and_back_again():
    wave = torch.sin(2 * torch.pi * 440 * torch.arange(8000) / 16_000)
    back = change_speed(change_speed(wave, 0.8), 1.25)
    assert (back - wave)[200:-200].abs().max() < 0.01


def test_every_speed_comes_about_equally_often():
    rng = np.random.default_rng(0)
    lengths = [len(random_speed(torch.zeros(990), rng)) for _ in range(600)]
    assert set(lengths) == {900, 990, 1100}
    assert all(150 < lengths.count(length) < 250 for length in set(lengths))


@given(seeds)
def test_a_seed_decides_the_speed(seed):
    waveform = torch.randn(500)
    one, other = (random_speed(waveform, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(one, other)


# SpecAugment


@given(
    seed=seeds, frames=st.integers(1, 120), bins=st.integers(1, 200),
    frequency_masks=st.integers(0, 3), frequency_width=st.integers(0, 250),
    time_masks=st.integers(0, 3), time_width=st.integers(0, 60),
)
def test_masks_hide_at_most_what_they_say(
    seed, frames, bins, frequency_masks, frequency_width, time_masks, time_width
):
    masked = spec_augment(
        torch.ones(frames, bins), np.random.default_rng(seed),
        frequency_masks, frequency_width, time_masks, time_width,
    )
    seen = masked != 0
    frames_left, bins_left = seen.any(dim=1), seen.any(dim=0)
    widest = min(time_width, frames // 5)
    if frequency_masks * frequency_width < bins:  # else all bins, hence all frames, may be hidden
        assert (~frames_left).sum() <= time_masks * widest
        assert spans(~frames_left) <= time_masks
    if time_masks * widest < frames:
        assert (~bins_left).sum() <= frequency_masks * min(frequency_width, bins)
        assert spans(~bins_left) <= frequency_masks
    # a cell is hidden only by a mask over its whole frame or its whole bin
    assert torch.equal(seen, frames_left[:, None] & bins_left[None, :])


@given(seeds)
def test_what_is_not_hidden_stays_and_the_argument_too(seed):
    features = torch.randn(50, 200)
    kept = features.clone()
    masked = spec_augment(features, np.random.default_rng(seed))
    assert torch.equal(features, kept)
    assert torch.equal(masked[masked != 0], features[masked != 0])


@given(seeds)
def test_a_seed_decides_the_masks(seed):
    features = torch.randn(50, 200)
    one, other = (spec_augment(features, np.random.default_rng(seed)) for _ in range(2))
    assert torch.equal(one, other)


def test_masks_differ_and_reach_every_width_and_place():
    rng, ones = np.random.default_rng(0), torch.ones(100, 40)
    masks = [spec_augment(ones, rng, frequency_masks=1, frequency_width=4, time_masks=0)[0] == 0
             for _ in range(500)]
    assert {int(mask.sum()) for mask in masks} == {0, 1, 2, 3, 4}
    assert torch.stack(masks).any(dim=0).all()


def test_no_masks_change_nothing():
    features = torch.randn(20, 200)
    rng = np.random.default_rng(0)
    assert torch.equal(spec_augment(features, rng, frequency_masks=0, time_masks=0), features)
