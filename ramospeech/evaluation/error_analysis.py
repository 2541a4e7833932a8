"""Error analysis: errors by initial and final, by length, and by frequency in training.

An utterance is a pair of lists of toned syllables: (reference, hypothesis).
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ramospeech.evaluation.error_rates import ErrorCounts, align, align_by_base
from ramospeech.language.pinyin import split_syllable
from ramospeech.language.vocabulary import UNK

__all__ = [
    "LENGTHS", "TRAINING_COUNTS", "Group", "error_by_length", "error_by_training_count",
    "part_confusions",
]

Pair = tuple[Sequence[str], Sequence[str]]

# The lower bounds of the groups.
LENGTHS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
TRAINING_COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


@dataclass
class Group:
    """The error rate of a group of utterances or of syllables."""

    label: str
    members: int = 0  # utterances, or different syllables
    syllables: int = 0  # in the references
    errors: int = 0

    @property
    def rate(self) -> float:
        return self.errors / self.syllables


def part_confusions(pairs: Iterable[Pair], part: str) -> Counter[tuple[str, str]]:
    """Count pairs (reference, hypothesis) of initials, finals or tones, correct ones included.

    `part` is "initial", "final" or "tone". Insertions and deletions are not counted.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for reference, hypothesis in pairs:
        for pair in align_by_base(reference, hypothesis):
            if not {*pair} & {None, UNK}:
                first, second = (getattr(split_syllable(syllable), part) for syllable in pair)
                counts[first, second] += 1
    return counts


def error_by_length(pairs: Iterable[Pair]) -> list[Group]:
    """Return the error rate by the number of reference syllables; members are utterances."""
    groups: dict[int, Group] = {}
    for reference, hypothesis in pairs:
        counts = ErrorCounts()
        counts.add(reference, hypothesis)
        group = _group(groups, len(reference), LENGTHS)
        group.members += 1
        group.syllables += counts.reference_length
        group.errors += counts.errors
    return [groups[number] for number in sorted(groups)]


def error_by_training_count(
    pairs: Iterable[Pair], training_counts: Mapping[str, int]
) -> list[Group]:
    """Return the error rate by the syllable's count in training; members are different syllables.

    Insertions are not counted: they belong to no reference syllable.
    """
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for reference, hypothesis in pairs:
        total.update(reference)
        wrong.update(syllable for syllable, recognised in align(reference, hypothesis)
                     if syllable not in (None, recognised))
    groups: dict[int, Group] = {}
    for syllable, count in total.items():
        group = _group(groups, training_counts.get(syllable, 0), TRAINING_COUNTS)
        group.members += 1
        group.syllables += count
        group.errors += wrong[syllable]
    return [groups[number] for number in sorted(groups)]


def _group(groups: dict[int, Group], value: int, smallest: Sequence[int]) -> Group:
    """Return the group of a value; it is created if it is missing."""
    number = bisect_right(smallest, value) - 1
    return groups.setdefault(number, Group(_label(number, smallest)))


def _label(number: int, smallest: Sequence[int]) -> str:
    first, following = smallest[number], smallest[number + 1:number + 2]
    if not following:
        return f"{first} or more"
    last = following[0] - 1
    return str(first) if first == last else f"{first} to {last}"
