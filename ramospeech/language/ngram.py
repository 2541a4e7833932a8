"""Which syllable follows which: an n-gram model with backoff, in a dictionary and in plain arrays.

    model = estimate([["ni3", "hao3"], ["ni3", "men"]], Vocabulary.read(), order=2)
    model.score(Vocabulary.read().encode(["ni3", "hao3"]))

A sentence begins with `<s>` and ends with `</s>`; a syllable outside the vocabulary is `<UNK>`, and so
is one of the vocabulary that the model has no unigram of: as the next token, and in a context.
`smoothing` makes models, `arpa` writes and reads them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ramospeech.language.vocabulary import BLANK, UNK, Vocabulary

__all__ = ["BEGIN", "END", "NEVER", "Arrays", "LanguageModel", "Ngram", "Weights"]

BEGIN = -1  # `<s>`: it is never predicted, so it needs no class
END = BLANK  # `</s>` takes the class that no syllable has
NEVER = -99 * math.log(10)  # what ARPA files say of `<s>`

Ngram = tuple[int, ...]  # classes, BEGIN and END


class Weights(NamedTuple):
    """What the model says of an n-gram; natural logarithms."""

    log_prob: float  # of its last token, given the others
    backoff: float = 0.0  # to be added where a token that was not seen after it follows


class Arrays(NamedTuple):
    """The model as a machine: a state for each context, state 0 for none.

    The arcs of state s, `first[s]` to `first[s + 1]`, are in order of their tokens; state 0 has one
    for every class in `known`. Where a state has no arc for a token, one goes on from the state
    `shorter[s]`, at the cost of `backoff[s]`.
    """

    known: np.ndarray  # (classes,) int64: each class, or that of `<UNK>` where it has no unigram
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

    vocabulary: Vocabulary
    ngrams: dict[Ngram, Weights]
    notes: tuple[str, ...] = ()  # what whoever read it from a file should be told

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
        """A token as the model has it: itself, or `<UNK>` where there is no unigram of it."""
        return token if token == BEGIN or (token,) in self.ngrams else self.unknown

    def log_prob(self, context: Ngram, token: int) -> float:
        """The natural logarithm of the probability that `token` follows `context`."""
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
        """The natural logarithm of the probability of a sentence, or of its beginning."""
        sentence = (BEGIN, *tokens, END)[: None if ended else -1]
        return sum(self.log_prob(sentence[:place], sentence[place])
                   for place in range(1, len(sentence)))

    def word(self, token: int) -> str:
        """A token of an n-gram as ARPA files have it."""
        return {BEGIN: "<s>", END: "</s>"}.get(token) or self.vocabulary.symbols[token]

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
        known = np.array([self.known(token) for token in range(len(self.vocabulary))])
        return Arrays(known, np.searchsorted(origin, np.arange(len(states) + 1)), shorter, backoff,
                      token, log_prob, target, self._state(states, (BEGIN,)),
                      float(log_prob.max() + _largest_gain(shorter, backoff)))

    def _states(self) -> dict[Ngram, int]:
        """The contexts that something is known of, the shorter ones first.

        An n-gram of the highest order is none, whatever backoff a file has of it.
        """
        contexts = {ngram[:-1] for ngram in self.ngrams}
        contexts |= {ngram for ngram, weights in self.ngrams.items()
                     if weights.backoff and len(ngram) < self.order}
        return {context: state
                for state, context in enumerate(sorted(contexts, key=lambda c: (len(c), c)))}

    @staticmethod
    def _state(states: dict[Ngram, int], history: Ngram) -> int:
        """The state of the longest context that ends the history."""
        return next(states[history[start:]] for start in range(len(history) + 1)
                    if history[start:] in states)


def _largest_gain(shorter: np.ndarray, backoff: np.ndarray) -> float:
    """The most that a series of backoffs adds; nothing, in models that were not pruned."""
    gains = np.zeros(len(shorter))
    for state in range(1, len(shorter)):
        gains[state] = max(0.0, backoff[state] + gains[shorter[state]])
    return float(gains.max())
