"""Where the errors are, against counts made in other ways."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.evaluation.error_analysis import (
    LENGTHS, error_by_length, error_by_training_count, part_confusions,
)
from ramospeech.evaluation.error_rates import Evaluation, align, align_by_base
from ramospeech.language.pinyin import split_syllable
from ramospeech.language.vocabulary import UNK

SYLLABLES = ["ma1", "ma3", "ma", "shi4", "si4", "lv4", "er2", "zhuang4", UNK]
sentences = st.lists(st.sampled_from(SYLLABLES), max_size=5)
utterances = st.lists(st.tuples(sentences.filter(bool), sentences), min_size=1, max_size=5)


def by_hand(*lines: str) -> list[tuple[list[str], list[str]]]:
    """Pairs from lines such as `ni3 hao3 = ni3`."""
    sides = [line.split("=") for line in lines]
    return [(said.split(), heard.split()) for said, heard in sides]


def all_alignments(said: list[str], heard: list[str]):
    """Every way to line two lists up, as pairs; None for what stands alone."""
    if not said and not heard:
        yield []
    if said and heard:
        yield from ([(said[0], heard[0]), *rest] for rest in all_alignments(said[1:], heard[1:]))
    if said:
        yield from ([(said[0], None), *rest] for rest in all_alignments(said[1:], heard))
    if heard:
        yield from ([(None, heard[0]), *rest] for rest in all_alignments(said, heard[1:]))


def base(syllable: str | None) -> str | None:
    return syllable and syllable.rstrip("1234")


@given(sentences, sentences)
def test_an_alignment_is_one_of_the_best(said, heard):
    every = list(all_alignments(said, heard))
    for function, name in ((align, lambda syllable: syllable), (align_by_base, base)):
        found = function(said, heard)
        assert found in every
        edits = [sum(name(one) != name(other) for one, other in pairs)
                 for pairs in (found, *every)]
        assert edits[0] == min(edits)


@pytest.mark.parametrize("part", ["initial", "final"])
def test_parts_by_hand(part):
    pairs = by_hand("shi4 jie4 hao3 = si4 jie4 hao2", "shi4 = si4", "an1 =", "yu2 = wu2",
                    f"{UNK} ni3 = ma1 ni3", "ni3 = ni3 de")
    expected = {
        "initial": {("sh", "s"): 2, ("j", "j"): 1, ("h", "h"): 1, ("n", "n"): 2, ("", ""): 1},
        "final": {("i", "i"): 4, ("ie", "ie"): 1, ("ao", "ao"): 1, ("v", "u"): 1},
    }
    assert part_confusions(pairs, part) == expected[part]


@given(utterances)
def test_parts_agree_with_the_tones(pairs):
    """The tones of an evaluation are those of the pairs whose initials and finals agree."""
    result, tones = Evaluation("by hand"), Counter()
    for said, heard in pairs:
        result.add(said, heard)
        for one, other in align_by_base(said, heard):
            if None not in (one, other) and base(one) == base(other) != UNK:
                tones[split_syllable(one).tone, split_syllable(other).tone] += 1
    assert result.tone_confusions == tones
    for part in ("initial", "final"):
        confusions = part_confusions(pairs, part)
        right = sum(count for (one, other), count in confusions.items() if one == other)
        assert right >= tones.total()
    assert part_confusions(pairs, "tone").total() == confusions.total() >= tones.total()


@given(utterances)
def test_groups_add_up_to_the_whole(pairs):
    result = Evaluation("by hand")
    for pair in pairs:
        result.add(*pair)
    groups = error_by_length(pairs)
    assert sum(group.members for group in groups) == len(pairs)
    assert sum(group.syllables for group in groups) == result.toned.reference_length
    assert sum(group.errors for group in groups) == result.toned.errors
    groups = error_by_training_count(pairs, {"ma1": 3, "shi4": 900_000})
    assert sum(group.members for group in groups) == len({one for said, _ in pairs for one in said})
    assert sum(group.syllables for group in groups) == result.toned.reference_length
    assert sum(group.errors for group in groups) \
        == result.toned.substitutions + result.toned.deletions


def test_length_by_hand():
    pairs = by_hand("ma1 = ma1 ma1", "ma3 = ", "ma1 ma3 = ma1 ma1", "ma1 " * 6 + "= " + "ma1 " * 6,
                    "ma1 " * 70 + "=")
    groups = {group.label: group for group in error_by_length(pairs)}
    assert list(groups) == ["1", "2", "5 to 6", "50 or more"]
    assert (groups["1"].members, groups["1"].syllables, groups["1"].errors) == (2, 2, 2)
    assert [group.rate for group in groups.values()] == [1, 0.5, 0, 1]


@pytest.mark.parametrize("length, offset", list(product(LENGTHS[4:], (-1, 0, 1))))
def test_the_label_of_a_group_tells_what_is_in_it(length, offset):
    (group,) = error_by_length([(["ma1"] * (length + offset), [])])
    first, *last = group.label.replace(" or more", " to 1000").split(" to ")
    assert int(first) <= length + offset <= int((last or [first])[0])


def test_training_counts_by_hand():
    pairs = by_hand("ma1 shi4 ma1 = ma1 si4", "er2 = er2 ma1", "lv4 = ", "ma3 = ma3")
    heard = {"ma1": 7, "er2": 5, "shi4": 1, "ma3": 9, "si4": 1}
    groups = [(group.label, group.members, group.syllables, group.errors)
              for group in error_by_training_count(pairs, heard)]
    assert groups == [("0", 1, 1, 1), ("1", 1, 1, 1), ("5 to 9", 3, 4, 1)]
