"""From the model's scores to syllables.

A model is decoded as its loss taught it to write: `best_paths(model.loss)`.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ramospeech.language.vocabulary import BLANK


class Hypothesis(NamedTuple):
    """What a decoder believes was said."""

    tokens: list[int]  # classes, without blanks
    score: float  # natural logarithm of its probability, as far as the decoder looked
    timesteps: list[int]  # the output frame at which each token begins


Decode = Callable[[Tensor, Tensor], list[list[Hypothesis]]]  # for each utterance, best first


def greedy_decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[Hypothesis]:
    """The best class of every frame, repeats merged, then blanks dropped; for CTC.

    `log_probs` is `(batch, T, classes)`, `lengths` `(batch,)`. The score is that of the best path,
    a lower bound of the labelling's.
    """
    return [_collapse(path, score) for path, score in _best_paths(log_probs, lengths)]


def ace_decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[Hypothesis]:
    """The best class of every frame, blanks dropped; the same class twice is two tokens.

    For models trained with ACE, which counts frames. Arguments and score as for `greedy_decode`.
    """
    return [
        Hypothesis([token for token in path if token != BLANK], score,
                   [timestep for timestep, token in enumerate(path) if token != BLANK])
        for path, score in _best_paths(log_probs, lengths)
    ]


DECODERS = {"ctc": greedy_decode, "ace": ace_decode, "ctc+ace": greedy_decode}


def _best_paths(log_probs: Tensor, lengths: Tensor | None) -> Iterator[tuple[list[int], float]]:
    """The best class of each of an utterance's frames, and the sum of their log-probabilities."""
    if lengths is None:
        lengths = torch.full((len(log_probs),), log_probs.shape[1])
    scores, classes = log_probs.max(dim=-1)  # (batch, T) both
    for path, score, length in zip(classes.cpu(), scores.cpu(), lengths.tolist()):
        yield path[:length].tolist(), float(score[:length].sum())


def best_paths(loss: str = "ctc") -> Decode:
    """The decoder of models trained with a loss, of the best path alone, in lists of one."""
    best = DECODERS[loss]

    def decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[list[Hypothesis]]:
        return [[item] for item in best(log_probs, lengths)]

    return decode


def _collapse(path: Sequence[int], score: float) -> Hypothesis:
    tokens, timesteps, previous = [], [], BLANK
    for timestep, token in enumerate(path):
        if token not in (BLANK, previous):
            tokens.append(token)
            timesteps.append(timestep)
        previous = token
    return Hypothesis(tokens, score, timesteps)


_SEARCHES = {"beam_search": "ramospeech.decoding.reference_beam",
             "prefix_beam_search": "ramospeech.decoding.prefix_beam"}


def __getattr__(name: str) -> Callable[..., Any]:
    """The searches that have files of their own, imported when asked for: a compiler comes with
    them, and greedy decoding need not wait for it.
    """
    if name not in _SEARCHES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SEARCHES[name]), name)
