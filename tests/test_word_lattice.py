"""Paths through a lattice of words, against all of them written out."""

import math
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.language.word_lattice import Lattice, certain_sets, logsumexp
from ramospeech.language.word_model import BEGIN, Weights, WordModel

SYLLABLES = ["shi4", "si4", "shi2", "shi"]
HANZI = {"shi4": "是事市莳", "si4": "四寺", "shi2": "十时莳", "shi": "是匙"}
SAID = [*SYLLABLES, "si"]  # the dictionary has no neutral si

# A small language: every hanzi is a word, some pairs are, and some follow each other.
readings = st.lists(st.sampled_from(SYLLABLES), min_size=1, max_size=3).map(tuple)
counts = st.integers(1, 1000)


@st.composite
def models(draw) -> WordModel:
    words = {syllable: {hanzi: draw(counts) for hanzi in HANZI[syllable]} for syllable in SYLLABLES}
    words["shi2"]["莳"] = words["shi4"]["莳"]  # so that both readings weigh the same for shi
    for reading in draw(st.lists(readings.filter(lambda reading: len(reading) > 1), max_size=4)):
        spelling = "".join(draw(st.sampled_from(HANZI[syllable])) for syllable in reading)
        words.setdefault(" ".join(reading), {})[spelling] = draw(counts)
    known = sorted({word for row in words.values() for word in row})
    pairs = draw(pair_tables(known))
    hanzi_pairs = draw(pair_tables(sorted(set("".join(known)))))
    hanzi_pairs[BEGIN] = {hanzi: draw(counts) for hanzi in "是事市莳四寺十时匙"}
    weights = Weights(draw(st.floats(0.1, 10)), draw(st.floats(0, 1)), draw(st.floats(0.1, 6)))
    return WordModel(as_table(words), as_table(pairs), as_table(hanzi_pairs), weights)


def pair_tables(names: list[str]):
    row = st.dictionaries(st.sampled_from(names), st.integers(1, 9), min_size=1, max_size=4)
    return st.dictionaries(st.sampled_from([BEGIN, *names]), row, max_size=4)


def as_table(rows: dict[str, dict[str, int]]) -> dict[str, str]:
    return {key: " ".join(f"{name} {count}" for name, count in row.items())
            for key, row in rows.items()}


sets = st.lists(st.dictionaries(st.sampled_from(SAID), st.floats(-5, 0), min_size=1),
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

    rows = [counted(model.words, syllable) for syllable in SYLLABLES]
    in_all_readings = sum(row.get(word, 0) for row in rows) / 1e9
    read_so = frequency / in_all_readings if len(word) == 1 else 1
    other = frequency / read_so
    if previous:
        every = counted(model.hanzi_pairs, BEGIN)
        alone = every[word[0]] / sum(every.values())
        together = mixed(counted(model.hanzi_pairs, previous[-1]), word[0], alone, 1)
        other *= (together / alone) ** model.weights.pmi
    return read_so * mixed(counted(model.word_pairs, previous), word, other, model.weights.unseen)


def price(said: str, meant: str, inside: bool, model: WordModel) -> float:
    """What it costs (a logarithm) that a syllable of a word, not its first if `inside`, is said so."""
    same = {hanzi for hanzi in HANZI.get(said, "") if hanzi in HANZI[meant]}
    if said == meant:
        return 0
    if said == meant.rstrip("1234"):  # a neutral tone is said for a full one
        return model.weights.neutral_penalty * (1 if inside else 2)
    if meant == said.rstrip("1234") and inside and same:  # the other way
        return model.weights.neutral_penalty
    return math.inf


def ways(options: dict[str, float], inside: bool, model: WordModel) -> list[tuple[str, float]]:
    """What may be meant at a place, by whatever of its syllables says so best."""
    return [(meant, max(math.exp(weight - price(said, meant, inside, model))
                        for said, weight in options.items())) for meant in SYLLABLES]


def words_over(sets, model: WordModel):
    """Each word over all these sets: hanzi, count, and how it sounds."""
    for chosen in product(*(ways(options, place > 0, model) for place, options in enumerate(sets))):
        row = model.words.get(" ".join(meant for meant, _ in chosen), "").split()
        sound = math.prod(weight for _, weight in chosen)
        for word, count in zip(row[::2], row[1::2]):
            if sound:
                yield word, int(count), sound


def every_path(sets, model: WordModel, language: float):
    """All rows of words over all choices of syllables, with their weights (not logarithms)."""
    for cuts in product((False, True), repeat=len(sets) - 1):
        places = [0, *(i for i, cut in enumerate(cuts, start=1) if cut), len(sets)]
        for path in product(*(list(words_over(sets[a:b], model)) for a, b in pairwise(places))):
            weight, previous = 1.0, BEGIN
            for word, count, sound in path:
                weight *= sound * probability(model, previous, word, count / 1e9) ** language
                previous = word
            yield "".join(word for word, _, _ in path), weight


@settings(max_examples=60)
@given(sets, models(), st.sampled_from([1.0, 0.4]))
def test_against_every_path(sets, model, language):
    best, total, sums = {}, 0.0, {}
    for hanzi, weight in every_path(sets, model, language):
        best[hanzi] = max(best.get(hanzi, 0), weight)
        sums[hanzi] = sums.get(hanzi, 0) + weight
        total += weight
    lattice = Lattice.build(sets, model, beam_size=None, language=language)
    assert lattice.total == pytest.approx(math.log(total))

    found = lattice.best(len(best) + 5)
    assert {writing.hanzi for writing in found} == set(best)
    assert [writing.score for writing in found] == pytest.approx(
        sorted(map(math.log, best.values()), reverse=True))
    for writing in found:
        assert writing.score == pytest.approx(math.log(best[writing.hanzi]))
        share = sums[writing.hanzi] / total
        assert math.exp(lattice.log_prob(writing.hanzi)) == pytest.approx(share)
        assert len(writing.syllables) == len(sets)
    few = lattice.best(2)
    assert [writing.score for writing in few] == [writing.score for writing in found[:2]]


@given(sets, models(), st.integers(1, 3))
def test_keeping_few_arcs_gives_paths_of_the_whole_lattice(sets, model, kept):
    whole, few = Lattice.build(sets, model, beam_size=None), Lattice.build(sets, model, kept)
    assert few.total <= whole.total + 1e-9
    writings = few.best(100)
    assert set(writings) <= set(whole.best(10_000)) or writings[0].score <= whole.best()[0].score
    shares = [math.exp(few.log_prob(writing.hanzi)) for writing in few.best(10_000)]
    assert sum(shares) == pytest.approx(1)


def test_what_is_not_in_the_lattice_has_no_probability():
    model = WordModel({"shi4": "是 3"}, {}, {})
    lattice = Lattice.build(certain_sets(["shi4", "shi4"]), model)
    assert lattice.log_prob("是是") == pytest.approx(0)
    assert lattice.log_prob("是市") == lattice.log_prob("是") == -math.inf


def test_a_place_where_no_word_stands_is_named():
    model = WordModel({"shi4": "是 3"}, {}, {})
    with pytest.raises(ValueError, match=r"no hanzi is pronounced si4 \(syllable 2\)"):
        Lattice.build(certain_sets(["shi4", "si4"]), model)


NEUTRAL = WordModel({"zi": "子 9", "zi3": "子 3", "zi4": "字 3", "mao4": "帽 3", "mao4 zi": "帽子 9"},
                    {}, {}, Weights(neutral_penalty=1.0))


@pytest.mark.parametrize("said, meant", [
    ("mao4 zi", "帽子"), ("mao4 zi3", "帽子"), ("mao4 zi4", "帽字"),  # 子 has no fourth tone
    ("mao zi", "帽子"),  # a neutral tone may begin a word, for twice the price
])
def test_neutral_tones(said, meant):
    writing = Lattice.build(certain_sets(said.split()), NEUTRAL).best()[0]
    assert (writing.hanzi, writing.syllables) == (meant, tuple(said.split()))


@pytest.mark.parametrize("said, price", [("mao4 zi", 0), ("mao4 zi3", 1), ("mao zi", 2), ("mao zi3", 3)])
def test_the_price_of_neutral_tones(said, price):
    frequency = NEUTRAL.homophones(("mao4", "zi"))["帽子"]
    (writing,) = Lattice.build(certain_sets(said.split()), NEUTRAL, beam_size=None).best(1)
    assert writing.words == ("帽子",) and writing.score == pytest.approx(frequency - price)


@given(st.lists(st.floats(-700, 700)))
def test_log_sum(terms):
    expected = math.fsum(math.exp(term) for term in terms) if terms else 0
    assert logsumexp(terms) == (pytest.approx(math.log(expected)) if expected else -math.inf)
