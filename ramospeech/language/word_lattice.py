"""The lattice of all words that some syllables may stand for, and the paths through it.

    lattice = Lattice.build(certain_sets(["shang4", "hai3"]), model)
    lattice.best(3)            # the three most probable word sequences
    lattice.log_prob("上海")    # among all paths

An arc is a word over consecutive syllables; a path is a sequence of arcs from the first syllable to
the last. The weight of an arc depends on the arc before it.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from math import exp, inf, log
from typing import NamedTuple

from ramospeech.language.word_model import BEGIN, WordModel

__all__ = [
    "BEAM_SIZE", "Arc", "ConfusionSet", "Lattice", "WordSequence", "certain_sets", "check_coverage",
    "logsumexp", "match_words",
]

BEAM_SIZE = 16  # arcs kept at each position, of about a hundred that end there
ConfusionSet = Mapping[str, float]  # the possible syllables at a position, with natural log weights


class Arc(NamedTuple):
    """A word with one of its pronunciations, over the positions `start` to `end`."""

    start: int
    end: int
    word: str
    pronunciation: tuple[str, ...]  # according to the lexicon
    syllables: tuple[str, ...]  # as spoken: with neutral tones, for example
    frequency: float  # natural logarithm, of the word with this pronunciation
    acoustic: float  # the sum of the weights of its syllables


class WordSequence(NamedTuple):
    """Words, the spoken syllables that they stand for, and the weight of their best path."""

    words: tuple[str, ...]
    syllables: tuple[str, ...]
    score: float

    @property
    def hanzi(self) -> str:
        return "".join(self.words)


ROOT = Arc(0, 0, BEGIN, (), (), 0.0, 0.0)
Steps = list[dict[Arc, dict[Arc, float]]]


def certain_sets(syllables: Iterable[str]) -> list[ConfusionSet]:
    """Return confusion sets of one syllable each."""
    return [{syllable: 0.0} for syllable in syllables]


@dataclass(frozen=True)
class Lattice:
    """`steps[position][arc][previous]` is the weight of an arc that ends there, after another arc."""

    steps: Steps
    forward: dict[Arc, float]  # the logarithm of the summed weight of all paths that end with an arc

    @classmethod
    def build(cls, sets: Sequence[ConfusionSet], model: WordModel, beam_size: int | None = BEAM_SIZE,
              language: float = 1.0) -> "Lattice":
        """Match all words; an arc weighs `language` x log P(word | previous word) + acoustic.

        Histogram pruning: only the `beam_size` best arcs that end at a position are extended; None
        disables it. Raises ValueError, naming the position, if no word matches there.
        """
        ending = _arcs_by_end(sets, model)
        steps: Steps = [{ROOT: {}}]
        forward = {ROOT: 0.0}
        for end in range(1, len(sets) + 1):
            step = {}
            for arc in ending[end]:
                step[arc] = {previous: arc.acoustic + language * model.log_prob(
                    previous.word, arc.word, arc.frequency) for previous in steps[arc.start]}
                forward[arc] = logsumexp(forward[previous] + weight
                                         for previous, weight in step[arc].items())
            if beam_size and end < len(sets):
                step = {arc: step[arc] for arc in nlargest(beam_size, step, key=forward.__getitem__)}
            steps.append(step)
        return cls(steps, forward)

    @property
    def total(self) -> float:
        """The logarithm of the summed weight of all paths (the forward algorithm)."""
        return logsumexp(self.forward[arc] for arc in self.steps[-1])

    def best(self, count: int = 1) -> list[WordSequence]:
        """Return the `count` best sequences with different hanzi (Viterbi 1967)."""
        sequences = {ROOT: [WordSequence((), (), 0.0)]}
        for step in self.steps[1:]:
            for arc, before in step.items():
                sequences[arc] = _best_different(count, (
                    WordSequence((*old.words, arc.word), old.syllables + arc.syllables,
                                 old.score + weight)
                    for previous, weight in before.items() for old in sequences[previous]))
        return _best_different(count, (item for arc in self.steps[-1] for item in sequences[arc]))

    def log_prob(self, hanzi: str) -> float:
        """Return the logarithm of the share of all paths, by weight, that spell `hanzi`."""
        sums = {ROOT: 0.0}
        for step in self.steps[1:]:
            for arc, before in step.items():
                if arc.word == hanzi[arc.start:arc.end]:
                    sums[arc] = logsumexp(sums[previous] + weight
                                          for previous, weight in before.items() if previous in sums)
        return logsumexp(sums.get(arc, -inf) for arc in self.steps[-1]) - self.total


def _arcs_by_end(sets: Sequence[ConfusionSet], model: WordModel) -> list[list[Arc]]:
    ending: list[list[Arc]] = [[ROOT]] + [[] for _ in sets]
    for start, end, pronunciation, spoken, acoustic in match_words(sets, model):
        ending[end] += [Arc(start, end, word, pronunciation, spoken, frequency, acoustic)
                        for word, frequency in model.homophones(pronunciation).items()]
    check_coverage(sets, {end for end, arcs in enumerate(ending) if any(
        arc.start == end - 1 for arc in arcs)})
    return ending


def check_coverage(sets: Sequence[ConfusionSet], covered: Container[int]) -> None:
    """Raise ValueError for the first position, from 1, that no word of one syllable covers."""
    for position, alternatives in enumerate(sets, start=1):
        if position not in covered:
            raise ValueError(f"no hanzi is pronounced {' or '.join(alternatives)} (syllable {position})")


def match_words(
    sets: Sequence[ConfusionSet], model: WordModel
) -> Iterator[tuple[int, int, tuple[str, ...], tuple[str, ...], float]]:
    """Extend words from each position, syllable by syllable, while a word begins like that.

    Yields start, end, the pronunciation in the lexicon, the spoken syllables and their weight.
    """
    first, inside = ([model.tone_variants(tuple(alternatives.items()), is_inside)
                      for alternatives in sets] for is_inside in (False, True))
    for start in range(len(sets)):
        begun: dict[tuple[str, ...], tuple[tuple[str, ...], float]] = {
            (syllable,): ((spoken,), weight) for syllable, (spoken, weight) in first[start].items()}
        end = start
        while begun:
            end += 1
            for pronunciation, (all_spoken, acoustic) in begun.items():
                yield start, end, pronunciation, all_spoken, acoustic
            begun = {(*pronunciation, syllable): ((*all_spoken, spoken), acoustic + weight)
                     for pronunciation, (all_spoken, acoustic) in begun.items()
                     for syllable, (spoken, weight) in (inside[end] if end < len(sets) else {}).items()
                     if model.is_word_prefix((*pronunciation, syllable))}


def _best_different(count: int, sequences: Iterable[WordSequence]) -> list[WordSequence]:
    """Return the `count` best sequences; of those with the same hanzi only the best."""
    different: dict[str, WordSequence] = {}
    for sequence in sequences:
        known = different.get(sequence.hanzi)
        if known is None or sequence.score > known.score:
            different[sequence.hanzi] = sequence
    return nlargest(count, different.values(), key=lambda sequence: sequence.score)


def logsumexp(terms: Iterable[float]) -> float:
    """Return the logarithm of the sum of exponentials."""
    terms = list(terms)
    highest = max(terms, default=-inf)
    return highest if highest == -inf else highest + log(sum(exp(term - highest) for term in terms))
