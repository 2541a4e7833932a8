"""Features against a loop in double precision, torchaudio, and what must not change them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchaudio.transforms import Spectrogram

from ramospeech.audio.features import (
    BINS, FLOOR, FRAME_SAMPLES, HOP_SAMPLES, extract_features, frame_count, log_spectrogram, normalise,
)
from ramospeech.audio.io import load_audio

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def log_spectrogram_by_loop(samples: np.ndarray) -> np.ndarray:
    """Frame by frame, in double precision, from numpy's transform: `(frames, 200)`."""
    n = np.arange(400)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * n / 400)
    rows, start = [], 0
    while start + 400 <= len(samples):
        magnitude = np.abs(np.fft.rfft(samples[start:start + 400].astype(np.float64) * window))
        rows.append(np.log(magnitude[:200] + 1e-3))
        start += 160
    return np.array(rows)


# frame_count


@given(st.integers(0, 100_000))
def test_frame_count_is_the_count_of_windows_that_fit(samples):
    fitting = sum(start + 400 <= samples for start in range(0, samples, 160))
    assert frame_count(samples) == fitting
    assert frame_count(torch.tensor([samples, 0])).tolist() == [fitting, 0]
    assert frame_count(np.array([samples, 399])).tolist() == [fitting, 0]


@given(st.integers(400, 5000))
def test_frame_count_is_what_log_spectrogram_gives(samples):
    assert len(log_spectrogram(noise(samples))) == frame_count(samples)


# log_spectrogram


@settings(max_examples=40)
@given(st.integers(400, 4000), st.integers(0, 1000), st.sampled_from([1e-4, 0.01, 1.0, 30.0]))
def test_log_spectrogram_equals_the_loop(samples, seed, loudness):
    waveform = loudness * noise(samples, seed=seed)
    expected = log_spectrogram_by_loop(waveform.numpy())
    assert np.allclose(log_spectrogram(waveform.double()), expected, atol=1e-8)
    found = log_spectrogram(waveform)
    assert found.dtype == torch.float32
    # single precision: a magnitude is exact to a millionth of the loudest, not its logarithm
    magnitudes, exact = found.double().exp().numpy(), np.exp(expected)
    assert np.allclose(magnitudes, exact, rtol=1e-5, atol=1e-6 * exact.max())


def test_log_spectrogram_by_the_definition_of_the_transform():
    frame = noise(400).double().numpy()
    for k in (0, 1, 57, 199):
        total = sum(
            frame[n] * (0.54 - 0.46 * math.cos(2 * math.pi * n / 400))
            * complex(math.cos(2 * math.pi * k * n / 400), -math.sin(2 * math.pi * k * n / 400))
            for n in range(400)
        )
        found = log_spectrogram(torch.from_numpy(frame))[0, k]
        assert found == pytest.approx(math.log(abs(total) + 1e-3), abs=1e-9)


def test_log_spectrogram_equals_torchaudio_on_speech(train):
    waveform = load_audio(train.audio_path(0))
    transform = Spectrogram(n_fft=400, win_length=400, hop_length=160, power=1, center=False,
                            window_fn=torch.hamming_window)
    expected = torch.log(transform(waveform)[:200].T + 1e-3)
    assert torch.allclose(log_spectrogram(waveform), expected, atol=1e-5)
    assert np.allclose(log_spectrogram(waveform), log_spectrogram_by_loop(waveform.numpy()),
                       atol=1e-2)


@given(st.integers(3, 196))
def test_a_tone_is_loudest_in_its_bin(bin_number):
    wave = torch.sin(2 * torch.pi * 40 * bin_number * torch.arange(1600) / 16_000)
    assert (log_spectrogram(wave).argmax(dim=1) == bin_number).all()


def test_silence_is_the_floor():
    features = log_spectrogram(torch.zeros(1000))
    assert torch.equal(features, torch.full((4, BINS), math.log(FLOOR)))


@given(st.integers(0, 9), st.integers(0, 1999))
def test_a_frame_is_made_of_its_own_samples_only(frame, sample):
    waveform = noise(400 + 9 * 160 + 160)[:2000]
    changed = waveform.clone()
    changed[sample] += 1
    touched = frame * HOP_SAMPLES <= sample < frame * HOP_SAMPLES + FRAME_SAMPLES
    before, after = log_spectrogram(waveform)[frame], log_spectrogram(changed)[frame]
    assert torch.equal(before, after) != touched


def test_leading_dimensions():
    waveforms = noise(2, 3, 1000)
    features = log_spectrogram(waveforms)
    assert features.shape == (2, 3, 4, BINS)
    assert torch.allclose(features[1, 2], log_spectrogram(waveforms[1, 2]), atol=1e-5)


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_less_than_a_frame(samples):
    with pytest.raises(ValueError, match=f"too short: {samples} samples, a frame needs 400"):
        log_spectrogram(torch.zeros(samples))


# normalise

shapes = st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 8))


@st.composite
def padded_batches(draw):
    batch, frames, bins = draw(shapes)
    lengths = draw(st.lists(st.integers(1, frames), min_size=batch, max_size=batch))
    features = 30 * noise(batch, frames, bins, seed=draw(st.integers(0, 99))) - 3
    return features, torch.tensor(lengths)


@given(padded_batches())
def test_normalise_equals_its_definition(case):
    features, lengths = case
    result = normalise(features, lengths)
    for utterance, length, found in zip(features, lengths, result):
        own = utterance[:length].double().numpy()
        expected = (own - own.mean()) / (own.std() + 1e-3)
        assert np.allclose(found[:length], expected, atol=1e-3)
        assert (found[length:] == 0).all()


@given(padded_batches(), st.sampled_from([0.0, 7.0, -1e4, math.inf, math.nan]))
def test_a_batch_is_normalised_as_each_alone_whatever_the_padding_holds(case, filler):
    features, lengths = case
    for utterance, length in zip(features, lengths):
        utterance[length:] = filler
    result = normalise(features, lengths)
    for utterance, length, found in zip(features, lengths, result):
        alone = normalise(utterance[:length].unsqueeze(0))[0]
        assert torch.allclose(found[:length], alone, atol=1e-4)


def test_normalise_leaves_its_argument_alone():
    features = noise(2, 5, 3)
    kept = features.clone()
    normalise(features, torch.tensor([5, 2]))
    assert torch.equal(features, kept)


def test_what_never_moves_becomes_zero():
    assert torch.equal(normalise(torch.full((1, 7, 3), 5.0)), torch.zeros(1, 7, 3))
    assert torch.equal(normalise(torch.full((2, 1, 3), -6.9)), torch.zeros(2, 1, 3))


def test_loudness_is_normalised_away(train):
    waveform = load_audio(train.audio_path(0))
    original = normalise(log_spectrogram(waveform)[None])
    for factor in (0.5, 2.0, 4.0):
        other = normalise(log_spectrogram(factor * waveform)[None])
        assert (other - original).abs().mean() < 0.1
    louder = log_spectrogram(waveform)[None] + 3
    assert torch.allclose(normalise(louder), original, atol=1e-3)


def test_bins_keep_their_distances(train):
    """Two steady vowels would be alike if each bin were normalised by itself."""
    steady = log_spectrogram(load_audio(train.audio_path(0)))[None, 40:41].expand(1, 20, BINS)
    shape = normalise(steady)[0, 0]
    assert torch.corrcoef(torch.stack([shape, steady[0, 0]]))[0, 1] > 0.999


# extract_features


def batch_of_waveforms(device: str = "cpu") -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    waveforms = [noise(samples, seed=samples) for samples in (400, 559, 16_000, 7777)]
    padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return waveforms, padded.to(device), lengths.to(device)


def check_batch_equals_one_by_one(device: str) -> None:
    waveforms, padded, lengths = batch_of_waveforms(device)
    features, frames = extract_features(padded, lengths)
    assert features.shape == (4, 98, BINS) and frames.tolist() == [1, 1, 98, 47]
    assert features.device == padded.device == frames.device
    for waveform, found, count in zip(waveforms, features.cpu(), frames.tolist()):
        alone, _ = extract_features(waveform[None], torch.tensor([len(waveform)]))
        assert torch.allclose(found[:count], alone[0], atol=5e-3)
        assert (found[count:] == 0).all()


def test_a_batch_equals_one_by_one():
    check_batch_equals_one_by_one("cpu")


@needs_gpu
def test_a_batch_on_a_gpu_equals_one_by_one_on_the_cpu():
    check_batch_equals_one_by_one("cuda")


def test_what_lies_behind_an_utterance_does_not_matter():
    _, padded, lengths = batch_of_waveforms()
    noisy = padded.clone()
    for row, length in zip(noisy, lengths):
        row[length:] = 1.0
    features, _ = extract_features(padded, lengths)
    assert torch.allclose(extract_features(noisy, lengths)[0], features, atol=1e-4)


def test_features_are_normalised_log_spectrograms(train):
    waveform = load_audio(train.audio_path(1))
    features, _ = extract_features(waveform[None], torch.tensor([len(waveform)]))
    assert torch.equal(features, normalise(log_spectrogram(waveform)[None]))


@pytest.mark.parametrize("lengths, place", [([1000, 399], 1), ([0, 1000], 0)])
def test_an_utterance_shorter_than_a_frame_is_pointed_at(lengths, place):
    with pytest.raises(ValueError, match=f"utterance {place} of the batch"):
        extract_features(noise(2, 1000), torch.tensor(lengths))
