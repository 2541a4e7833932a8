"""Results of the parts of a recording, joined."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.recognition.results import Result, Transcript

texts = st.text("甲乙", max_size=2)
by_text = st.dictionaries(texts, st.integers(-99, 0).map(float), min_size=1, max_size=4)


def readings(scores: dict[str, float], hanzi: bool) -> list[Transcript]:
    """Written in hanzi, or as syllables alone; best first, as a search gives them."""
    made = [Transcript(tuple(text), (0.04,) * len(text), score, tuple(text) if hanzi else ())
            for text, score in scores.items()]
    return sorted(made, key=lambda item: -item.score)


@given(st.lists(by_text, min_size=1, max_size=4), st.integers(1, 5), st.booleans())
def test_the_best_of_all_ways_to_join_and_no_text_twice(parts, count, hanzi):
    result = Result("a.wav")
    for start, part in enumerate(parts):
        found = readings(part, hanzi)
        result.add(Result(transcripts=found, first_pass=found[-1], elapsed=0.5), float(start), count)
    best: dict[str, float] = {}
    for way in product(*(part.items() for part in parts)):
        text, score = "".join(item for item, _ in way), sum(score for _, score in way)
        best[text] = max(score, best.get(text, score))
    assert [item.score for item in result.transcripts] == sorted(best.values(), reverse=True)[:count]
    for item in result.transcripts:
        assert best["".join(item.syllables)] == item.score
        assert item.seconds == tuple(sorted(item.seconds)) and len(item.seconds) == len(item.syllables)
    assert len({item.syllables for item in result.transcripts}) == len(result.transcripts)
    assert result.elapsed == 0.5 * len(parts)
    assert result.first_pass.score == sum(min(part.values()) for part in parts)


def test_a_text_that_two_borders_give_is_one():
    """A-BC and AB-C: what was said is the same."""
    result = Result()
    for part in ({"甲": -1.0, "甲乙": -2.0}, {"乙甲": -1.0, "甲": -1.5}):
        result.add(Result(transcripts=readings(part, True)), 0.0, 3)
    assert [(item.hanzi, item.score) for item in result.transcripts] == [
        ("甲乙甲", -2.0), ("甲甲", -2.5), ("甲乙乙甲", -3.0)]


def test_an_error_stays_with_what_was_read_before_it():
    result = Result("a.wav")
    assert result.was_read and result.hanzi == ""
    result.add(Result(transcripts=[Transcript(("jia3",), (0.04,))]), 7.0, 1)
    result.add(Result(error="too much", out_of_memory=True), 8.0, 1)
    result.add(Result(transcripts=[Transcript(("yi3",), (0.12,))]), 9.0, 1)
    assert (result.syllables, result.seconds) == (("jia3", "yi3"), (7.04, 9.12))
    assert result.error == "too much" and result.out_of_memory and result.was_read
    assert not Result(error="silent").was_read


def test_average_and_perplexity():
    sentence = Transcript(tokens=tuple("上海植物园有各种各样的植物"), log_prob=-0.9450)
    assert round(sentence.average, 4) == -0.0727
    assert round(sentence.perplexity, 4) == 1.0754
    assert Transcript().average == 0 and Transcript().perplexity == pytest.approx(1)
