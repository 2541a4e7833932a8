"""Rescoring with words: sound and language model searched together over a confusion network.

The recogniser's first pass returns hypotheses: sequences of syllables with a score each. For each
syllable, others may be substituted with a penalty: those with a high posterior at the same time, or
those that the model is known to confuse. The search finds the words that maximise

    ln P(sound | syllables) + language * ln P(words) + length * number of syllables

so that a wrong tone gives way to one that makes a word.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple

from torch import Tensor

from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.language.word_lattice import BEAM_SIZE, Lattice, ConfusionSet, WordSequence
from ramospeech.language.word_model import WordModel

__all__ = [
    "ALTERNATIVES", "FLOOR", "HYPOTHESES", "ConfusionNetwork", "JointWeights", "confusion_networks",
    "confusion_sets", "joint_search", "sets_from_table",
]


class ConfusionNetwork(NamedTuple):
    """An acoustic hypothesis with alternatives: a set of syllables for each position."""

    sets: Sequence[ConfusionSet]  # natural logarithms; 0 for the syllable of the hypothesis
    score: float  # of the hypothesis


class JointWeights(NamedTuple):
    """Tuned on the words of audio-cmn's dev list: `benchmarks/joint_search.py --tune`."""

    language: float = 0.5
    length: float = 2.0


HYPOTHESES, ALTERNATIVES, FLOOR = 2, 8, -8.0  # the search space; a larger one did not help on dev


def joint_search(
    networks: Iterable[ConfusionNetwork], model: WordModel, weights: JointWeights = JointWeights(),
    nbest: int = 1, beam_size: int | None = BEAM_SIZE,
) -> list[WordSequence]:
    """Return the `nbest` best different writings over all networks, scored as stated above.

    Syllables that no hanzi is pronounced as are left out; a network with an empty set is skipped.
    """
    found: dict[str, WordSequence] = {}
    for sets, score in networks:
        sets = [_writable(alternatives, model) for alternatives in sets]
        if not all(sets):
            continue
        score += weights.length * len(sets)
        lattice = Lattice.build(sets, model, beam_size, weights.language)
        for writing in lattice.best(nbest):
            writing = writing._replace(score=writing.score + score)
            found[writing.hanzi] = max(writing, found.get(writing.hanzi, writing),
                                       key=lambda item: item.score)
    return nlargest(nbest, found.values(), key=lambda item: item.score)


def _writable(alternatives: ConfusionSet, model: WordModel) -> ConfusionSet:
    return {syllable: weight for syllable, weight in alternatives.items() if model.can_write(syllable)}


def confusion_networks(
    log_probs: Tensor, hypotheses: Sequence[Hypothesis], vocabulary: Vocabulary, floor: float = FLOOR
) -> list[ConfusionNetwork]:
    """Return a network for each of the n best, best first; `log_probs` is `(T, classes)`.

    A hypothesis is left out if the best one's score is higher by more than `-floor`.
    """
    return [ConfusionNetwork(confusion_sets(log_probs, item, vocabulary, floor=floor), item.score)
            for item in hypotheses if item.score - hypotheses[0].score >= floor]


def confusion_sets(
    log_probs: Tensor, hypothesis: Hypothesis, vocabulary: Vocabulary, count: int = ALTERNATIVES,
    floor: float = FLOOR,
) -> list[ConfusionSet]:
    """Return the alternatives to each syllable by its posteriors; `log_probs` is `(T, classes)`.

    A class counts by its best frame between the beginnings of this syllable and of the next one. A
    set has at most `count` syllables, including that of the hypothesis, with logarithms of at least
    `floor`.
    """
    ends = [*hypothesis.timesteps[1:], len(log_probs)]
    sets: list[ConfusionSet] = []
    for token, start, end in zip(hypothesis.tokens, hypothesis.timesteps, ends):
        best = log_probs[start:end].max(dim=0).values  # (classes,)
        weights = {vocabulary.symbols[other]: float(best[other] - best[token])
                   for other in best.topk(min(count + 2, len(best))).indices.tolist()}
        weights[vocabulary.symbols[token]] = 0.0
        ranked = sorted(weights.keys() - {PAD, UNK}, key=lambda symbol: -weights[symbol])
        sets.append({symbol: min(0.0, weights[symbol]) for symbol in ranked[:count]
                     if weights[symbol] >= floor})
    return sets


def sets_from_table(
    syllables: Sequence[str], confusions: Mapping[str, Mapping[str, float]]
) -> list[ConfusionSet]:
    """Return the alternatives to each syllable by a table of confusions, in natural logarithms.

    `confusions["shi4"]["si4"]` is ln P(reference si4 | hypothesis shi4) - ln P(reference shi4 | ...).
    """
    return [{**confusions.get(syllable, {}), syllable: 0.0} for syllable in syllables]
