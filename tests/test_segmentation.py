"""Long recordings in segments: cut at pauses, nothing lost, little memory."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.audio import segmentation
from ramospeech.audio.io import AudioError, load_audio
from ramospeech.audio.segmentation import CUT_FROM, CUT_TO, LONGEST, QUIET, quietest_place, read_segments

RATE = 4000


def phrases(seconds: float, seed: int = 1) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Bursts of noise with pauses between them, and when each burst begins and ends."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.001, round(seconds * RATE))
    spoken, start = [], 0.5
    while (end := start + rng.uniform(1, 9)) < seconds:
        samples[round(start * RATE):round(end * RATE)] += rng.normal(
            0, 0.2, round(end * RATE) - round(start * RATE))
        spoken.append((start, end))
        start = end + rng.uniform(0.25, 0.6)
    return samples.astype(np.float32), spoken


@pytest.fixture
def long_recording(tmp_path):
    samples, spoken = phrases(200)
    soundfile.write(tmp_path / "long.wav", samples, RATE, subtype="FLOAT")
    return tmp_path / "long.wav", samples, spoken


def test_cuts_are_in_pauses_and_nothing_is_lost(long_recording):
    path, samples, spoken = long_recording
    parts = [part for part, rate in segmentation._cut(path)]
    np.testing.assert_array_equal(np.concatenate(parts), samples)
    assert len(parts) > 3 and max(map(len, parts)) <= LONGEST * RATE
    places = np.cumsum([len(part) for part in parts])[:-1] / RATE
    assert not any(start < place < end for place in places for start, end in spoken)


def test_segments_start_where_they_say(long_recording):
    path, _, _ = long_recording
    found = list(read_segments(path))
    assert found[0].start == 0
    for before, after in pairwise(found):
        assert after.start == pytest.approx(before.start + len(before.waveform) / 16_000, abs=1e-3)
    whole = load_audio(path)
    for segment in found:  # resampled segment by segment, it is the same but at the very edges
        start = round(segment.start * 16_000)
        inner = slice(start + 200, start + len(segment.waveform) - 200)
        torch.testing.assert_close(segment.waveform[200:-200], whole[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name, rate, channels", [
    ("a.wav", 16_000, 1), ("a.flac", 44_100, 2), ("a.ogg", 8_000, 1), ("a.mp3", 22_050, 2)])
def test_a_short_recording_is_whole(tmp_path, name, rate, channels):
    sound = np.random.default_rng(0).normal(0, 0.1, (25 * rate, channels))
    soundfile.write(tmp_path / name, sound, rate)
    ((start, waveform),) = read_segments(tmp_path / name)
    assert start == 0
    torch.testing.assert_close(waveform, load_audio(tmp_path / name), rtol=0, atol=1e-6)


def test_an_hour_is_never_in_memory(tmp_path, monkeypatch):
    """Memory does not grow with the recording."""
    def peak(minutes: int) -> int:
        with soundfile.SoundFile(tmp_path / "a.wav", "w", RATE, 1) as file:
            for seed in range(minutes):
                file.write(phrases(60, seed)[0])
        tracemalloc.start()
        assert sum(len(segment.waveform) for segment in read_segments(tmp_path / "a.wav")) > 0
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    monkeypatch.setattr(segmentation, "resample", lambda waveform, rate: waveform)  # torch's is not traced
    few, many = peak(3), peak(30)
    assert many < 1.5 * few and many < 30 * 60 * RATE * 4 / 2


def test_silence_in_between_is_skipped(tmp_path):
    tone = np.sin(np.arange(30 * RATE) / 5)
    soundfile.write(tmp_path / "a.wav", np.concatenate([tone, np.zeros(200 * RATE), tone]), RATE)
    found = list(read_segments(tmp_path / "a.wav"))
    assert sum(len(segment.waveform) for segment in found) < 170 * 16_000
    assert found[-1].start + len(found[-1].waveform) / 16_000 == pytest.approx(260)


def write_cut(path):
    soundfile.write(path, np.ones(RATE), RATE)
    path.write_bytes(path.read_bytes()[:900])


BROKEN = {
    "missing.wav": lambda path: None,
    "text.mp3": lambda path: path.write_text("no sound"),
    "empty.wav": lambda path: path.touch(),
    "nothing.wav": lambda path: soundfile.write(path, np.zeros(0), RATE),
    "silent.wav": lambda path: soundfile.write(path, np.zeros(RATE), RATE),
    "nan.wav": lambda path: soundfile.write(path, np.full(RATE, np.nan), RATE, subtype="FLOAT"),
    "cut.wav": write_cut,
    "rate.wav": lambda path: soundfile.write(path, np.sin(np.arange(RATE)), 500),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_raise_the_same_errors_as_load_audio(tmp_path, name):
    BROKEN[name](tmp_path / name)
    with pytest.raises(AudioError) as expected:
        load_audio(tmp_path / name)
    with pytest.raises(AudioError) as found:
        list(read_segments(tmp_path / name))
    assert str(found.value) == str(expected.value)


def test_long_silence_and_short_sound(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(130 * RATE), RATE)
    with pytest.raises(AudioError, match="a.wav: silent"):
        list(read_segments(tmp_path / "a.wav"))
    soundfile.write(tmp_path / "b.wav", np.sin(np.arange(RATE // 20)), RATE)
    with pytest.raises(AudioError, match="b.wav: too short: 0.050 s"):
        list(read_segments(tmp_path / "b.wav"))


@given(st.integers(0, 1000))
def test_the_quietest_place_by_brute_force(seed):
    rate = 20
    samples = np.random.default_rng(seed).normal(0, 1, round(LONGEST * rate))
    window = round(QUIET * rate)
    place = quietest_place(samples, rate)
    loudness = {start + window // 2: np.sum(samples[start:start + window] ** 2)
                for start in range(round(CUT_FROM * rate), round(CUT_TO * rate) - window)}
    assert loudness[place] == pytest.approx(min(loudness.values()))
