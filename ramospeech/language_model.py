"""Which syllable follows which: an n-gram model with smoothing, in ARPA files and in plain arrays.

    model = estimate([["ni3", "hao3"], ["ni3", "men"]], Inventory.read(), order=2)
    model.write_arpa(Path("pinyin.arpa"))
    model = LanguageModel.read_arpa(Path("pinyin.arpa"), Inventory.read())

A sentence begins with `<s>` and ends with `</s>`; a syllable outside the inventory is `<UNK>`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ramospeech.files import write_text
from ramospeech.losses import BLANK
from ramospeech.pinyin import PAD, UNK, Inventory, is_syllable

BEGIN = -1  # `<s>`: it is never predicted, so it needs no class
END = BLANK  # `</s>` takes the class that no syllable has
LN_10 = math.log(10)  # ARPA files hold decimal logarithms
NEVER = -99 * LN_10  # what ARPA files say of `<s>`

Ngram = tuple[int, ...]  # classes, BEGIN and END


class Weights(NamedTuple):
    """What the model says of an n-gram; natural logarithms."""

    log_prob: float  # of its last token, given the others
    backoff: float = 0.0  # to be added where a token that was not seen after it follows


class Arrays(NamedTuple):
    """The model as a machine: a state for each context, state 0 for none.

    The arcs of state s, `first[s]` to `first[s + 1]`, are in order of their tokens; state 0 has one
    for every class. Where a state has no arc for a token, one goes on from the state `shorter[s]`,
    at the cost of `backoff[s]`.
    """

    first: np.ndarray  # (states + 1,) int64
    shorter: np.ndarray  # (states,) int64, always smaller than the state itself
    backoff: np.ndarray  # (states,)
    token: np.ndarray  # (arcs,) int64
    log_prob: np.ndarray  # (arcs,)
    target: np.ndarray  # (arcs,) int64, the state after the token
    start: int  # the state after `<s>`
    highest: float  # no token is more probable than this, in whatever state


@dataclass(frozen=True)
class LanguageModel:
    """N-grams with backoff (Katz 1987). Raises ValueError where they do not make a model."""

    inventory: Inventory
    ngrams: dict[Ngram, Weights]

    def __post_init__(self) -> None:
        missing = [self._word(token) for token in range(len(self.inventory))
                   if (token,) not in self.ngrams]
        if missing:
            raise ValueError(f"the language model has no {missing[0]} "
                             f"(and lacks {len(missing) - 1} others)")
        for ngram, weights in self.ngrams.items():
            self._check(ngram, weights)

    def _check(self, ngram: Ngram, weights: Weights) -> None:
        words = " ".join(map(self._word, ngram))
        if BEGIN in ngram[1:] or END in ngram[:-1]:
            raise ValueError(f"{words!r}: <s> comes first, </s> last")
        if len(ngram) > 1 and ngram[:-1] not in self.ngrams:
            raise ValueError(f"{words!r} is there, and what it begins with is not")
        if not (weights.log_prob <= 0 and math.isfinite(weights.log_prob + weights.backoff)):
            raise ValueError(f"{words!r}: no logarithm of a probability: {weights.log_prob}")

    @property
    def order(self) -> int:
        """2 for a bigram model, 3 for a trigram model."""
        return max(map(len, self.ngrams))

    def log_prob(self, context: Ngram, token: int) -> float:
        """The natural logarithm of the probability that `token` follows `context`."""
        backoff = 0.0
        for start in range(max(0, len(context) - self.order + 1), len(context) + 1):
            known = self.ngrams.get((*context[start:], token))
            if known:
                return backoff + known.log_prob
            if context[start:] in self.ngrams:
                backoff += self.ngrams[context[start:]].backoff
        raise KeyError(token)

    def score(self, tokens: Sequence[int], ended: bool = True) -> float:
        """The natural logarithm of the probability of a sentence, or of its beginning."""
        sentence = (BEGIN, *tokens, END)[: None if ended else -1]
        return sum(self.log_prob(sentence[:place], sentence[place])
                   for place in range(1, len(sentence)))

    def _word(self, token: int) -> str:
        return {BEGIN: "<s>", END: "</s>"}.get(token) or self.inventory.symbols[token]

    # Arrays

    @cached_property
    def arrays(self) -> Arrays:
        """What the compiled beam reads."""
        states = self._states()
        arcs = sorted((states[ngram[:-1]], ngram[-1], weights.log_prob, self._state(states, ngram))
                      for ngram, weights in self.ngrams.items() if ngram != (BEGIN,))
        origin, token, log_prob, target = map(np.array, zip(*arcs))
        shorter = np.array([self._state(states, context[1:]) for context in states])
        backoff = np.array([self.ngrams[context].backoff if context else 0.0
                            for context in states])
        return Arrays(np.searchsorted(origin, np.arange(len(states) + 1)), shorter, backoff,
                      token, log_prob, target, self._state(states, (BEGIN,)),
                      float(log_prob.max() + _largest_gain(shorter, backoff)))

    def _states(self) -> dict[Ngram, int]:
        """The contexts that something is known of, the shorter ones first."""
        contexts = {ngram[:-1] for ngram in self.ngrams}
        contexts |= {ngram for ngram, weights in self.ngrams.items() if weights.backoff}
        return {context: state
                for state, context in enumerate(sorted(contexts, key=lambda c: (len(c), c)))}

    @staticmethod
    def _state(states: dict[Ngram, int], history: Ngram) -> int:
        """The state of the longest context that ends the history."""
        return next(states[history[start:]] for start in range(len(history) + 1)
                    if history[start:] in states)

    # ARPA

    def write_arpa(self, path: Path) -> None:
        """Write the format of the ARPA trials, as SRILM and KenLM read it."""
        orders = [sorted(ngram for ngram in self.ngrams if len(ngram) == length)
                  for length in range(1, self.order + 1)]
        lines = ["\\data\\", *(f"ngram {length}={len(ngrams)}"
                               for length, ngrams in enumerate(orders, start=1))]
        for length, ngrams in enumerate(orders, start=1):
            lines += ["", f"\\{length}-grams:", *map(self._arpa_line, ngrams)]
        write_text(path, "\n".join([*lines, "", "\\end\\", ""]))

    def _arpa_line(self, ngram: Ngram) -> str:
        weights = self.ngrams[ngram]
        words = " ".join("<unk>" if token == self._unknown else self._word(token)
                         for token in ngram)
        line = f"{weights.log_prob / LN_10:.9g}\t{words}"
        return f"{line}\t{weights.backoff / LN_10:.9g}" if weights.backoff else line

    @property
    def _unknown(self) -> int:
        return self.inventory.encode([UNK])[0]

    @classmethod
    def read_arpa(cls, path: Path, inventory: Inventory) -> "LanguageModel":
        """Read an ARPA file. Raises ValueError, naming the line, for one that is broken or has
        words outside the inventory: it speaks of another vocabulary.

        Syllables of the inventory that the file lacks are as probable as its `<unk>`.
        """
        try:
            ngrams = dict(_read_ngrams(path, inventory))
            unknown = ngrams.get(tuple(inventory.encode([UNK])))
            for token in range(1, len(inventory)) if unknown else ():
                ngrams.setdefault((token,), Weights(unknown.log_prob))
            return cls(inventory, ngrams)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None


def _largest_gain(shorter: np.ndarray, backoff: np.ndarray) -> float:
    """The most that a series of backoffs adds; nothing, in models that were not pruned."""
    gains = np.zeros(len(shorter))
    for state in range(1, len(shorter)):
        gains[state] = max(0.0, backoff[state] + gains[shorter[state]])
    return float(gains.max())


def _read_ngrams(path: Path, inventory: Inventory) -> Iterator[tuple[Ngram, Weights]]:
    tokens = {symbol: token for token, symbol in enumerate(inventory.symbols) if symbol != PAD}
    tokens |= {"<s>": BEGIN, "</s>": END, "<unk>": tokens[UNK]}
    announced, found, length = {}, Counter(), 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        try:
            if line.startswith("ngram ") and not length:
                order, count = line[6:].split("=")
                announced[int(order)] = int(count)
            elif line.startswith("\\") and line.rstrip().endswith("-grams:"):
                length = int(line[1:].split("-")[0])
            elif line.rstrip() == "\\end\\":
                break
            elif length and fields:
                found[length] += 1
                yield _read_ngram(fields, length, tokens)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    else:
        raise ValueError("no \\end\\: not an ARPA file, or cut short")
    if found != announced:
        raise ValueError(f"{announced} n-grams are announced, {dict(found)} are there")


def _read_ngram(fields: list[str], length: int, tokens: dict[str, int]) -> tuple[Ngram, Weights]:
    if len(fields) not in (length + 1, length + 2):
        raise ValueError(f"expected {length} words between one number or two")
    foreign = [word for word in fields[1 : length + 1] if word not in tokens]
    if foreign:
        raise ValueError(f"{foreign[0]!r} is not in the inventory: "
                         "a language model of another vocabulary")
    ngram = tuple(tokens[word] for word in fields[1 : length + 1])
    numbers = map(float, (fields[0], *fields[length + 1 :]))
    return ngram, Weights(*(number * LN_10 for number in numbers))


# Counting


def estimate(
    sentences: Iterable[Sequence[str]], inventory: Inventory, order: int = 2,
    weights: Iterable[float] | None = None,
) -> LanguageModel:
    """An n-gram model of sentences (lists of syllables), smoothed after Witten and Bell.

    P(w | h) = (c(hw) + t(h) P(w | h')) / (c(h) + t(h)), where c counts, t(h) is the number of
    different tokens seen after h, and h' is h without its first token; at the end every token is
    equally probable (method C of Witten and Bell 1991, interpolated as in Chen and Goodman 1998,
    section 2.5). Unlike Kneser-Ney it also bears counts that are weighted: `weights` says how often
    each sentence occurred. Raises ValueError for what is no syllable, naming the sentence.
    """
    if order < 1:
        raise ValueError(f"the order of a language model is 1 at least, not {order}")
    counts = _count_ngrams(sentences, inventory, order, weights)
    seen, different = defaultdict(float), Counter()  # c(h) and t(h)
    for ngram, count in counts.items():
        seen[ngram[:-1]] += count
        different[ngram[:-1]] += 1

    probs = {}
    for token in range(len(inventory)):
        counts.setdefault((token,), 0.0)
    for ngram in sorted(counts, key=len):
        context = ngram[:-1]
        shorter = probs[ngram[1:]] if context else 1 / len(inventory)
        probs[ngram] = ((counts[ngram] + different[context] * shorter)
                        / (seen[context] + different[context]))
    backoffs = {context: math.log(different[context] / (seen[context] + different[context]))
                for context in seen}
    ngrams = {(BEGIN,): Weights(NEVER, backoffs.get((BEGIN,), 0.0))}
    return LanguageModel(inventory, ngrams | {
        ngram: Weights(math.log(prob), backoffs.get(ngram, 0.0)) for ngram, prob in probs.items()})


def _count_ngrams(
    sentences: Iterable[Sequence[str]], inventory: Inventory, order: int,
    weights: Iterable[float] | None,
) -> dict[Ngram, float]:
    """Every sequence of up to `order` tokens; none ends with `<s>`."""
    counts = defaultdict(float)
    sentences = list(sentences)
    weights = [1.0] * len(sentences) if weights is None else list(weights)
    for number, (syllables, weight) in enumerate(zip(sentences, weights, strict=True), start=1):
        _check_sentence(number, syllables, weight)
        tokens = (BEGIN, *inventory.encode(syllables), END)
        for end in range(2, len(tokens) + 1):
            for start in range(max(0, end - order), end):
                counts[tokens[start:end]] += weight
    if not counts:
        raise ValueError("a language model needs at least one sentence")
    return counts


def _check_sentence(number: int, syllables: Sequence[str], weight: float) -> None:
    wrong = [syllable for syllable in syllables if not is_syllable(syllable)]
    if wrong:
        raise ValueError(f"sentence {number}: {wrong[0]!r} is not a toned pinyin syllable")
    if not 0 < weight < math.inf:
        raise ValueError(f"sentence {number}: a weight is more than 0, not {weight}")
