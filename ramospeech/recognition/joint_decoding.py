"""What was heard and what makes words, searched together.

A recogniser gives hypotheses: rows of syllables with a score each. In each of them other syllables
may stand in for the one that was heard, at a price: those that the model also thought of, or those
that it is known to take for one another. Among all of these the words that together fit best to the
sound and to each other are found, so that a wrong tone gives way to what makes a word:

    ln P(sound | syllables) + language x ln P(words) + length x number of syllables
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from typing import NamedTuple

from torch import Tensor

from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.language.word_lattice import KEPT, Lattice, Slot, Writing
from ramospeech.language.word_model import WordModel


class Heard(NamedTuple):
    """An acoustic hypothesis: what may stand at each place, and the score of what was heard."""

    slots: Sequence[Slot]  # logarithms, 0 for the syllable that was heard
    score: float


class JointWeights(NamedTuple):
    """What was tuned on the words of audio-cmn's dev list: `benchmarks/joint_search.py --tune`."""

    language: float = 0.5
    length: float = 2.0


HYPOTHESES, ALTERNATIVES, FLOOR = 2, 8, -8.0  # how much is searched; more did not help dev


def joint_search(
    heard: Iterable[Heard], model: WordModel, weights: JointWeights = JointWeights(),
    count: int = 1, kept: int | None = KEPT,
) -> list[Writing]:
    """The `count` best writings, all different, over all hypotheses; the score is that above.

    A syllable that no hanzi is read as cannot be written: a hypothesis where nothing else may stand
    in its place is passed over. No hypothesis left: no writing.
    """
    found: dict[str, Writing] = {}
    for slots, score in heard:
        slots = [_writable(slot, model) for slot in slots]
        if not all(slots):
            continue
        score += weights.length * len(slots)
        lattice = Lattice.build(slots, model, kept, weights.language)
        for writing in lattice.best(count):
            writing = writing._replace(score=writing.score + score)
            found[writing.hanzi] = max(writing, found.get(writing.hanzi, writing),
                                       key=lambda item: item.score)
    return nlargest(count, found.values(), key=lambda item: item.score)


def _writable(slot: Slot, model: WordModel) -> Slot:
    return {syllable: weight for syllable, weight in slot.items() if model.can_write(syllable)}


def from_posteriors(
    log_probs: Tensor, hypotheses: Sequence[Hypothesis], vocabulary: Vocabulary, floor: float = FLOOR
) -> list[Heard]:
    """What to search of the n best, best first; `log_probs` is `(T, classes)`.

    A hypothesis whose score lies below the best one's by more than `floor` is left out.
    """
    return [Heard(slots_from_posteriors(log_probs, item, vocabulary, floor=floor), item.score)
            for item in hypotheses if item.score - hypotheses[0].score >= floor]


def slots_from_posteriors(
    log_probs: Tensor, hypothesis: Hypothesis, vocabulary: Vocabulary, count: int = ALTERNATIVES,
    floor: float = FLOOR,
) -> list[Slot]:
    """What else the model thought of where it heard each syllable; `log_probs` is `(T, classes)`.

    A syllable is judged by its best frame from where it begins to where the next one does. `count`
    syllables may stand at a place, the one that was heard among them; none whose logarithm is below
    `floor`.
    """
    ends = [*hypothesis.timesteps[1:], len(log_probs)]
    slots: list[Slot] = []
    for token, start, end in zip(hypothesis.tokens, hypothesis.timesteps, ends):
        best = log_probs[start:end].max(dim=0).values  # (classes,)
        weights = {vocabulary.symbols[other]: float(best[other] - best[token])
                   for other in best.topk(min(count + 2, len(best))).indices.tolist()}
        weights[vocabulary.symbols[token]] = 0.0
        ranked = sorted(weights.keys() - {PAD, UNK}, key=lambda symbol: -weights[symbol])
        slots.append({symbol: min(0.0, weights[symbol]) for symbol in ranked[:count]
                      if weights[symbol] >= floor})
    return slots


def slots_from_confusions(
    syllables: Sequence[str], confusions: Mapping[str, Mapping[str, float]]
) -> list[Slot]:
    """The same by a table: what was said, as logarithms, where a syllable is heard.

    `confusions["shi4"]["si4"]` is ln P(si4 was said | shi4 was heard) - ln P(shi4 was said | ...).
    """
    return [{**confusions.get(syllable, {}), syllable: 0.0} for syllable in syllables]
