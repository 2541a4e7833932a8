"""Syllables put together of parts: noise from one recording, voice from another."""

from itertools import islice

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.audio.features import HOP_SAMPLES
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.pitch import track_pitch
from ramospeech.audio.splicing import OVERLAP, PAUSE, find_parts, splice
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Corpus, Split
from ramospeech.data.manifest import Utterance, parse_line
from ramospeech.data.preparation import CorpusError, Preparation
from ramospeech.data.recipes import spliced
from ramospeech.data.recipes.spliced import ENOUGH, Donors, choose_donors, prepare, phonetic_final
from ramospeech.language.pinyin import split_syllable
from ramospeech.language.vocabulary import Vocabulary

MILLISECOND = SAMPLE_RATE // 1000


def silence(milliseconds: int) -> torch.Tensor:
    return 1e-4 * torch.randn(milliseconds * MILLISECOND, generator=torch.manual_seed(1))


def hiss(milliseconds: int) -> torch.Tensor:
    """As of s: noise with little below 2.4 kHz."""
    noise = torch.randn(milliseconds * MILLISECOND + 4, generator=torch.manual_seed(2))
    return 0.02 * noise.diff(n=4)


def vowel(pitch: float, milliseconds: int) -> torch.Tensor:
    time = torch.arange(milliseconds * MILLISECOND) / SAMPLE_RATE
    harmonics = torch.arange(pitch, 3000, pitch)
    waves = torch.sin(2 * torch.pi * harmonics[:, None] * time) / harmonics[:, None] * pitch
    return 0.1 * waves.sum(0)


def syllable(pitch: float, hissing: int = 150, voiced: int = 300, before: int = 400) -> torch.Tensor:
    return torch.cat([silence(before), hiss(hissing), vowel(pitch, voiced), silence(500)])


@given(before=st.integers(100, 500), hissing=st.integers(0, 200), voiced=st.integers(150, 500))
def test_parts_are_found(before, hissing, voiced):
    parts = find_parts(syllable(200, hissing, voiced, before))
    expected = (before, before + hissing, before + hissing + voiced)
    assert np.allclose(np.array(parts) / MILLISECOND, expected, atol=35)


def test_a_click_is_no_speech():
    waveform = syllable(200, before=600)
    waveform[1600:1640] = 0.5
    assert abs(find_parts(waveform).start - 600 * MILLISECOND) < 35 * MILLISECOND
    click = silence(500)
    click[4000] = 1
    with pytest.raises(ValueError, match="nothing but clicks"):
        find_parts(click)
    with pytest.raises(ValueError, match="too short"):
        find_parts(silence(20))


def test_the_noise_of_one_and_the_voice_of_the_other():
    one, other = syllable(160, hissing=150), syllable(250, hissing=0, voiced=300)
    made = splice(one, other)
    parts = find_parts(made)
    assert parts.start == PAUSE
    assert parts.voice - parts.start == pytest.approx(150 * MILLISECOND, abs=30 * MILLISECOND)
    assert parts.end - parts.voice == pytest.approx(300 * MILLISECOND, abs=30 * MILLISECOND)
    pitch = track_pitch(made)
    assert pitch[~pitch.isnan()].median() == pytest.approx(250, rel=0.02)
    assert len(made) == pytest.approx(parts.end + PAUSE, abs=2 * HOP_SAMPLES)


def test_of_two_equal_recordings_comes_the_same_recording():
    one = syllable(200)
    start, _, end = find_parts(one)
    kept = one[start - PAUSE:end + PAUSE]
    assert torch.allclose(splice(one, one), kept, atol=1e-6)


def test_the_second_gives_the_loudness():
    loud = syllable(200)
    made = splice(0.2 * loud, loud)
    assert made.abs().max() == pytest.approx(float(loud.abs().max()), rel=0.2)
    assert made.diff().abs().max() < 2 * loud.diff().abs().max()  # no click at the cut
    assert OVERLAP < PAUSE


@given(st.integers(70, 200), st.integers(70, 200))
def test_short_ones_can_be_spliced(one, other):
    made = splice(vowel(200, one), vowel(300, other))
    assert made.isfinite().all() and len(made) > 0


# The corpus


@pytest.fixture
def words(tmp_path) -> Split:
    """Recordings of a few words, in which some syllables have their parts."""
    spoken = ["lu4", "si1", "si4 ji1", "lu4", "ji2", "yi1"]
    utterances = []
    for number, pinyin in enumerate(spoken):
        soundfile.write(tmp_path / f"{number}.wav", syllable(180 + 10 * number).numpy(), SAMPLE_RATE)
        utterances.append(Utterance(f"{number}.wav", pinyin, ""))
    return Split("audio-cmn", "train", utterances, tmp_path, "written for the tests")


def test_donors_have_the_parts_that_are_needed(words):
    donors = Donors(words)
    assert donors.of(split_syllable("ji1")) == ([4], [5])  # ji2 begins with it, yi1 ends in it
    assert donors.of(split_syllable("ji4")) == ([4], [])
    assert donors.of(split_syllable("lu4")) == ([0, 3], [0, 3])
    assert donors.of(split_syllable("qi1")) == ([], [5])
    assert donors.of(split_syllable("zi1")) == ([], [1])  # not yi1
    assert donors.of(split_syllable("ju4"))[0] == []  # i of ji is no beginning of v


def test_every_choice_spells_the_syllable_and_tops_it_up(words):
    found = Preparation(words.root)
    choices = list(choose_donors(words, found))
    assert choices == list(choose_donors(words, Preparation(words.root)))
    made = {name for name, _, _ in choices}
    assert {"ji1", "ji2", "lu4", "si1"} <= made < set(Vocabulary.read().symbols)
    assert sum(found.skipped.values()) == len(Vocabulary.read()) - 2 - len(made)
    heard = {"lu4": 2, "si1": 1, "si4": 1, "ji1": 1, "ji2": 1, "yi1": 1}
    for name in made:
        numbers = [number for other, number, _ in choices if other == name]
        assert numbers == list(range(ENOUGH - heard.get(name, 0)))
    for name, _, (beginning, end) in choices:
        first, last = (split_syllable(words.utterances[index].syllables[0])
                       for index in (beginning, end))
        wanted = split_syllable(name)
        assert (first.initial, last.tone) == (wanted.initial, wanted.tone)
        assert phonetic_final(last) == phonetic_final(wanted)
        assert len(words.utterances[end].syllables) == 1


def test_recordings_are_made_once(words, tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus, "open_split", lambda *_: words)
    monkeypatch.setattr(spliced, "choose_donors", lambda *_: islice(
        choose_donors(words, Preparation(tmp_path)), 3))
    found = prepare(tmp_path / "made")
    assert len(found.splits["train"]) == 3 and found.speakers["train"] == {"Yue Tan"}
    files = [found.root / utterance.path for utterance in found.splits["train"]]
    assert all(len(load_audio(file)) > SAMPLE_RATE // 2 for file in files)
    assert all(parse_line("\t".join(item)) == item for item in found.splits["train"])
    times = [file.stat().st_mtime_ns for file in files]
    prepare(tmp_path / "made")
    assert times == [file.stat().st_mtime_ns for file in files]


def test_what_has_no_part_to_be_made_of_is_skipped(words, tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus, "open_split", lambda *_: words)
    monkeypatch.setattr(spliced, "choose_donors", lambda *_: iter(
        [("ji1", 0, (4, 5)), ("lu4", 0, (0, 3)), ("lu4", 1, (3, 0))]))
    words.audio_path(5).unlink()
    found = prepare(tmp_path / "made")
    assert [utterance.path for utterance in found.splits["train"]] == ["lu4/0.flac", "lu4/1.flac"]
    assert "1 skipped: a part that cannot be used, such as" in found.summary()
    assert f"{words.audio_path(5)}: no such file" in found.summary()


def test_it_needs_the_words(data_folder):
    with pytest.raises(CorpusError, match="the corpus audio-cmn is not prepared"):
        open_split("spliced", "train")
