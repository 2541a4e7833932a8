"""The corpus `espeak`: every syllable, many voices, and none of those in mini's dev and test."""

from collections import Counter
from itertools import islice

from ramospeech.data.manifest import parse_line, read_manifest
from ramospeech.data.recipes.espeak import UTTERANCES, draw_utterances, prepare, training_voices
from ramospeech.data.recipes.mini import manifest_path, parse_voice
from ramospeech.data.tts.espeak import Voice
from ramospeech.language.vocabulary import Vocabulary


def test_all_syllables_are_equally_frequent():
    counts = Counter(s for utterance in draw_utterances() for s in utterance.syllables)
    assert set(counts) == set(Vocabulary.read().symbols[2:])
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_utterances_are_reproducible_and_fit_a_manifest():
    utterances = list(draw_utterances())
    assert utterances == list(draw_utterances()) and len(utterances) == UTTERANCES
    assert utterances[:50] == list(draw_utterances(50))
    assert len({utterance.path for utterance in utterances}) == UTTERANCES
    assert all(parse_line("\t".join(utterance)) == utterance for utterance in utterances)
    assert {len(utterance.syllables) for utterance in utterances} == {1, 2, 3, 4, 5}


def test_no_voice_of_minis_dev_and_test_occurs():
    held_out = {parse_voice(u.path)[0].variant for split in ("dev", "test")
              for u in read_manifest(manifest_path(split))}
    spoken = {parse_voice(u.path)[0].variant for u in draw_utterances()}
    assert len(held_out) == 10 and not held_out & spoken
    assert spoken == set(training_voices()) and len(spoken) > 80
    assert "whisper" not in spoken


def test_a_path_contains_the_pitch_range():
    assert parse_voice("f2/r160_p50_a75/0007.wav") == (Voice("f2", 160, 50, 75), 8)
    assert parse_voice("f2/r160_p50/0007.wav") == (Voice("f2", 160, 50), 8)


def test_missing_recordings_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr("ramospeech.data.recipes.espeak.draw_utterances",
                        lambda: islice(draw_utterances(), 3))
    found = prepare(tmp_path)
    assert len(found.splits["train"]) == 3
    files = [tmp_path / utterance.path for utterance in found.splits["train"]]
    assert all(file.stat().st_size > 5000 for file in files)
    times = [file.stat().st_mtime_ns for file in files]
    prepare(tmp_path)
    assert times == [file.stat().st_mtime_ns for file in files]
