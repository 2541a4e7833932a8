"""Language models against KenLM, against sums that must be 1, and in the compiled beam."""

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from data.build_kenlm_scores import (
    FOLDER, VOCABULARY, ORDERS, OTHERS, all_short_sentences, make_model, sentences_to_score,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.config.paths import SHIPPED_LANGUAGE_MODEL
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.decoding.reference_beam import prefix_beams
from ramospeech.language.arpa import read_arpa, write_arpa
from ramospeech.language.ngram import BEGIN, END, LanguageModel, Weights
from ramospeech.language.ngram_estimation import estimate, prune
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary

SMALL = Vocabulary((PAD, UNK, "a1", "a2", "a3"))
texts = st.lists(st.lists(st.sampled_from([*SMALL.symbols[2:], "er2"]), max_size=5), min_size=1,
                 max_size=6)


# KenLM


@pytest.mark.parametrize("order", ORDERS)
def test_scores_are_those_of_kenlm(order):
    """It read the very files that `estimate` and `write_arpa` make today: see the next test."""
    judged = json.loads((FOLDER / "kenlm_scores.json").read_text())[str(order)]
    model = read_arpa(FOLDER / f"kenlm_{order}.arpa", VOCABULARY)
    assert any(model.ngrams[ngram].backoff for ngram in model.ngrams if len(ngram) == order - 1)
    for sentence, scores in zip(sentences_to_score(), judged, strict=True):
        tokens = VOCABULARY.encode(sentence)
        assert model.score(tokens) == pytest.approx(sum(scores) * math.log(10), abs=1e-4)
        assert model.score(tokens, ended=False) == pytest.approx(
            sum(scores[:-1]) * math.log(10), abs=1e-4)


@pytest.mark.parametrize("order", ORDERS)
def test_what_kenlm_read_is_what_we_write(tmp_path, order):
    write_arpa(tmp_path / "again.arpa", make_model(order))
    assert (tmp_path / "again.arpa").read_text() == (FOLDER / f"kenlm_{order}.arpa").read_text()


def kenlm_scores() -> dict:
    return json.loads((FOLDER / "kenlm_scores.json").read_text())


@pytest.mark.parametrize("name", OTHERS)
def test_a_syllable_that_the_file_lacks_scores_as_in_kenlm(tmp_path, name):
    """As the next word and as what others follow; without an <unk> it is all but impossible."""
    model = read_text(tmp_path, OTHERS[name])
    assert ("ma" in VOCABULARY) and ("ma" not in OTHERS[name])
    for sentence, score in zip(all_short_sentences(), kenlm_scores()[name], strict=True):
        assert decimal_score(model, *sentence) == pytest.approx(score, abs=1e-3), sentence


def test_what_precedes_and_follows_an_unknown_word(tmp_path):
    model = read_text(tmp_path, OTHERS["bigrams after and before <unk>"])
    assert decimal_score(model, "ma", "hao3") == pytest.approx(-3.55)  # <unk> hao3
    assert decimal_score(model, "ni3", "ma") == pytest.approx(-3.35)  # the backoff of <unk>


def read_text(folder: Path, text: str | bytes) -> LanguageModel:
    path = folder / "model.arpa"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_arpa(path, VOCABULARY)


def decimal_score(model: LanguageModel, *syllables: str) -> float:
    return model.score(VOCABULARY.encode(syllables)) / math.log(10)


# Probabilities


def assert_sums_to_one(model: LanguageModel) -> None:
    """After whatever context, seen or not."""
    contexts = {ngram for ngram in model.ngrams if END not in ngram} | {(), (2, 2), (3, 1, 4)}
    for context in contexts:
        probs = [math.exp(model.log_prob(context, token)) for token in range(len(model.vocabulary))]
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


@given(texts=texts, order=st.integers(1, 3), spoken=st.lists(st.integers(1, 4), max_size=5))
@settings(max_examples=20)
def test_a_smaller_vocabulary_scores_as_it_did(tmp_path_factory, texts, order, spoken):
    """To its own vocabulary a syllable is <UNK> that the larger one has, and the file has not."""
    path, small = tmp_path_factory.mktemp("lm") / "model.arpa", Vocabulary(SMALL.symbols[:3])
    model = estimate(texts, small, order)
    write_arpa(path, model)
    syllables = SMALL.decode(spoken)
    assert read_arpa(path, SMALL).score(spoken) == pytest.approx(
        model.score(small.encode(syllables)), abs=1e-4)


def in_sections(text: str, change: Callable[[str], str]) -> str:
    return "\n".join(map(change, text.splitlines())) + "\n"


DIALECTS = {
    "as it is": lambda text: text,
    "gzip": lambda text: gzip.compress(text.encode()),
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "a mark before the first line": lambda text: "\ufeff" + text,
    "comments before": lambda text: f"made by a tool\n\nngram 1=7\n{text}",
    "comments after": lambda text: f"{text}\nfrom here on, nothing\n",
    "spaces": lambda text: text.replace("\t", "   "),
    "indented": lambda text: in_sections(text, lambda line: f"  {line}  "),
    "tabs": lambda text: text.replace(" ", "\t").replace("ngram\t", "ngram "),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "no blank lines": lambda text: text.replace("\n\n", "\n"),
    "capitals": lambda text: in_sections(
        text, lambda line: line.upper() if line[0:1] in ("\\", "n") else line),
    "<UNK>": lambda text: text.replace("<unk>", "<UNK>"),
    "syllables in capitals": lambda text: text.replace("hao3", "HAO3"),
    "a trigram section with nothing in it": lambda text: text.replace(
        "\n\n\\1", "\nngram 3=0\n\n\\1").replace("\\end", "\\3-grams:\n\n\\end"),
    "trigrams announced: none": lambda text: text.replace("\n\n\\1", "\nngram 3=0\n\n\\1"),
    "spaces in what is announced": lambda text: text.replace("1=5", " 1 =   5"),
    "zeros for no backoff": lambda text: in_sections(
        text, lambda line: f"{line}\t0" if line.startswith("-") and line[-1] not in "0123456789"
        else line),
    "backoffs in the last section": lambda text: text.replace("<unk> hao3", "<unk> hao3\t-0.5"),
    "minus infinity": lambda text: text.replace("-99", "-inf"),
    "bigrams across sentences": lambda text: text.replace("2=4", "2=6").replace(
        "-1.0\thao3", "-0.1\t</s> <s>\n-0.2\tni3 <s>\n-1.0\thao3"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_files_of_other_tools_are_read(tmp_path, dialect):
    name = "bigrams after and before <unk>"
    changed = DIALECTS[dialect](OTHERS[name])
    assert dialect == "as it is" or changed != OTHERS[name]
    model = read_text(tmp_path, changed)
    assert not model.notes
    for sentence, score in zip(all_short_sentences(), kenlm_scores()[name], strict=True):
        assert decimal_score(model, *sentence) == pytest.approx(score, abs=1e-3)


def test_numbers_and_other_spellings_of_neutral_tones(tmp_path):
    text = OTHERS["bigrams after and before <unk>"].replace("ni3", "ma5")
    assert decimal_score(read_text(tmp_path, text), "ma", "hao3") == pytest.approx(-1.8)


def test_a_logarithm_that_rounding_made_positive_is_zero(tmp_path):
    text = OTHERS["bigrams after and before <unk>"]
    rounded = read_text(tmp_path, text.replace("-0.5\t<s>", "1.2e-06\t<s>"))
    zero = read_text(tmp_path, text.replace("-0.5\t<s>", "0\t<s>"))
    assert rounded.ngrams == zero.ngrams
    with pytest.raises(ValueError, match="line 13: no logarithm of a probability: 0.5"):
        read_text(tmp_path, text.replace("-0.5\t<s>", "0.5\t<s>"))


def test_words_outside_the_vocabulary_are_left_out_and_counted(tmp_path):
    text = OTHERS["bigrams after and before <unk>"].replace("1=5", "1=7").replace("2=4", "2=6")
    text = text.replace("-0.8\thao3", "-0.7\tfiao4\t-0.3\n-0.8\thao3\n-2\t<sil>")
    text = text.replace("-0.3\tni3 hao3", "-0.1\tfiao4 ni3\n-0.2\tni3 <sil>\n-0.3\tni3 hao3")
    model = read_text(tmp_path, text)
    assert model.ngrams == read_text(tmp_path, OTHERS["bigrams after and before <unk>"]).ngrams
    assert model.notes == ("left out 2 of 7 words, which the vocabulary lacks: fiao4, <sil>",)


def test_an_unknown_word_without_unk_is_told(tmp_path):
    model = read_text(tmp_path, OTHERS["no <unk>"])
    lacking = len(VOCABULARY) - 4  # neither <PAD>, <UNK>, ni3 nor hao3
    (note,) = model.notes
    assert note == (f"it has neither <unk> nor {lacking} of the syllables, which are taken for "
                    "all but impossible")


@pytest.mark.parametrize("old, new, reason", [
    ("\\end\\", "", "line 18: no .end.: cut short"),
    ("\\data\\", "", "no .data.: not an ARPA file"),
    ("ngram 2=", "ngram 2=1", "line 3: 14 2-grams are announced, 4 are there"),
    ("ngram 2=4\n", "", "0 2-grams are announced, 4 are there"),
    ("ngram 2=4", "ngram 2=four", "line 3: expected ngram N=COUNT"),
    ("</s>", "</s> ni3 ni3", "line 8: expected 1 words"),
    ("-99", "one", "line 7: could not convert"),
    ("-99", "nan", "line 7: no logarithm of a probability: nan"),
    ("-0.3\n", "inf\n", "line 7: no logarithm of a probability"),
    ("ni3 hao3", "ma hao3", "line 14: its last word, or the words before that"),
    ("ni3 hao3", "ni3 ma", "line 14: its last word, or the words before that"),
    ("ni3 hao3", "<s> ni3", "line 14: its words were there before"),
    ("ngram 1=5", "ngram 1=4", "line 2: 4 1-grams are announced, 5 are there"),
])
def test_broken_files_name_the_line(tmp_path, old, new, reason):
    text = OTHERS["bigrams after and before <unk>"]
    assert old in text
    with pytest.raises(ValueError, match=reason) as error:
        read_text(tmp_path, text.replace(old, new, 1))
    assert str(error.value).startswith(f"{tmp_path}/model.arpa, line ")


def test_a_file_without_ends_of_sentences_is_refused(tmp_path):
    with pytest.raises(ValueError, match="model.arpa.* no </s>"):
        read_text(tmp_path, OTHERS["no <unk>"].replace("</s>", "ma"))


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_a_model_of_hanzi_is_refused(tmp_path, encoding):
    text = OTHERS["no <unk>"].replace("ni3", "你").replace("hao3", "好").replace("1=4", "1=5")
    text = text.replace("\\2-grams", "-1\t们\n\n\\2-grams")
    reason = "no .data" if encoding == "utf-16" else "line 8: .* nor are 2 others of 5: .*vocabulary"
    with pytest.raises(ValueError, match=reason):
        read_text(tmp_path, text.encode(encoding))


@pytest.mark.parametrize("damage", [
    lambda data: data[:-20], lambda data: data[:30], lambda data: data[:40] + b"?" + data[41:],
])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    data = gzip.compress(OTHERS["no <unk>"].encode(), mtime=0)
    with pytest.raises(ValueError, match="model.arpa: cut short or damaged: gzip cannot read it"):
        read_text(tmp_path, damage(data))


@pytest.mark.parametrize("old, new, reason", [
    ("\\end\\", "", "cut short"),
    ("ngram 2=", "ngram 2=1", "announced"),
    ("</s>", "</s> a1", "line 7: "),
    ("-99", "nan", "line 6: no logarithm"),
])
def test_broken_files_are_refused(tmp_path, old, new, reason):
    path = tmp_path / "model.arpa"
    write_arpa(path, estimate([["a1", "a2"]], SMALL, 2))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=reason) as error:
        read_arpa(path, SMALL)
    assert str(error.value).startswith(f"{path}, line ")


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
       entropy_weight=st.sampled_from([0, 1, 5]), lacking=st.sets(st.integers(2, 4)))
def test_the_compiled_beam_reads_the_model(texts, order, seed, width, weight, bonus, entropy_weight,
                                           lacking):
    """Against the plain search, with the scores of `LanguageModel.score`."""
    model = estimate(texts, SMALL, order)
    model = LanguageModel(SMALL, {ngram: weights for ngram, weights in model.ngrams.items()
                                  if not lacking & set(ngram)})
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)) * entropy_weight
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
    model = read_arpa(SHIPPED_LANGUAGE_MODEL, Vocabulary.read())
    known, unheard = (model.score(model.vocabulary.encode(words.split()))
                      for words in ("zhong1 guo2", "guo2 zhong1"))
    assert known > unheard + 3
    context = (model.vocabulary.encode(["zhong1"])[0],)
    total = sum(math.exp(model.log_prob(context, token)) for token in range(len(model.vocabulary)))
    assert total == pytest.approx(1, abs=1e-3)
