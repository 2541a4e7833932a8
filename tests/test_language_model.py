"""Language models against KenLM, against sums that must be 1, and in the compiled beam."""

import json
import math
from pathlib import Path

import pytest
import torch
from data.build_kenlm_scores import FOLDER, INVENTORY, ORDERS, make_model, sentences_to_score
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.arpa import read_arpa, write_arpa
from ramospeech.beam import prefix_beams
from ramospeech.decoders import prefix_beam_search
from ramospeech.language_model import BEGIN, END, LanguageModel, Weights
from ramospeech.paths import SHIPPED_LANGUAGE_MODEL
from ramospeech.pinyin import PAD, UNK, Inventory
from ramospeech.smoothing import estimate, prune

SMALL = Inventory((PAD, UNK, "a1", "a2", "a3"))
texts = st.lists(st.lists(st.sampled_from([*SMALL.symbols[2:], "er2"]), max_size=5), min_size=1,
                 max_size=6)


# KenLM


@pytest.mark.parametrize("order", ORDERS)
def test_scores_are_those_of_kenlm(order):
    """It read the very files that `estimate` and `write_arpa` make today: see the next test."""
    judged = json.loads((FOLDER / "kenlm_scores.json").read_text())[str(order)]
    model = read_arpa(FOLDER / f"kenlm_{order}.arpa", INVENTORY)
    assert any(model.ngrams[ngram].backoff for ngram in model.ngrams if len(ngram) == order - 1)
    for sentence, scores in zip(sentences_to_score(), judged, strict=True):
        tokens = INVENTORY.encode(sentence)
        assert model.score(tokens) == pytest.approx(sum(scores) * math.log(10), abs=1e-4)
        assert model.score(tokens, ended=False) == pytest.approx(
            sum(scores[:-1]) * math.log(10), abs=1e-4)


@pytest.mark.parametrize("order", ORDERS)
def test_what_kenlm_read_is_what_we_write(tmp_path, order):
    write_arpa(tmp_path / "again.arpa", make_model(order))
    assert (tmp_path / "again.arpa").read_text() == (FOLDER / f"kenlm_{order}.arpa").read_text()


# Probabilities


def assert_sums_to_one(model: LanguageModel) -> None:
    """After whatever context, seen or not."""
    contexts = {ngram for ngram in model.ngrams if END not in ngram} | {(), (2, 2), (3, 1, 4)}
    for context in contexts:
        probs = [math.exp(model.log_prob(context, token)) for token in range(len(model.inventory))]
        assert sum(probs) == pytest.approx(1)


@given(texts=texts, order=st.integers(1, 3), weight=st.floats(0.5, 1e6))
def test_probabilities_sum_to_one(texts, order, weight):
    assert_sums_to_one(estimate(texts, SMALL, order, [weight] * len(texts)))


@given(texts=texts, most=st.integers(0, 20))
def test_what_is_left_of_a_pruned_model_sums_to_one(texts, most):
    model = prune(estimate(texts, SMALL, 2), most)
    assert_sums_to_one(model)
    assert sum(len(ngram) == 2 for ngram in model.ngrams) <= most


def test_witten_and_bell_by_hand():
    """After a1 there were a2 (twice) and the end (once): two kinds in three."""
    model = estimate([["a1", "a2"], ["a1", "a2"], ["a1"]], SMALL, 2)
    seen_a2 = (2 + 3 * (1 / 5)) / (8 + 3)  # a1 3 times, a2 twice, the end 3 times: 8, of 3 kinds
    assert model.log_prob((2,), 3) == pytest.approx(math.log((2 + 2 * seen_a2) / (3 + 2)))
    assert model.log_prob((2,), 4) == pytest.approx(math.log(2 / 5 * (3 / 5) / 11))


def test_weights_count_like_copies():
    copies = estimate([["a1", "a2"]] * 3 + [["a3"]], SMALL, 3)
    weighted = estimate([["a1", "a2"], ["a3"]], SMALL, 3, [3, 1])
    for tokens in ([], [2], [2, 3], [4], [3, 3, 1]):
        assert copies.score(tokens) == pytest.approx(weighted.score(tokens))


# Files


@given(texts=texts, order=st.integers(1, 3))
@settings(max_examples=20)
def test_what_is_written_can_be_read(tmp_path_factory, texts, order):
    path, model = tmp_path_factory.mktemp("lm") / "model.arpa", estimate(texts, SMALL, order)
    write_arpa(path, model)
    again = read_arpa(path, SMALL)
    assert again.ngrams.keys() == model.ngrams.keys()
    for tokens in ([], [2], [2, 3, 4], [1, 1, 2]):
        assert again.score(tokens) == pytest.approx(model.score(tokens), abs=1e-4)


@pytest.mark.parametrize("old, new, reason", [
    ("\\end\\", "", "cut short"),
    ("a2", "b2", "'b2' is not in the inventory: a language model of another vocabulary"),
    ("ngram 2=", "ngram 2=1", "announced"),
    ("</s>", "</s> a1", "line 7: "),
    ("-99", "one", "line .*: could not convert"),
    ("-99", "nan", "<s>"),
])
def test_broken_files_are_refused(tmp_path, old, new, reason):
    path = tmp_path / "model.arpa"
    write_arpa(path, estimate([["a1", "a2"]], SMALL, 2))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=reason) as error:
        read_arpa(path, SMALL)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize("call, reason", [
    (lambda: estimate([], SMALL), "at least one sentence"),
    (lambda: estimate([["a1"], ["hello"]], SMALL), "sentence 2: 'hello'"),
    (lambda: estimate([["a1"]], SMALL, 0), "order"),
    (lambda: estimate([["a1"]], SMALL, 2, [-1]), "a weight"),
    (lambda: prune(estimate([["a1"]], SMALL, 3), 5), "only a bigram model"),
    (lambda: LanguageModel(SMALL, {(BEGIN,): Weights(-1)}), "has no </s>"),
])
def test_what_makes_no_model_is_refused(call, reason):
    with pytest.raises(ValueError, match=reason):
        call()


# In the beam


@settings(max_examples=60)
@given(texts=texts, order=st.integers(1, 3), seed=st.integers(0, 2**32), width=st.integers(1, 9),
       weight=st.sampled_from([0.0, 0.3, 2.0]), bonus=st.sampled_from([0.0, 0.7, -1.5]),
       sharpness=st.sampled_from([0, 1, 5]))
def test_the_compiled_beam_reads_the_model(texts, order, seed, width, weight, bonus, sharpness):
    """Against the plain search, with the scores of `LanguageModel.score`."""
    model = estimate(texts, SMALL, order)
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)) * sharpness
    log_probs = logits.log_softmax(dim=-1)

    def fused(prefix, ended=False):
        return weight * model.score(prefix, ended) + bonus * len(prefix)

    *_, beam = prefix_beams(log_probs, width, fused)
    expected = sorted(((mass.total + fused(prefix, True), prefix) for prefix, mass in beam.items()),
                      key=lambda scored: (-scored[0], scored[1]))
    found = prefix_beam_search(log_probs, beam_width=width, nbest=width, language_model=model,
                               lm_weight=weight, length_bonus=bonus)
    assert {tuple(item.tokens): item.score for item in found} == pytest.approx(
        {prefix: score for score, prefix in expected}, abs=1e-6)
    assert found[0].score == pytest.approx(expected[0][0], abs=1e-6)


def test_a_model_of_another_vocabulary_is_refused():
    model = estimate([["a1"]], SMALL)
    with pytest.raises(ValueError, match="another vocabulary"):
        prefix_beam_search(torch.full((3, 4), 0.25).log(), language_model=model)


# The one that ships


def test_the_shipped_model():
    model = read_arpa(SHIPPED_LANGUAGE_MODEL, Inventory.read())
    known, unheard = (model.score(model.inventory.encode(words.split()))
                      for words in ("zhong1 guo2", "guo2 zhong1"))
    assert known > unheard + 3
    context = (model.inventory.encode(["zhong1"])[0],)
    total = sum(math.exp(model.log_prob(context, token)) for token in range(len(model.inventory)))
    assert total == pytest.approx(1, abs=1e-3)
