"""Where the errors are: in which initials and finals, in long utterances, in rare syllables.

An utterance is given as a pair: the toned syllables said, the toned syllables recognised.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ramospeech.evaluation.error_rates import ErrorCounts, align, align_by_base
from ramospeech.language.pinyin import split_syllable
from ramospeech.language.vocabulary import UNK

Pair = tuple[Sequence[str], Sequence[str]]

# The smallest number of each group.
LENGTHS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
TIMES_HEARD = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


@dataclass
class Group:
    """What a group of utterances, or of syllables, has in common, and how much of it is wrong."""

    label: str
    members: int = 0  # utterances, or different syllables
    syllables: int = 0  # said
    errors: int = 0

    @property
    def rate(self) -> float:
        return self.errors / self.syllables


def part_confusions(pairs: Iterable[Pair], part: str) -> Counter[tuple[str, str]]:
    """How often an initial (or `part` "final") was heard as which, right ones included.

    By the fewest edits between base syllables; what was left out or put in is not in it.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for reference, hypothesis in pairs:
        for said, heard in align_by_base(reference, hypothesis):
            if not {said, heard} & {None, UNK}:
                counts[getattr(split_syllable(said), part),
                       getattr(split_syllable(heard), part)] += 1
    return counts


def error_by_length(pairs: Iterable[Pair]) -> list[Group]:
    """Edits in utterances of so many syllables; a group's members are utterances."""
    groups: dict[int, Group] = {}
    for reference, hypothesis in pairs:
        counts = ErrorCounts()
        counts.add(reference, hypothesis)
        group = _group(groups, len(reference), LENGTHS)
        group.members += 1
        group.syllables += counts.reference_length
        group.errors += counts.errors
    return [groups[number] for number in sorted(groups)]


def error_by_times_heard(pairs: Iterable[Pair], times_heard: Mapping[str, int]) -> list[Group]:
    """Syllables that were not recognised, by how often training had each; members are syllables.

    What was put in belongs to no syllable that was said, so it is not counted.
    """
    said: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for reference, hypothesis in pairs:
        said.update(reference)
        wrong.update(syllable for syllable, heard in align(reference, hypothesis)
                     if syllable not in (None, heard))
    groups: dict[int, Group] = {}
    for syllable, count in said.items():
        group = _group(groups, times_heard.get(syllable, 0), TIMES_HEARD)
        group.members += 1
        group.syllables += count
        group.errors += wrong[syllable]
    return [groups[number] for number in sorted(groups)]


def _group(groups: dict[int, Group], value: int, smallest: Sequence[int]) -> Group:
    """The group that a value falls into, made where it is missing."""
    number = bisect_right(smallest, value) - 1
    return groups.setdefault(number, Group(_label(number, smallest)))


def _label(number: int, smallest: Sequence[int]) -> str:
    first, following = smallest[number], smallest[number + 1:number + 2]
    if not following:
        return f"{first} or more"
    last = following[0] - 1
    return str(first) if first == last else f"{first} to {last}"
