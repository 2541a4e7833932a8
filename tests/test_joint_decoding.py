"""Sound and words searched together, against all choices written out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.decoding.greedy import greedy_decode
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.language.word_model import WordModel
from ramospeech.recognition.joint_decoding import (
    ConfusionNetwork, JointWeights, confusion_networks, confusion_sets, joint_search, sets_from_table,
)
from test_word_lattice import every_path, models, sets

heard = st.lists(st.builds(ConfusionNetwork, sets, st.floats(-5, 0)), max_size=3)


@settings(max_examples=40)
@given(heard, models(), st.floats(0.1, 2), st.floats(-2, 2), st.integers(1, 5))
def test_against_every_choice(hypotheses, model, language, length, count):
    best: dict[str, float] = {}
    for places, score in hypotheses:
        for hanzi, weight in every_path(places, model, language):
            total = math.log(weight) + score + length * len(places)
            best[hanzi] = max(total, best.get(hanzi, -math.inf))
    expected = sorted(best.values(), reverse=True)[:count]
    found = joint_search(hypotheses, model, JointWeights(language, length), count, beam_size=None)
    assert [writing.score for writing in found] == pytest.approx(expected)
    assert all(best[writing.hanzi] == pytest.approx(writing.score) for writing in found)


MODEL = WordModel.load()


def test_a_wrong_tone_gives_way_to_a_word():
    certain = [ConfusionNetwork([{"shang4": 0.0}, {"hai4": 0.0}], 0.0)]
    doubtful = [ConfusionNetwork([{"shang4": 0.0}, {"hai4": 0.0, "hai3": -1.0}], 0.0)]
    assert joint_search(certain, MODEL, JointWeights(1.0))[0].hanzi != "上海"
    best = joint_search(doubtful, MODEL, JointWeights(1.0))[0]
    assert (best.hanzi, best.syllables) == ("上海", ("shang4", "hai3"))


@pytest.mark.parametrize("syllables, hanzi", [
    ("zhi1 dao4", "知道"), ("zhi1 dao", "知道"), ("peng2 you", "朋友"), ("zhe4 ge4", "这个"),
])
def test_labels_of_dictionaries_and_neutral_tones_as_spoken(syllables, hanzi):
    heard = ConfusionNetwork([{syllable: 0.0} for syllable in syllables.split()], 0.0)
    best = joint_search([heard], MODEL, JointWeights(1.0))[0]
    assert (best.hanzi, " ".join(best.syllables)) == (hanzi, syllables)


def test_without_the_language_the_sound_decides():
    doubtful = [ConfusionNetwork([{"shang4": 0.0}, {"hai4": 0.0, "hai3": -1.0}], 0.0)]
    assert joint_search(doubtful, MODEL, JointWeights(0.0))[0].syllables == ("shang4", "hai4")


def test_another_hypothesis_may_win():
    hypotheses = [ConfusionNetwork([{"shang4": 0.0}, {"hai4": 0.0}], 0.0),
                  ConfusionNetwork([{"shang4": 0.0}, {"hai3": 0.0}], -0.5)]
    assert joint_search(hypotheses, MODEL, JointWeights(1.0))[0].hanzi == "上海"


def test_what_cannot_be_written_is_passed_over():
    unknown = ConfusionNetwork([{UNK: 0.0}], 0.0)
    assert joint_search([unknown], MODEL) == joint_search([], MODEL) == []
    assert joint_search([unknown, ConfusionNetwork([{"ni3": 0.0}], -9.0)], MODEL)[0].hanzi == "你"


def test_slots_from_posteriors():
    vocabulary = Vocabulary((PAD, UNK, "ma1", "ma3", "na3"))
    probabilities = torch.tensor([
        [0.9, 0.0, 0.04, 0.03, 0.03], [0.1, 0.1, 0.6, 0.2, 0.0], [0.1, 0.0, 0.5, 0.3, 0.1],
        [0.9, 0.0, 0.05, 0.05, 0.0], [0.2, 0.2, 0.0, 0.2, 0.4]])
    (hypothesis,) = greedy_decode(probabilities.log()[None])
    first, second = confusion_sets(probabilities.log(), hypothesis, vocabulary, count=2)
    assert first == pytest.approx({"ma1": 0.0, "ma3": math.log(0.3 / 0.6)})
    assert second == pytest.approx({"na3": 0.0, "ma3": math.log(0.2 / 0.4)})
    three = confusion_sets(probabilities.log(), hypothesis, vocabulary, count=3)
    assert list(three[0]) == ["ma1", "ma3", "na3"] and three[0]["na3"] == pytest.approx(
        math.log(0.1 / 0.6))
    assert confusion_sets(probabilities.log(), Hypothesis([], 0.0, []), vocabulary) == []


def test_what_is_far_below_the_best_is_not_searched():
    vocabulary = Vocabulary((PAD, UNK, "ma1", "ma3"))
    log_probs = torch.tensor([[0.04, 0.01, 0.8, 0.15]]).log()  # (1, classes)
    hypotheses = [Hypothesis([2], -0.2, [0]), Hypothesis([3], -2.0, [0]), Hypothesis([], -9.0, [])]
    heard = confusion_networks(log_probs, hypotheses, vocabulary, floor=-3.0)
    assert [item.score for item in heard] == [-0.2, -2.0]
    assert heard[0].sets[0] == pytest.approx({"ma1": 0.0, "ma3": math.log(0.15 / 0.8)})
    assert confusion_networks(log_probs, hypotheses, vocabulary, -1.0)[0].sets == [{"ma1": 0.0}]


def test_slots_from_confusions():
    table = {"shi4": {"si4": -2.0, "shi2": -1.0}}
    assert sets_from_table(["shi4", "hao3"], table) == [
        {"si4": -2.0, "shi2": -1.0, "shi4": 0.0}, {"hao3": 0.0}]
