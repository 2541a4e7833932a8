"""Beam searches to follow by hand: over paths, and over prefixes.

Plain Python in float64, as short as they can be, and slow: they look at every class for every
hypothesis. `prefix_beam` has the search to use; it gives what `plain_prefix_beam_search` gives.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from math import inf
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ramospeech.decoding.greedy import collapse
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.language.vocabulary import BLANK

__all__ = ["Mass", "beam_search", "grow", "plain_prefix_beam_search", "prefix_beams"]

Prefix = tuple[int, ...]  # classes, without blanks


def beam_search(log_probs: Tensor, beam_width: int = 10, nbest: int = 1) -> list[Hypothesis]:
    """The best paths of one utterance, `log_probs` `(T, classes)`, as hypotheses, best first.

    A path has a class for every frame. Two paths may spell the same, and each is judged alone: the
    score is that of one path, as in `greedy_decode`.
    """
    paths: list[tuple[float, Prefix]] = [(0.0, ())]
    for frame in log_probs.double().tolist():
        grown = [(score + log_prob, path + (token,))
                 for score, path in paths for token, log_prob in enumerate(frame)]
        paths = sorted(grown, key=_best_first)[:beam_width]
    return [collapse(path, score) for score, path in paths[:nbest]]


def _best_first(scored: tuple[float, Prefix]) -> tuple[float, Prefix]:
    """Higher scores before lower ones, then smaller sequences before larger ones."""
    score, sequence = scored
    return -score, sequence


class PrefixProbs(NamedTuple):
    """How probable a prefix is so far, apart by what its paths end in; natural logarithms."""

    blank: float = -inf
    token: float = -inf  # the last token of the prefix

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.token))

    def plus(self, blank: float = -inf, token: float = -inf) -> "PrefixProbs":
        """With the paths that come from elsewhere."""
        return PrefixProbs(float(np.logaddexp(self.blank, blank)), float(np.logaddexp(self.token, token)))


Beam = dict[Prefix, PrefixProbs]
PrefixScore = Callable[[Prefix], float]  # what is added to the score of a prefix


def plain_prefix_beam_search(
    log_probs: Tensor, beam_width: int = 10, nbest: int = 1,
    prefix_score: PrefixScore = lambda prefix: 0.0,
) -> list[tuple[Prefix, float]]:
    """The best labellings of one utterance, `log_probs` `(T, classes)`, each with its score.

    Prefix beam search (Hannun et al. 2014, arXiv:1408.2873, algorithm 1). The score is the natural
    logarithm of the labelling's probability, of those of its paths that stayed in the beam, plus
    what `prefix_score` says of it: of a language model, for example.
    """
    beam: Beam = {(): PrefixProbs(blank=0.0)}
    for beam in prefix_beams(log_probs, beam_width, prefix_score):
        pass
    ranked = sorted(_scored(beam, prefix_score), key=_best_first)
    return [(prefix, score) for score, prefix in ranked[:nbest]]


def prefix_beams(
    log_probs: Tensor, beam_width: int = 10, prefix_score: PrefixScore = lambda prefix: 0.0
) -> Iterator[Beam]:
    """The beam after each frame of `log_probs` `(T, classes)`, best prefix first."""
    beam: Beam = {(): PrefixProbs(blank=0.0)}
    for frame in log_probs.double().tolist():
        grown = extend_beam(beam, frame)
        ranked = sorted(_scored(grown, prefix_score), key=_best_first)[:beam_width]
        beam = {prefix: grown[prefix] for _, prefix in ranked}
        yield beam


def extend_beam(beam: Beam, frame: list[float]) -> Beam:
    """Every prefix that one more frame, `(classes,)`, can lead to; the impossible are left out."""
    grown: defaultdict[Prefix, PrefixProbs] = defaultdict(PrefixProbs)
    for prefix, mass in beam.items():
        for token, log_prob in enumerate(frame):
            longer = prefix + (token,)
            if token == BLANK:
                grown[prefix] = grown[prefix].plus(blank=mass.total + log_prob)
            elif prefix[-1:] == (token,):  # still the same syllable; after a blank, a second one
                grown[prefix] = grown[prefix].plus(token=mass.token + log_prob)
                grown[longer] = grown[longer].plus(token=mass.blank + log_prob)
            else:
                grown[longer] = grown[longer].plus(token=mass.total + log_prob)
    return {prefix: mass for prefix, mass in grown.items() if mass.total > -inf}


def _scored(beam: Beam, prefix_score: PrefixScore) -> list[tuple[float, Prefix]]:
    return [(mass.total + prefix_score(prefix), prefix) for prefix, mass in beam.items()]
