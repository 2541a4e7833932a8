"""From a recording to hanzi, with the shipped model."""

import math
from itertools import product

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech import pieces
from ramospeech.audio import SAMPLE_RATE, load_audio
from ramospeech.corpora import Split
from ramospeech.joint_search import HYPOTHESES, Heard, joint_search, slots_from_posteriors
from ramospeech.metrics import ErrorCounts
from ramospeech.model import AcousticModel
from ramospeech.pieces import read_pieces
from ramospeech.pinyin import PAD, UNK, Inventory
from ramospeech.prefix_beam import prefix_beam_search
from ramospeech.recognition import Reading
from ramospeech.speech_to_text import Sentence, SpeechToText, Text, log_prob
from ramospeech.word_lattice import Lattice, Writing
from ramospeech.word_lattice import given as certain
from test_word_lattice import every_path, models, slots


@pytest.fixture(scope="module")
def speech() -> SpeechToText:
    return SpeechToText.load()


@pytest.fixture
def recordings(dev: Split) -> list:
    return [dev.audio_path(index) for index in range(len(dev))]


def test_it_writes_what_was_said(speech, dev, recordings):
    counts = ErrorCounts()
    for text, utterance in zip(speech.transcribe(recordings), dev.utterances):
        counts.add(utterance.hanzi, text.hanzi)
        assert len(text.best.seconds) == len(text.best.syllables) == len(text.best.tokens)
        assert list(text.best.seconds) == sorted(set(text.best.seconds))
        assert text.elapsed > 0 and text.error is None
    assert counts.rate < 0.5


def test_it_is_the_joint_search_of_the_n_best(speech, recordings):
    for path in recordings:
        (log_probs,) = speech.recogniser.log_probs([load_audio(path)])
        heard = [Heard(slots_from_posteriors(log_probs, item, speech.recogniser.inventory),
                       item.score) for item in prefix_beam_search(log_probs, nbest=HYPOTHESES)]
        expected = joint_search(heard, speech.words, count=3)
        text = speech.write(load_audio(path), count=3)
        assert [(item.hanzi, item.syllables, item.joint) for item in text.sentences] == [
            (item.hanzi, item.syllables, pytest.approx(item.score, rel=1e-4)) for item in expected]
        assert text.heard.others and text.heard.score >= text.heard.others[0].score


def test_batches_change_nothing(speech, recordings, tmp_path):
    files = [*recordings, tmp_path / "missing.wav", recordings[0]]
    together = list(speech.transcribe(files))
    assert [text.file for text in together] == list(map(str, files))
    assert together[-2].error == f"{tmp_path / 'missing.wav'}: no such file"
    assert together[-2].hanzi == "" and together[0].hanzi == together[-1].hanzi
    for size in (1, 2):
        alone = list(speech.transcribe(files, batch_size=size))
        assert [text.hanzi for text in alone] == [text.hanzi for text in together]
        assert [text.error for text in alone] == [text.error for text in together]


def test_a_recording_is_read_in_its_turn(speech, recordings):
    asked = []
    texts = speech.transcribe((asked.append(path) or path for path in recordings), batch_size=1)
    next(texts)
    assert len(asked) == 1


@pytest.fixture
def long_recording(recordings, tmp_path):
    """The recordings twice over, with pauses between them, and the second at which each begins."""
    pause, samples, starts = np.zeros(SAMPLE_RATE // 2, np.float32), [], []
    for path in recordings * 2:
        starts.append(sum(map(len, samples)) / SAMPLE_RATE)
        samples += [load_audio(path).numpy(), pause]
    soundfile.write(tmp_path / "long.wav", np.concatenate(samples), SAMPLE_RATE, subtype="FLOAT")
    return tmp_path / "long.wav", starts


def test_a_long_recording_is_joined_again(speech, long_recording, monkeypatch):
    path, starts = long_recording
    for name, seconds in {"LONGEST": 5.0, "CUT_FROM": 1.0, "CUT_TO": 4.5, "BLOCK": 1.0}.items():
        monkeypatch.setattr(pieces, name, seconds)
    parts = [(start, speech.write(waveform, count=2)) for start, waveform in read_pieces(path)]
    told = []
    (text,) = speech.transcribe([path], batch_size=2, count=2, tell=told.append)
    assert len(parts) > 2
    assert text.hanzi == "".join(part.hanzi for _, part in parts) != ""
    assert text.best.seconds == pytest.approx(
        [start + second for start, part in parts for second in part.best.seconds], abs=0.011)
    assert text.best.score == pytest.approx(sum(part.best.score for _, part in parts), abs=1e-3)
    assert text.heard.syllables == sum((part.heard.syllables for _, part in parts), [])
    assert sum(told) == pytest.approx(soundfile.info(path).duration, abs=0.01)
    assert len(text.sentences) == 2 and text.sentences[1].hanzi != text.hanzi
    assert starts[-1] < text.best.seconds[-1] < soundfile.info(path).duration


sentences = st.lists(st.builds(
    Sentence, st.tuples(st.sampled_from("甲乙丙")), st.just(("jia3",)), st.just((0.0,)),
    st.floats(-9, 0), st.integers(-99, 0).map(float)), min_size=2, max_size=2).map(
        lambda items: sorted(items, key=lambda item: -item.joint))


@given(st.lists(sentences, min_size=1, max_size=4))
def test_the_best_of_all_ways_to_join(parts):
    text = Text("a.wav")
    for part in parts:
        text.add(Text("", part, Reading(["jia3"], [0.0], score=-1.0), 0.5))
    every = sorted((sum(item.joint for item in way) for way in product(*parts)), reverse=True)
    assert [item.joint for item in text.sentences] == every[:2]
    assert text.elapsed == 0.5 * len(parts) and text.heard.score == -len(parts)


@settings(max_examples=30)
@given(slots, models(), st.data())
def test_the_score_is_a_share_of_all_ways_to_write_the_syllables(slots, model, data):
    syllables = [data.draw(st.sampled_from(sorted(slot))) for slot in slots]
    weights: dict[str, float] = {}
    for hanzi, weight in every_path(certain(syllables), model, 1.0):
        weights[hanzi] = weights.get(hanzi, 0.0) + weight
    hanzi = data.draw(st.sampled_from(sorted(weights)))
    found = log_prob(Writing((hanzi,), tuple(syllables), 0.0), model)
    assert found == pytest.approx(math.log(weights[hanzi] / sum(weights.values())), abs=1e-6)


def test_what_was_forgotten_has_a_score_too(speech):
    """Of a hundred writings the lattice goes on with a few; the least of them still has its share."""
    rare = min(speech.words.readings(("shi4",)), key=speech.words.readings(("shi4",)).get)
    writing = Writing((rare, "好"), ("shi4", "hao3"), 0.0)
    assert Lattice.build(certain(writing.syllables), speech.words).log_prob(writing.hanzi) == -math.inf
    assert -40 < log_prob(writing, speech.words) < -5


def test_average_and_perplexity():
    sentence = Sentence(tuple("上海植物园有各种各样的植物"), score=-0.9450)
    assert round(sentence.average, 4) == -0.0727
    assert round(sentence.perplexity, 4) == 1.0754
    assert Sentence().average == 0 and Sentence().perplexity == 1


class Says:
    """A recogniser that is certain of some classes, one a frame."""

    def __init__(self, symbols: list[str], said: list[str], loss: str = "ctc") -> None:
        self.inventory = Inventory((PAD, UNK, *symbols))
        self.said, self.model = said, AcousticModel(len(self.inventory), loss=loss)

    def log_probs(self, waveforms):
        rows = torch.full((len(self.said), len(self.inventory)), -30.0)
        rows[range(len(self.said)), self.inventory.encode(self.said)] = 0.0
        return [rows.log_softmax(dim=-1) for _ in waveforms]


def test_what_cannot_be_written_passes_through(speech):
    text = SpeechToText(Says(["ni3", "fiao4"], ["ni3", "fiao4"]), speech.words).write(torch.zeros(9))
    assert text.heard.syllables == ["ni3", "fiao4"]
    assert text.best.tokens == ("你", "fiao4") and text.best.syllables == ("ni3", "fiao4")
    said = ["fiao4", "fiao4", PAD, "ni3", PAD, UNK]
    text = SpeechToText(Says(["ni3", "fiao4"], said), speech.words).write(torch.zeros(9))
    assert text.best.tokens == ("fiao4", "你", UNK)


def test_nothing_said(speech):
    text = SpeechToText(Says(["ni3"], [PAD] * 3), speech.words).write(torch.zeros(9))
    assert (text.hanzi, text.best.syllables, text.best.score) == ("", (), 0.0)


def test_a_model_that_learned_with_ace(speech):
    """The same class twice is two syllables, and there is one hypothesis."""
    text = SpeechToText(Says(["shi4"], ["shi4", "shi4"], "ace"), speech.words).write(torch.zeros(9))
    assert text.heard.syllables == ["shi4", "shi4"] and text.heard.others == ()
    assert len(text.hanzi) == 2
