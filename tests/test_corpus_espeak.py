"""The corpus `espeak`: every syllable, many voices, and none of those that mini judges by."""

from collections import Counter
from itertools import islice

from ramospeech.data.manifest import parse_line, read_manifest
from ramospeech.data.recipes.espeak import UTTERANCES, draw_utterances, prepare, training_voices
from ramospeech.data.recipes.mini import manifest_path, parse_voice
from ramospeech.data.tts.espeak import Voice
from ramospeech.language.vocabulary import Vocabulary


def test_all_syllables_come_equally_often():
    counts = Counter(s for utterance in draw_utterances() for s in utterance.syllables)
    assert set(counts) == set(Vocabulary.read().symbols[2:])
    assert max(counts.values()) - min(counts.values()) <= 1


def test_the_rows_are_always_the_same_and_fit_a_manifest():
    utterances = list(draw_utterances())
    assert utterances == list(draw_utterances()) and len(utterances) == UTTERANCES
    assert utterances[:50] == list(draw_utterances(50))
    assert len({utterance.path for utterance in utterances}) == UTTERANCES
    assert all(parse_line("\t".join(utterance)) == utterance for utterance in utterances)
    assert {len(utterance.syllables) for utterance in utterances} == {1, 2, 3, 4, 5}


def test_no_voice_that_mini_judges_by_is_heard():
    judges = {parse_voice(u.path)[0].variant for split in ("dev", "test")
              for u in read_manifest(manifest_path(split))}
    spoken = {parse_voice(u.path)[0].variant for u in draw_utterances()}
    assert len(judges) == 10 and not judges & spoken
    assert spoken == set(training_voices()) and len(spoken) > 80
    assert "whisper" not in spoken


def test_a_path_says_how_far_the_tones_reach():
    assert parse_voice("f2/r160_p50_a75/0007.wav") == (Voice("f2", 160, 50, 75), 8)
    assert parse_voice("f2/r160_p50/0007.wav") == (Voice("f2", 160, 50), 8)


def test_it_is_spoken_where_it_is_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setattr("ramospeech.data.recipes.espeak.draw_utterances",
                        lambda: islice(draw_utterances(), 3))
    found = prepare(tmp_path)
    assert len(found.splits["train"]) == 3
    files = [tmp_path / utterance.path for utterance in found.splits["train"]]
    assert all(file.stat().st_size > 5000 for file in files)
    times = [file.stat().st_mtime_ns for file in files]
    prepare(tmp_path)
    assert times == [file.stat().st_mtime_ns for file in files]
