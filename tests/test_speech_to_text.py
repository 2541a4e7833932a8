"""From a recording to hanzi, with the shipped model."""

import math

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.audio import segmentation
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.segmentation import read_segments
from ramospeech.data.corpus import Split
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.evaluation.error_rates import ErrorCounts
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.language.word_lattice import Lattice, WordSequence, certain_sets
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.joint_decoding import HYPOTHESES, ConfusionNetwork, confusion_sets, joint_search
from ramospeech.recognition.speech_to_text import SpeechToText, log_prob
from test_word_lattice import every_path, models, sets


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
        heard = [ConfusionNetwork(confusion_sets(log_probs, item, speech.recogniser.vocabulary),
                       item.score) for item in prefix_beam_search(log_probs, nbest=HYPOTHESES)]
        expected = joint_search(heard, speech.words, nbest=3)
        text = speech.write(load_audio(path), nbest=3)
        assert [(item.hanzi, item.syllables, item.score) for item in text.transcripts] == [
            (item.hanzi, item.syllables, pytest.approx(item.score, rel=1e-4)) for item in expected]
        assert text.first_pass.score == pytest.approx(heard[0].score, rel=1e-4)
        assert [{syllable} for syllable in text.first_pass.syllables] == [
            {syllable for syllable, weight in options.items() if weight == 0} for options in heard[0].sets]


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
        monkeypatch.setattr(segmentation, name, seconds)
    parts = [(start, speech.write(waveform, nbest=2)) for start, waveform in read_segments(path)]
    told = []
    (text,) = speech.transcribe([path], batch_size=2, nbest=2, progress=told.append)
    assert len(parts) > 2
    assert text.hanzi == "".join(part.hanzi for _, part in parts) != ""
    assert text.best.seconds == pytest.approx(
        [start + second for start, part in parts for second in part.best.seconds], abs=0.011)
    assert text.best.log_prob == pytest.approx(sum(part.best.log_prob for _, part in parts), abs=1e-3)
    assert text.first_pass.syllables == sum((part.first_pass.syllables for _, part in parts), ())
    assert sum(told) == pytest.approx(soundfile.info(path).duration, abs=0.01)
    assert len(text.transcripts) == 2 and text.transcripts[1].hanzi != text.hanzi
    assert starts[-1] < text.best.seconds[-1] < soundfile.info(path).duration


@settings(max_examples=30)
@given(sets, models(), st.data())
def test_the_score_is_a_share_of_all_ways_to_write_the_syllables(sets, model, data):
    syllables = [data.draw(st.sampled_from(sorted(options))) for options in sets]
    weights: dict[str, float] = {}
    for hanzi, weight in every_path(certain_sets(syllables), model, 1.0):
        weights[hanzi] = weights.get(hanzi, 0.0) + weight
    hanzi = data.draw(st.sampled_from(sorted(weights)))
    found = log_prob(WordSequence((hanzi,), tuple(syllables), 0.0), model)
    assert found == pytest.approx(math.log(weights[hanzi] / sum(weights.values())), abs=1e-6)


def test_what_was_forgotten_has_a_score_too(speech):
    """Of a hundred writings the lattice goes on with a few; the least of them still has its share."""
    rare = min(speech.words.homophones(("shi4",)), key=speech.words.homophones(("shi4",)).get)
    writing = WordSequence((rare, "好"), ("shi4", "hao3"), 0.0)
    assert Lattice.build(certain_sets(writing.syllables), speech.words).log_prob(writing.hanzi) == -math.inf
    assert -40 < log_prob(writing, speech.words) < -5


class Says:
    """A recogniser that is certain of some classes, one a frame."""

    def __init__(self, symbols: list[str], said: list[str], loss: str = "ctc") -> None:
        self.vocabulary = Vocabulary((PAD, UNK, *symbols))
        self.said, self.model = said, AcousticModel(len(self.vocabulary), loss=loss)

    def log_probs(self, waveforms):
        rows = torch.full((len(self.said), len(self.vocabulary)), -30.0)
        rows[range(len(self.said)), self.vocabulary.encode(self.said)] = 0.0
        return [rows.log_softmax(dim=-1) for _ in waveforms]


def test_what_cannot_be_written_passes_through(speech):
    text = SpeechToText(Says(["ni3", "fiao4"], ["ni3", "fiao4"]), speech.words).write(torch.zeros(9))
    assert text.first_pass.syllables == ("ni3", "fiao4")
    assert text.best.tokens == ("你", "fiao4") and text.best.syllables == ("ni3", "fiao4")
    said = ["fiao4", "fiao4", PAD, "ni3", PAD, UNK]
    text = SpeechToText(Says(["ni3", "fiao4"], said), speech.words).write(torch.zeros(9))
    assert text.best.tokens == ("fiao4", "你", UNK)


def test_nothing_said(speech):
    text = SpeechToText(Says(["ni3"], [PAD] * 3), speech.words).write(torch.zeros(9))
    assert (text.hanzi, text.best.syllables, text.best.log_prob) == ("", (), 0.0)


def test_a_model_that_learned_with_ace(speech):
    """The same class twice is two syllables, and there is one hypothesis."""
    text = SpeechToText(Says(["shi4"], ["shi4", "shi4"], "ace"), speech.words).write(torch.zeros(9))
    assert text.first_pass.syllables == ("shi4", "shi4")
    assert len(text.hanzi) == 2
