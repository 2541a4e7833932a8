"""An n-gram language model of syllables with backoff, as a dictionary and as arrays.

    model = estimate([["ni3", "hao3"], ["ni3", "men"]], Vocabulary.read(), order=2)
    model.score(Vocabulary.read().encode(["ni3", "hao3"]))

A sentence begins with `<s>` and ends with `</s>`. Out-of-vocabulary syllables are `<UNK>`; so are
those without a unigram in the model, both as the next token and in a context. `ngram_estimation`
estimates models, `arpa` reads and writes them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ramospeech.language.vocabulary import BLANK, UNK, Vocabulary

__all__ = ["BEGIN", "END", "NEVER", "Arrays", "LanguageModel", "Ngram", "Weights"]

BEGIN = -1  # `<s>` is never predicted, so it needs no class
END = BLANK  # `</s>` uses the class that no syllable has
NEVER = -99 * math.log(10)  # the log-probability of `<s>` in ARPA files

Ngram = tuple[int, ...]  # classes, BEGIN and END


class Weights(NamedTuple):
    """The log-probability and backoff weight of an n-gram; natural logarithms."""

    log_prob: float  # of its last token, given the others
    backoff: float = 0.0  # added if the next token was not seen after it


class Arrays(NamedTuple):
    """The model as a finite automaton: a state for each context, state 0 for the empty one.

    The arcs of state s, `first[s]` to `first[s + 1]`, are sorted by token; state 0 has an arc for
    every class in `known`. If a state has no arc for a token, the search backs off to the state
    `shorter[s]` and adds `backoff[s]`.
    """

    known: np.ndarray  # (classes,) int64: each class, or that of `<UNK>` if it has no unigram
    first: np.ndarray  # (states + 1,) int64
    shorter: np.ndarray  # (states,) int64, always less than the state itself
    backoff: np.ndarray  # (states,)
    token: np.ndarray  # (arcs,) int64
    log_prob: np.ndarray  # (arcs,)
    target: np.ndarray  # (arcs,) int64, the state after the token
    start: int  # the state after `<s>`
    highest: float  # the upper bound of all log-probabilities, with backoff


@dataclass(frozen=True)
class LanguageModel:
    """N-grams with backoff (Katz 1987). Raises ValueError if they are inconsistent."""

    vocabulary: Vocabulary
    ngrams: dict[Ngram, Weights]
    notes: tuple[str, ...] = ()  # for the user, about the file it was read from

    def __post_init__(self) -> None:
        for token in (END, self.unknown):
            if (token,) not in self.ngrams:
                raise ValueError(f"the language model has no {self.word(token)}")
        for ngram, weights in self.ngrams.items():
            self._check(ngram, weights)

    def _check(self, ngram: Ngram, weights: Weights) -> None:
        words = " ".join(map(self.word, ngram))
        if BEGIN in ngram[1:] or END in ngram[:-1]:
            raise ValueError(f"{words!r}: <s> comes first, </s> last")
        if len(ngram) > 1 and ngram[:-1] not in self.ngrams:
            raise ValueError(f"{words!r} is there, and what it begins with is not")
        if not (weights.log_prob <= 0 and math.isfinite(weights.log_prob + weights.backoff)):
            raise ValueError(f"{words!r}: no logarithm of a probability: {weights.log_prob}")

    @cached_property
    def order(self) -> int:
        """2 for a bigram model, 3 for a trigram model."""
        return max(map(len, self.ngrams))

    @cached_property
    def unknown(self) -> int:
        """The class of `<UNK>`."""
        return self.vocabulary.encode([UNK])[0]

    def known(self, token: int) -> int:
        """Return the token, or `<UNK>` if it has no unigram."""
        return token if token == BEGIN or (token,) in self.ngrams else self.unknown

    def log_prob(self, context: Ngram, token: int) -> float:
        """Return the natural logarithm of P(token | context)."""
        recent = context[max(0, len(context) - self.order + 1):]
        context, token = tuple(map(self.known, recent)), self.known(token)
        backoff = 0.0
        for start in range(len(context) + 1):
            found = self.ngrams.get((*context[start:], token))
            if found:
                return backoff + found.log_prob
            if context[start:] in self.ngrams:
                backoff += self.ngrams[context[start:]].backoff
        raise KeyError(token)

    def score(self, tokens: Sequence[int], ended: bool = True) -> float:
        """Return the log-probability of a sentence, or if not `ended`, of its beginning."""
        sentence = (BEGIN, *tokens, END)[: None if ended else -1]
        return sum(self.log_prob(sentence[:place], sentence[place])
                   for place in range(1, len(sentence)))

    def word(self, token: int) -> str:
        """Return the spelling of a token in ARPA files."""
        return {BEGIN: "<s>", END: "</s>"}.get(token) or self.vocabulary.symbols[token]

    # Arrays

    @cached_property
    def arrays(self) -> Arrays:
        """The model in the form that the compiled beam search reads."""
        states = self._states()
        arcs = sorted((states[ngram[:-1]], ngram[-1], weights.log_prob, self._state(states, ngram))
                      for ngram, weights in self.ngrams.items() if ngram != (BEGIN,))
        origin, token, log_prob, target = map(np.array, zip(*arcs))
        shorter = np.array([self._state(states, context[1:]) for context in states])
        backoff = np.array([self.ngrams[context].backoff if context else 0.0
                            for context in states])
        known = np.array([self.known(token) for token in range(len(self.vocabulary))])
        return Arrays(known, np.searchsorted(origin, np.arange(len(states) + 1)), shorter, backoff,
                      token, log_prob, target, self._state(states, (BEGIN,)),
                      float(log_prob.max() + _largest_gain(shorter, backoff)))

    def _states(self) -> dict[Ngram, int]:
        """Number the contexts that have followers or a backoff weight, shorter ones first.

        An n-gram of the highest order is never a context, even if a file gives its backoff.
        """
        contexts = {ngram[:-1] for ngram in self.ngrams}
        contexts |= {ngram for ngram, weights in self.ngrams.items()
                     if weights.backoff and len(ngram) < self.order}
        return {context: state
                for state, context in enumerate(sorted(contexts, key=lambda c: (len(c), c)))}

    @staticmethod
    def _state(states: dict[Ngram, int], history: Ngram) -> int:
        """Return the state of the longest context that is a suffix of the history."""
        return next(states[history[start:]] for start in range(len(history) + 1)
                    if history[start:] in states)


def _largest_gain(shorter: np.ndarray, backoff: np.ndarray) -> float:
    """Return the most that successive backoffs can add; 0 for models that were not pruned."""
    gains = np.zeros(len(shorter))
    for state in range(1, len(shorter)):
        gains[state] = max(0.0, backoff[state] + gains[shorter[state]])
    return float(gains.max())
