"""From a split to batches: nothing lost, nothing twice, and the same on every run."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby, product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence

from ramospeech.audio.augment import change_speed
from ramospeech.audio.features import extract_features, frame_count
from ramospeech.audio.io import SAMPLE_RATE, AudioError, load_audio
from ramospeech.data import dataset as dataset_module
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import SpeechDataset, Unreadable, collate, make_loader
from ramospeech.data.manifest import Utterance
from ramospeech.data.sampler import BucketSampler, plan_batches
from ramospeech.data.usable import find_unreadable, find_unusable, measure_seconds
from ramospeech.language.vocabulary import Vocabulary

VOCABULARY = Vocabulary.read()


def make_split(root: Path, recordings: list[tuple[int, str]], rate: int = SAMPLE_RATE) -> Split:
    """A split of noises, each of so many samples and with so many syllables."""
    utterances = []
    for number, (samples, pinyin) in enumerate(recordings):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, samples)
        soundfile.write(root / f"{number}.wav", noise, rate)
        utterances.append(Utterance(f"{number}.wav", pinyin, ""))
    return Split("noises", "train", utterances, root, "made up")


# plan_batches

lengths = st.lists(st.floats(0.1, 20), min_size=1, max_size=60).map(np.array)
sizes = st.integers(1, 9)


@given(lengths, sizes, st.none() | st.integers(0, 99))
def test_each_utterance_is_in_one_batch(seconds, size, seed):
    plan = plan_batches(seconds, size, None if seed is None else np.random.default_rng(seed))
    assert sorted(index for batch in plan for index in batch) == list(range(len(seconds)))
    assert sorted(map(len, plan))[1:] == [size] * (len(plan) - 1)  # one may be smaller
    assert all(1 <= len(batch) <= size for batch in plan)


@given(lengths, sizes, st.integers(0, 99))
def test_a_seed_decides_the_plan(seconds, size, seed):
    one, other = (plan_batches(seconds, size, np.random.default_rng(seed)) for _ in range(2))
    assert one == other


@given(lengths, sizes)
def test_without_a_generator_short_ones_come_first(seconds, size):
    order = [index for batch in plan_batches(seconds, size) for index in batch]
    assert (np.diff(seconds[order]) >= 0).all()


@given(lengths, sizes, st.integers(0, 99))
def test_jittered_batches_are_still_of_similar_length(seconds, size, seed):
    plan = plan_batches(seconds, size, np.random.default_rng(seed))
    by_place = sorted(plan, key=lambda batch: seconds[batch].mean())
    for shorter, longer in zip(by_place, by_place[2:]):
        # lengths shaken by a tenth change places only with those within 1.1 / 0.9
        assert seconds[shorter].min() <= seconds[longer].max() * 1.1 / 0.9 + 1e-9


def test_seeds_mix_differently():
    seconds = np.linspace(1, 5, 40)
    plans = [plan_batches(seconds, 4, np.random.default_rng(seed)) for seed in range(5)]
    together = {frozenset(map(frozenset, plan)) for plan in plans}
    assert len(together) == 5


# BucketSampler


def test_sampler_counts_and_gives_keys():
    sampler = BucketSampler(np.linspace(1, 2, 10), batch_size=4, shuffle=True, seed=3)
    first, again = list(sampler), list(sampler)
    assert len(sampler) == len(first) == 3 and first == again
    assert {epoch for batch in first for epoch, _ in batch} == {0}
    sampler.epoch = 1
    later = list(sampler)
    assert later != first and {epoch for batch in later for epoch, _ in batch} == {1}
    assert sorted(index for batch in later for _, index in batch) == list(range(10))


def test_an_epoch_can_resume():
    sampler = BucketSampler(np.linspace(1, 2, 10), batch_size=4, shuffle=True, seed=3)
    for epoch in range(2):
        sampler.epoch, sampler.start = epoch, 0
        whole = list(sampler)
        for start in range(4):
            sampler.start = start
            assert list(sampler) == whole[start:] and len(sampler) == 3


def test_a_fingerprint_tells_plans_apart():
    seconds = np.linspace(1, 2, 10)
    sampler, same = (BucketSampler(seconds, 4, shuffle=True, seed=3) for _ in range(2))
    others = [BucketSampler(seconds, 5, True, 3), BucketSampler(seconds, 4, True, 4),
              BucketSampler(seconds[:9], 4, True, 3), BucketSampler(seconds[::-1], 4, True, 3)]
    same.start = 2
    prints = {sampler.fingerprint(0), sampler.fingerprint(1),
              *(other.fingerprint(0) for other in others)}
    assert same.fingerprint(0) == sampler.fingerprint(0) and len(prints) == 6


# SpeechDataset


def same_examples(one, other) -> bool:
    return (torch.equal(one.features, other.features) and torch.equal(one.target, other.target)
            and one.index == other.index)


def test_without_augmentation_the_features_are_the_recordings_own(train):
    dataset = SpeechDataset(train, VOCABULARY)
    for index in range(3):
        waveform = load_audio(train.audio_path(index))
        features, frames = extract_features(waveform[None], torch.tensor([len(waveform)]))
        example = dataset[5, index]
        assert torch.equal(example.features, features[0]) and len(example.features) == frames
        assert VOCABULARY.decode(example.target.tolist()) == train.utterances[index].syllables
        assert example.target.dtype == torch.int64 and example.index == index


def test_augmentation_is_decided_by_seed_epoch_and_index(train):
    keys = [(epoch, index) for epoch in range(3) for index in range(4)]
    forwards = SpeechDataset(train, VOCABULARY, augment=True, seed=7)
    expected = {key: forwards[key] for key in keys}
    backwards = SpeechDataset(train, VOCABULARY, augment=True, seed=7)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 the global state, which must not matter
    assert all(same_examples(backwards[key], expected[key]) for key in reversed(keys))
    for other in ((0, 0, 8), (1, 0, 7), (0, 1, 7)):  # epoch, index, seed
        dataset = SpeechDataset(train, VOCABULARY, augment=True, seed=other[2])
        assert not torch.equal(dataset[other[:2]].features, expected[0, 0].features)


def test_equal_recordings_are_changed_differently(tmp_path):
    split = make_split(tmp_path, [(8000, "ma1"), (8000, "ma1")])
    (tmp_path / "1.wav").write_bytes((tmp_path / "0.wav").read_bytes())
    dataset = SpeechDataset(split, VOCABULARY, augment=True)
    assert any(not torch.equal(dataset[epoch, 0].features, dataset[epoch, 1].features)
               for epoch in range(3))

def test_a_part_of_the_utterances_gets_voice_augmentation(tmp_path, monkeypatch):
    split = make_split(tmp_path, [(16_000, "ma1")] * 200)
    augmented = []
    monkeypatch.setattr(dataset_module, "augment_voice", lambda spectrogram, *_: (
        augmented.append(1), spectrogram)[1])
    for share in (0.0, 0.3, 1.0):
        augmented.clear()
        dataset = SpeechDataset(split, VOCABULARY, voice_augmentation=share)
        for index in range(200):
            dataset[0, index]
        assert len(augmented) == pytest.approx(200 * share, abs=25)
        assert share not in (0, 1) or len(augmented) == 200 * share


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def epochs(split: Split, workers: int, count: int = 2) -> list[dataset_module.Batch]:
    dataset = SpeechDataset(split, VOCABULARY, augment=True, seed=7)
    loader = make_loader(dataset, measure_seconds(split), 5, shuffle=True, workers=workers)
    found = []
    for epoch in range(count):
        loader.batch_sampler.epoch = epoch
        found.extend(loader)
    return found


def test_workers_change_nothing(train, two_threads):
    """They have one thread each, and this process may have more: sums come out alike."""
    alone, helped = epochs(train, workers=0), epochs(train, workers=2)
    assert torch.get_num_threads() == 2
    assert len(alone) == len(helped) == 2 * 3
    for one, other in zip(alone, helped):
        assert one.indices == other.indices
        assert torch.equal(one.features, other.features)
        assert torch.equal(one.targets, other.targets)
    assert not torch.equal(alone[0].features, alone[3].features)  # the next epoch


@pytest.mark.parametrize("workers", [0, 2])
def test_loading_leaves_the_random_numbers_of_training_alone(train, workers):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    epochs(train, workers)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_loads_nothing_that_came_before(train, workers):
    dataset = SpeechDataset(train, VOCABULARY)
    seconds = measure_seconds(train)
    loader = make_loader(dataset, seconds, 5, shuffle=True, workers=workers)
    whole = [batch.indices for batch in loader]
    missing = [utterance._replace(path="missing.wav") if index in whole[0] else utterance
               for index, utterance in enumerate(train.utterances)]
    broken = SpeechDataset(replace(train, utterances=missing), VOCABULARY)
    loader = make_loader(broken, seconds, 5, shuffle=True, workers=workers)
    loader.batch_sampler.start = 1
    assert [batch.indices for batch in loader] == whole[1:]


def test_decoded_audio_is_kept_up_to_a_limit(tmp_path, monkeypatch):
    split = make_split(tmp_path, [(5000, "ma1"), (4000, "ma1"), (3000, "ma1")])
    monkeypatch.setattr(dataset_module, "CACHE_SAMPLES", 8000)
    reads = []
    monkeypatch.setattr(dataset_module, "load_audio", lambda path: reads.append(path) or load_audio(path))
    dataset = SpeechDataset(split, VOCABULARY)
    for _ in range(2):
        lengths = [len(dataset.waveform(index)) for index in range(3)]
    assert lengths == [5000, 4000, 3000]
    assert [path.name for path in reads] == ["0.wav", "1.wav", "2.wav", "1.wav"]


@pytest.mark.parametrize("spoil, reason", [
    (lambda path: path.unlink(), "no such file"),
    (lambda path: path.write_bytes(path.read_bytes()[:500]), "truncated"),
    (lambda path: soundfile.write(path, np.zeros(9000), SAMPLE_RATE), "silent"),
    (lambda path: soundfile.write(path, np.linspace(-1, 1, 300), SAMPLE_RATE), "too short: 0.019 s"),
])
def test_a_bad_recording_is_named(tmp_path, spoil: Callable[[Path], None], reason):
    check_the_bad_one_is_named(tmp_path, spoil, reason, workers=0)


def test_a_bad_recording_is_named_by_a_worker(tmp_path):
    check_the_bad_one_is_named(tmp_path, lambda path: path.unlink(), "no such file", workers=1)


def check_the_bad_one_is_named(root, spoil, reason, workers):
    """And the others come, each as it would without it."""
    split = make_split(root, [(5000, "ma1"), (6000, "ma1"), (7000, "ma1")])
    seconds, dataset = measure_seconds(split), SpeechDataset(split, VOCABULARY)
    good = {index: dataset[0, index].features for index in (0, 2)}
    spoil(split.audio_path(1))
    dataset = SpeechDataset(split, VOCABULARY)
    with pytest.raises(AudioError) as caught:
        dataset[0, 1]
    assert str(caught.value).startswith(f"{split.audio_path(1)}: {reason}")
    first, second = make_loader(dataset, seconds, 2, workers=workers)
    assert (first.indices, second.indices) == ([0], [2])
    assert (first.left_out, second.left_out) == ({1: str(caught.value)}, {})
    assert torch.equal(first.features[0], good[0]) and torch.equal(second.features[0], good[2])


def test_a_recording_that_augmentation_makes_too_short_is_named(tmp_path):
    split = make_split(tmp_path, [(400 + 7 * 160, "ma1")])
    dataset = SpeechDataset(split, VOCABULARY, augment=True)
    with pytest.raises(AudioError, match=r"0\.wav: too short"):
        for epoch in range(20):
            dataset[epoch, 0]


# collate


def test_collate_pads_and_measures(train):
    dataset = SpeechDataset(train, VOCABULARY)
    examples = [dataset[0, index] for index in (4, 0, 2)]
    batch = collate(examples)
    assert batch.indices == [4, 0, 2]
    assert batch.feature_lengths.tolist() == [len(example.features) for example in examples]
    assert batch.target_lengths.tolist() == [len(example.target) for example in examples]
    for row, example in enumerate(examples):
        frames, syllables = len(example.features), len(example.target)
        assert torch.equal(batch.features[row, :frames], example.features)
        assert (batch.features[row, frames:] == 0).all()
        assert torch.equal(batch.targets[row, :syllables], example.target)
        assert (batch.targets[row, syllables:] == 0).all()


def test_collated_examples_are_the_features_of_a_padded_batch(train):
    """Training computes features one by one, recognition in a batch: the same numbers."""
    waveforms = [load_audio(train.audio_path(index)) for index in range(4)]
    samples = torch.tensor([len(waveform) for waveform in waveforms])
    features, frames = extract_features(pad_sequence(waveforms, batch_first=True), samples)
    dataset = SpeechDataset(train, VOCABULARY)
    batch = collate([dataset[0, index] for index in range(4)])
    assert batch.feature_lengths.tolist() == frames.tolist() == frame_count(samples).tolist()
    assert torch.allclose(batch.features, features, atol=1e-3)


def test_a_batch_of_nothing_but_unreadable_ones_is_empty():
    batch = collate([Unreadable(3, "3.wav: silent"), Unreadable(1, "1.wav: no such file")])
    assert batch.indices == [] and len(batch.features) == len(batch.targets) == 0
    assert batch.to("cpu").left_out == {3: "3.wav: silent", 1: "1.wav: no such file"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_batch_goes_to_a_gpu_and_back(train):
    batch = collate([SpeechDataset(train, VOCABULARY)[0, 0]])
    there = batch.to("cuda")
    assert there.features.is_cuda and there.targets.is_cuda and there.feature_lengths.is_cuda
    assert torch.equal(there.to("cpu").features, batch.features)


# measure_seconds and find_unusable


def test_seconds_are_those_of_the_decoded_audio(train):
    decoded = [len(load_audio(train.audio_path(index))) / SAMPLE_RATE for index in range(len(train))]
    assert np.allclose(measure_seconds(train), decoded, atol=1 / SAMPLE_RATE)


def test_headers_tell_what_is_unusable(tmp_path):
    split = make_split(tmp_path, [(9000, "ma1")] * 6 + [(1000, "ma1")])
    bad = [split.audio_path(index) for index in range(5)]
    bad[0].unlink()
    bad[1].write_bytes(b"")
    bad[2].write_bytes(bad[2].read_bytes()[:500])
    bad[3].write_text("<html>not found</html>")
    soundfile.write(bad[4], np.zeros(9000), SAMPLE_RATE)  # silent: the header does not tell
    seconds = measure_seconds(split)
    assert seconds.tolist() == [0, 0, 0, 0, 9000 / SAMPLE_RATE, 9000 / SAMPLE_RATE, 1000 / SAMPLE_RATE]
    found = find_unreadable(split, seconds)
    assert list(found) == [0, 1, 2, 3, 6] == list(find_unusable(split, seconds, VOCABULARY))
    for index, reason in found.items():
        assert reason.startswith(f"{split.audio_path(index)}: ")
    for index, words in ((0, "no such file"), (1, "empty"), (2, "truncated"), (6, "too short: 0.062 s")):
        assert words in found[index]


def fewest_frames(target: list[int]) -> int:
    """The length of the shortest path that reads `target`, found by trying them all."""
    alphabet = sorted({0, *target})
    for frames in range(1, 20):
        for path in product(alphabet, repeat=frames):
            if [label for label, _ in groupby(path) if label != 0] == target:
                return frames
    raise AssertionError("no path")


@pytest.mark.parametrize("fastest, subsampling", [(1.0, 1), (1.1, 1), (1.0, 2)])
def test_find_unusable_agrees_with_trying(tmp_path, fastest, subsampling):
    """A recording is usable where its features, at the highest speed, hold a path of its target."""
    targets = ["ma1", "ma1 ma1", "ma1 ma2 ma1", "ma1 ma1 ma2", "ma1 ma1 ma1"]
    edges = [400 + 160 * (8 * outputs - 1) for outputs in range(1, 7)]  # samples of n output frames
    edges = [round(edge * fastest) for edge in edges]
    recordings = [(edge + change, pinyin) for pinyin in targets for edge in edges
                  for change in (-2, -1, 0, 1)] + [(100, "ma1"), (1, "ma1")]
    split = make_split(tmp_path, recordings)
    expected = set()
    for index, utterance in enumerate(split.utterances):
        samples = len(change_speed(torch.zeros(recordings[index][0]), fastest))
        needed = fewest_frames(VOCABULARY.encode(utterance.syllables))
        if math.ceil(frame_count(samples) // 8 / subsampling) < needed:
            expected.add(index)
    found = find_unusable(split, measure_seconds(split), VOCABULARY, fastest, subsampling=subsampling)
    assert set(found) == expected
    assert 0 < len(expected) < len(split)
    assert all(split.utterances[index].path in reason for index, reason in found.items())


def test_find_unusable_never_lets_through_what_the_dataset_refuses(tmp_path):
    """At another rate too, where lengths are rounded twice."""
    recordings = [(samples, "ma1") for samples in range(2290, 2320)]
    split = make_split(tmp_path, recordings, rate=22_050)
    found = find_unusable(split, measure_seconds(split), VOCABULARY, fastest=1.1)
    assert 0 < len(found) < len(split)
    for index in set(range(len(split))) - set(found):
        waveform = change_speed(load_audio(split.audio_path(index)), 1.1)
        assert frame_count(len(waveform)) >= 8


def test_find_unusable_gives_the_reason(tmp_path):
    split = make_split(tmp_path, [(3200, "ni3 hao3 ma")])
    assert find_unusable(split, measure_seconds(split), VOCABULARY) == {
        0: "0.wav: 3 syllables need 3 output frames, 0.20 s give 2"
    }
