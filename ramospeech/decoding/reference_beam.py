"""Reference implementations of beam search, over paths and over prefixes.

Short and slow plain Python in float64, to read and to test against: every hypothesis is extended by
every class. For real use, `prefix_beam` computes the same as `plain_prefix_beam_search`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from math import inf
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ramospeech.decoding.greedy import collapse_path
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.language.vocabulary import BLANK

__all__ = [
    "Beam", "Prefix", "PrefixProbs", "beam_search", "extend_beam", "plain_prefix_beam_search",
    "prefix_beams",
]

Prefix = tuple[int, ...]  # classes, without blanks


def beam_search(log_probs: Tensor, beam_width: int = 10, nbest: int = 1) -> list[Hypothesis]:
    """Return the best paths of one utterance, `log_probs` `(T, classes)`, best first.

    A path has a class for every frame. Paths with the same labelling are not merged: the score is
    that of a single path, as in `greedy_decode`.
    """
    paths: list[tuple[float, Prefix]] = [(0.0, ())]
    for frame in log_probs.double().tolist():
        grown = [(score + log_prob, path + (token,))
                 for score, path in paths for token, log_prob in enumerate(frame)]
        paths = sorted(grown, key=_best_first)[:beam_width]
    return [collapse_path(path, score) for score, path in paths[:nbest]]


def _best_first(scored: tuple[float, Prefix]) -> tuple[float, Prefix]:
    """Sort key: higher scores first, then smaller sequences."""
    score, sequence = scored
    return -score, sequence


class PrefixProbs(NamedTuple):
    """The probability of a prefix so far, by what its paths end in; natural logarithms."""

    blank: float = -inf
    token: float = -inf  # the last token of the prefix

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.token))

    def plus(self, blank: float = -inf, token: float = -inf) -> "PrefixProbs":
        """Add the probability of further paths."""
        return PrefixProbs(float(np.logaddexp(self.blank, blank)), float(np.logaddexp(self.token, token)))


Beam = dict[Prefix, PrefixProbs]
PrefixScore = Callable[[Prefix], float]  # added to the score of a prefix


def plain_prefix_beam_search(
    log_probs: Tensor, beam_width: int = 10, nbest: int = 1,
    prefix_score: PrefixScore = lambda prefix: 0.0,
) -> list[tuple[Prefix, float]]:
    """Return the best labellings of one utterance, `log_probs` `(T, classes)`, with scores.

    Prefix beam search (Hannun et al. 2014, arXiv:1408.2873, algorithm 1). The score is the natural
    logarithm of the summed probability of the labelling's paths that stayed in the beam, plus its
    `prefix_score`: that of a language model, for example.
    """
    beam: Beam = {(): PrefixProbs(blank=0.0)}
    for beam in prefix_beams(log_probs, beam_width, prefix_score):
        pass
    ranked = sorted(_scored(beam, prefix_score), key=_best_first)
    return [(prefix, score) for score, prefix in ranked[:nbest]]


def prefix_beams(
    log_probs: Tensor, beam_width: int = 10, prefix_score: PrefixScore = lambda prefix: 0.0
) -> Iterator[Beam]:
    """Yield the beam after each frame of `log_probs` `(T, classes)`, best prefix first."""
    beam: Beam = {(): PrefixProbs(blank=0.0)}
    for frame in log_probs.double().tolist():
        grown = extend_beam(beam, frame)
        ranked = sorted(_scored(grown, prefix_score), key=_best_first)[:beam_width]
        beam = {prefix: grown[prefix] for _, prefix in ranked}
        yield beam


def extend_beam(beam: Beam, frame: list[float]) -> Beam:
    """Return all prefixes after one more frame, `(classes,)`, except impossible ones."""
    grown: defaultdict[Prefix, PrefixProbs] = defaultdict(PrefixProbs)
    for prefix, mass in beam.items():
        for token, log_prob in enumerate(frame):
            longer = prefix + (token,)
            if token == BLANK:
                grown[prefix] = grown[prefix].plus(blank=mass.total + log_prob)
            elif prefix[-1:] == (token,):  # the same syllable continues; after a blank, a second one
                grown[prefix] = grown[prefix].plus(token=mass.token + log_prob)
                grown[longer] = grown[longer].plus(token=mass.blank + log_prob)
            else:
                grown[longer] = grown[longer].plus(token=mass.total + log_prob)
    return {prefix: mass for prefix, mass in grown.items() if mass.total > -inf}


def _scored(beam: Beam, prefix_score: PrefixScore) -> list[tuple[float, Prefix]]:
    return [(mass.total + prefix_score(prefix), prefix) for prefix, mass in beam.items()]
