"""Paths through a lattice of words, against all of them written out."""

import math
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.word_lattice import Lattice, given as certain, log_sum
from ramospeech.word_model import BEGIN, Weights, WordModel

SYLLABLES = ["shi4", "si4", "shi2"]
HANZI = {"shi4": "是事市", "si4": "四寺", "shi2": "十时"}

# A small language: every hanzi is a word, some pairs are, and some follow each other.
readings = st.lists(st.sampled_from(SYLLABLES), min_size=1, max_size=3).map(tuple)
counts = st.integers(1, 1000)


@st.composite
def models(draw) -> WordModel:
    words = {syllable: {hanzi: draw(counts) for hanzi in HANZI[syllable]} for syllable in SYLLABLES}
    for reading in draw(st.lists(readings.filter(lambda reading: len(reading) > 1), max_size=4)):
        spelling = "".join(draw(st.sampled_from(HANZI[syllable])) for syllable in reading)
        words.setdefault(" ".join(reading), {})[spelling] = draw(counts)
    known = sorted({word for row in words.values() for word in row})
    pairs = draw(pair_tables(known))
    hanzi_pairs = draw(pair_tables(sorted(set("".join(known)))))
    hanzi_pairs[BEGIN] = {hanzi: draw(counts) for hanzi in "是事市四寺十时"}
    weights = Weights(draw(st.floats(0.1, 10)), draw(st.floats(0, 1)))
    return WordModel(as_table(words), as_table(pairs), as_table(hanzi_pairs), weights)


def pair_tables(names: list[str]):
    row = st.dictionaries(st.sampled_from(names), st.integers(1, 9), min_size=1, max_size=4)
    return st.dictionaries(st.sampled_from([BEGIN, *names]), row, max_size=4)


def as_table(rows: dict[str, dict[str, int]]) -> dict[str, str]:
    return {key: " ".join(f"{name} {count}" for name, count in row.items())
            for key, row in rows.items()}


slots = st.lists(st.dictionaries(st.sampled_from(SYLLABLES), st.floats(-5, 0), min_size=1),
                 min_size=1, max_size=4)


def probability(model: WordModel, previous: str, word: str, frequency: float) -> float:
    """The formula of `WordModel`, without logarithms."""
    def counted(table: dict[str, str], key: str) -> dict[str, int]:
        fields = table.get(key, "").split()
        return {name: int(count) for name, count in zip(fields[::2], fields[1::2])}

    def mixed(seen: dict[str, int], name: str, other: float, weight: float) -> float:
        if not seen:
            return other
        new = weight * len(seen)
        return (seen.get(name, 0) + new * other) / (sum(seen.values()) + new)

    other = frequency
    if previous:
        every = counted(model.hanzi_pairs, BEGIN)
        alone = every[word[0]] / sum(every.values())
        together = mixed(counted(model.hanzi_pairs, previous[-1]), word[0], alone, 1)
        other *= (together / alone) ** model.weights.hanzi
    return mixed(counted(model.word_pairs, previous), word, other, model.weights.unseen)


def every_path(slots, model: WordModel, language: float):
    """All rows of words over all choices of syllables, with their weights (not logarithms)."""
    for chosen in product(*(slot.items() for slot in slots)):
        syllables = [syllable for syllable, _ in chosen]
        sound = math.exp(sum(weight for _, weight in chosen))
        for cuts in product((False, True), repeat=len(slots) - 1):
            places = [0, *(i for i, cut in enumerate(cuts, start=1) if cut), len(slots)]
            spans = [" ".join(syllables[a:b]) for a, b in pairwise(places)]
            rows = [model.words.get(span, "").split() for span in spans]
            choices = [list(zip(row[::2], row[1::2])) for row in rows]
            for path in product(*choices):
                weight, previous = sound, BEGIN
                for word, count in path:
                    weight *= probability(model, previous, word, int(count) / 1e9) ** language
                    previous = word
                yield "".join(word for word, _ in path), weight


@settings(max_examples=60)
@given(slots, models(), st.sampled_from([1.0, 0.4]))
def test_against_every_path(slots, model, language):
    best, total, sums = {}, 0.0, {}
    for hanzi, weight in every_path(slots, model, language):
        best[hanzi] = max(best.get(hanzi, 0), weight)
        sums[hanzi] = sums.get(hanzi, 0) + weight
        total += weight
    lattice = Lattice.build(slots, model, kept=None, language=language)
    assert lattice.total == pytest.approx(math.log(total))

    found = lattice.best(len(best) + 5)
    assert {writing.hanzi for writing in found} == set(best)
    assert [writing.score for writing in found] == pytest.approx(
        sorted(map(math.log, best.values()), reverse=True))
    for writing in found:
        assert writing.score == pytest.approx(math.log(best[writing.hanzi]))
        share = sums[writing.hanzi] / total
        assert math.exp(lattice.log_prob(writing.hanzi)) == pytest.approx(share)
        assert len(writing.syllables) == len(slots)
    few = lattice.best(2)
    assert [writing.score for writing in few] == [writing.score for writing in found[:2]]


@given(slots, models(), st.integers(1, 3))
def test_keeping_few_arcs_gives_paths_of_the_whole_lattice(slots, model, kept):
    whole, few = Lattice.build(slots, model, kept=None), Lattice.build(slots, model, kept)
    assert few.total <= whole.total + 1e-9
    writings = few.best(100)
    assert set(writings) <= set(whole.best(10_000)) or writings[0].score <= whole.best()[0].score
    shares = [math.exp(few.log_prob(writing.hanzi)) for writing in few.best(10_000)]
    assert sum(shares) == pytest.approx(1)


def test_what_is_not_in_the_lattice_has_no_probability():
    model = WordModel({"shi4": "是 3"}, {}, {})
    lattice = Lattice.build(certain(["shi4", "shi4"]), model)
    assert lattice.log_prob("是是") == pytest.approx(0)
    assert lattice.log_prob("是市") == lattice.log_prob("是") == -math.inf


def test_a_place_where_no_word_stands_is_named():
    model = WordModel({"shi4": "是 3"}, {}, {})
    with pytest.raises(ValueError, match=r"no hanzi is read si4 \(syllable 2\)"):
        Lattice.build(certain(["shi4", "si4"]), model)


@given(st.lists(st.floats(-700, 700)))
def test_log_sum(terms):
    expected = math.fsum(math.exp(term) for term in terms) if terms else 0
    assert log_sum(terms) == (pytest.approx(math.log(expected)) if expected else -math.inf)
