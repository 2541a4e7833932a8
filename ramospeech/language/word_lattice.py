"""The words that syllables may stand for, as a lattice, and the paths through it.

    lattice = Lattice.build(given(["shang4", "hai3"]), model)
    lattice.best(3)            # the three most probable writings
    lattice.log_prob("上海")    # among all writings

An arc is a word over some of the syllables; a path is a row of arcs from the first syllable to the
last. What an arc weighs depends on the arc before it.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from math import exp, inf, log
from typing import NamedTuple

from ramospeech.language.word_model import BEGIN, WordModel

__all__ = ["KEPT", "Arc", "Lattice", "Slot", "Writing", "given", "grow_words", "log_sum", "refuse_gaps"]

KEPT = 16  # of about a hundred arcs that end at a place, those that others follow
Slot = Mapping[str, float]  # the syllables that may stand at a place, with their weights (logarithms)


class Arc(NamedTuple):
    """A word, in one of its readings, over the slots `start` to `end`."""

    start: int
    end: int
    word: str
    written: tuple[str, ...]  # as a dictionary writes it
    syllables: tuple[str, ...]  # as it was said
    frequency: float  # the logarithm of the word's, by itself
    sound: float  # the sum of the weights of its syllables


class Writing(NamedTuple):
    """A way to write what was said: words, their syllables, and the weight of the best path."""

    words: tuple[str, ...]
    syllables: tuple[str, ...]
    score: float

    @property
    def hanzi(self) -> str:
        return "".join(self.words)


ROOT = Arc(0, 0, BEGIN, (), (), 0.0, 0.0)
Steps = list[dict[Arc, dict[Arc, float]]]


def given(syllables: Iterable[str]) -> list[Slot]:
    """Slots for syllables that are certain."""
    return [{syllable: 0.0} for syllable in syllables]


@dataclass(frozen=True)
class Lattice:
    """`steps[place][arc][previous]` is what an arc that ends at a place weighs after another."""

    steps: Steps
    forward: dict[Arc, float]  # the logarithm of the sum over all paths that end with an arc

    @classmethod
    def build(cls, slots: Sequence[Slot], model: WordModel, kept: int | None = KEPT,
              language: float = 1.0) -> "Lattice":
        """All words over the slots; arcs weigh `language` x log P(word | word before) + sound.

        Only the `kept` arcs of most weight that end at a place are followed by others; None keeps
        all. Raises ValueError, naming the place, where no word can stand.
        """
        ending = _arcs_by_end(slots, model)
        steps: Steps = [{ROOT: {}}]
        forward = {ROOT: 0.0}
        for end in range(1, len(slots) + 1):
            step = {}
            for arc in ending[end]:
                step[arc] = {previous: arc.sound + language * model.log_prob(
                    previous.word, arc.word, arc.frequency) for previous in steps[arc.start]}
                forward[arc] = log_sum(forward[previous] + weight
                                       for previous, weight in step[arc].items())
            if kept and end < len(slots):
                step = {arc: step[arc] for arc in nlargest(kept, step, key=forward.__getitem__)}
            steps.append(step)
        return cls(steps, forward)

    @property
    def total(self) -> float:
        """The logarithm of the summed weight of all paths (the forward algorithm)."""
        return log_sum(self.forward[arc] for arc in self.steps[-1])

    def best(self, count: int = 1) -> list[Writing]:
        """The `count` writings, all different, whose best paths weigh most (Viterbi 1967)."""
        writings = {ROOT: [Writing((), (), 0.0)]}
        for step in self.steps[1:]:
            for arc, before in step.items():
                writings[arc] = _heaviest(count, (
                    Writing((*old.words, arc.word), old.syllables + arc.syllables,
                            old.score + weight)
                    for previous, weight in before.items() for old in writings[previous]))
        return _heaviest(count, (item for arc in self.steps[-1] for item in writings[arc]))

    def log_prob(self, hanzi: str) -> float:
        """The logarithm of the share of all paths, by weight, that spell these hanzi."""
        sums = {ROOT: 0.0}
        for step in self.steps[1:]:
            for arc, before in step.items():
                if arc.word == hanzi[arc.start:arc.end]:
                    sums[arc] = log_sum(sums[previous] + weight
                                        for previous, weight in before.items() if previous in sums)
        return log_sum(sums.get(arc, -inf) for arc in self.steps[-1]) - self.total


def _arcs_by_end(slots: Sequence[Slot], model: WordModel) -> list[list[Arc]]:
    ending: list[list[Arc]] = [[ROOT]] + [[] for _ in slots]
    for start, end, written, said, sound in grow_words(slots, model):
        ending[end] += [Arc(start, end, word, written, said, frequency, sound)
                        for word, frequency in model.readings(written).items()]
    refuse_gaps(slots, {end for end, arcs in enumerate(ending) if any(
        arc.start == end - 1 for arc in arcs)})
    return ending


def refuse_gaps(slots: Sequence[Slot], written: Container[int]) -> None:
    """Raise ValueError for the first place, counted from 1, where no word of one syllable is written."""
    for place, slot in enumerate(slots, start=1):
        if place not in written:
            raise ValueError(f"no hanzi is read {' or '.join(slot)} (syllable {place})")


def grow_words(
    slots: Sequence[Slot], model: WordModel
) -> Iterator[tuple[int, int, tuple[str, ...], tuple[str, ...], float]]:
    """From each place words grow syllable by syllable, as long as a word begins so.

    Yields from where to where, what dictionaries write, what was said, and its weight.
    """
    first, inside = ([model.spoken_as(tuple(slot.items()), is_inside) for slot in slots]
                     for is_inside in (False, True))
    for start in range(len(slots)):
        begun: dict[tuple[str, ...], tuple[tuple[str, ...], float]] = {
            (syllable,): ((said,), sound) for syllable, (said, sound) in first[start].items()}
        end = start
        while begun:
            end += 1
            for written, (all_said, sound) in begun.items():
                yield start, end, written, all_said, sound
            begun = {(*written, syllable): ((*all_said, said), sound + weight)
                     for written, (all_said, sound) in begun.items()
                     for syllable, (said, weight) in (inside[end] if end < len(slots) else {}).items()
                     if model.begins_word((*written, syllable))}


def _heaviest(count: int, writings: Iterable[Writing]) -> list[Writing]:
    """The best of each way to write, and of these the `count` best."""
    different: dict[str, Writing] = {}
    for writing in writings:
        known = different.get(writing.hanzi)
        if known is None or writing.score > known.score:
            different[writing.hanzi] = writing
    return nlargest(count, different.values(), key=lambda writing: writing.score)


def log_sum(terms: Iterable[float]) -> float:
    """The logarithm of the sum of what these are the logarithms of."""
    terms = list(terms)
    highest = max(terms, default=-inf)
    return highest if highest == -inf else highest + log(sum(exp(term - highest) for term in terms))
