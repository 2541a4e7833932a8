"""Error rates against a plain dynamic programme and by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.evaluation.error_rates import ErrorCounts, Evaluation, aligned_pairs, syllable_error_rate
from ramospeech.language.vocabulary import UNK

SYLLABLES = ["ma1", "ma3", "ma", "shi4", "si4", "lv4", "er2", UNK]
sentences = st.lists(st.sampled_from(SYLLABLES), max_size=8)


def edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Wagner and Fischer, 1974."""
    row = list(range(len(hypothesis) + 1))
    for i, said in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (said != heard))
    return row[-1]


def evaluated(reference: str, hypothesis: str) -> Evaluation:
    result = Evaluation("by hand")
    result.add(reference.split(), hypothesis.split())
    return result


@given(st.lists(st.tuples(sentences, sentences), max_size=4))
def test_counts_against_a_plain_dynamic_programme(pairs):
    counts = ErrorCounts()
    for reference, hypothesis in pairs:
        counts.add(reference, hypothesis)
    surplus = sum(len(hypothesis) - len(reference) for reference, hypothesis in pairs)
    assert counts.errors == sum(edit_distance(*pair) for pair in pairs)
    assert counts.insertions - counts.deletions == surplus
    assert counts.reference_length == sum(len(reference) for reference, _ in pairs)


@given(sentences.filter(bool), sentences)
def test_the_rate_is_zero_only_for_what_is_right(reference, hypothesis):
    assert (syllable_error_rate([reference], [hypothesis]) == 0) == (reference == hypothesis)


@given(sentences, sentences)
def test_an_evaluation_agrees_with_itself(reference, hypothesis):
    result = Evaluation("by hand")
    result.add(reference, hypothesis)
    assert result.base.errors <= result.toned.errors
    assert result.confusions.total() == result.toned.substitutions
    assert math.isnan(result.tone_error_rate) or 0 <= result.tone_error_rate <= 1
    pairs = aligned_pairs(reference, hypothesis)
    assert len(pairs) == len(reference) - result.toned.deletions
    known = [said for said in reference if said != UNK]
    assert result.tone_confusions.total() <= len(known)


@pytest.mark.parametrize("reference, hypothesis, toned, base, tones", [
    # (substituted, inserted, deleted) for toned and for base syllables; tones wrong of those seen
    ("ni3 hao3 ma", "ni3 hao3 ma", (0, 0, 0), (0, 0, 0), 0 / 3),
    ("ni3 hao3 ma", "ni3 hao4 ma", (1, 0, 0), (0, 0, 0), 1 / 3),  # only the tone
    ("ni3 hao3 ma", "ni3 hao3 ma1", (1, 0, 0), (0, 0, 0), 1 / 3),  # the neutral tone is a tone
    ("shi4 jie4", "si4 jie4", (1, 0, 0), (1, 0, 0), 0 / 1),  # another syllable has no wrong tone
    ("shi4 jie4", "si4 jie2", (2, 0, 0), (1, 0, 0), 1 / 1),
    ("shi4 jie4", "shi4", (0, 0, 1), (0, 0, 1), 0 / 1),
    ("shi4", "shi4 de shi4", (0, 2, 0), (0, 2, 0), 0 / 1),
    ("ma1 ma", "ma1", (0, 0, 1), (0, 0, 1), None),  # which of the two was heard is open
    ("shi4 jie4", "", (0, 0, 2), (0, 0, 2), math.nan),
    (f"{UNK} hao3", f"{UNK} hao3", (0, 0, 0), (0, 0, 0), 0 / 1),  # <UNK> has no tone
])
def test_by_hand(reference, hypothesis, toned, base, tones):
    result = evaluated(reference, hypothesis)
    for counts, expected in ((result.toned, toned), (result.base, base)):
        assert (counts.substitutions, counts.insertions, counts.deletions) == expected
        assert counts.rate == sum(expected) / len(reference.split())
    if tones is not None:
        assert result.tone_error_rate == pytest.approx(tones, nan_ok=True)


def test_the_tone_is_judged_where_the_base_stands():
    """No toned syllable is right, so toned edits leave open which stands for which; bases tell."""
    result = evaluated("hao3 ni3 shi4", "ni2 shi1")
    assert result.tone_confusions == {(3, 2): 1, (4, 1): 1}
    assert result.tone_error_rate == 1
    assert result.toned.errors == 3 and result.base.errors == 1


def test_what_is_taken_for_what():
    result = evaluated("shi4 jie4 hao3", "si4 jie4 hao2")
    result.add(["shi4"], ["si4"])
    assert result.utterances == 2
    assert result.confusions == {("shi4", "si4"): 2, ("hao3", "hao2"): 1}
    assert result.tone_confusions == {(4, 4): 1, (3, 2): 1}


def test_the_rate_of_many_weighs_every_syllable_alike():
    references = [["ma1"], ["shi4", "si4", "er2"]]
    assert syllable_error_rate(references, [[], ["shi4", "si4", "er2"]]) == 1 / 4
    assert syllable_error_rate([["ma1"]], [["ma1", "ma1", "ma1"]]) == 2
    with pytest.raises(ValueError, match="shorter"):
        syllable_error_rate(references, [["ma1"]])


def test_no_reference_no_rate():
    assert math.isnan(ErrorCounts().rate)
    assert math.isnan(Evaluation("").tone_error_rate)
