"""From the model's scores to syllables."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import torch
from torch import Tensor

from ramospeech.losses import BLANK


class Hypothesis(NamedTuple):
    """What a decoder believes was said."""

    tokens: list[int]  # classes, without blanks
    score: float  # natural logarithm of its probability, as far as the decoder looked
    timesteps: list[int]  # the output frame at which each token begins


Decode = Callable[[Tensor, Tensor], list[list[Hypothesis]]]  # for each utterance, best first


def greedy_decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[Hypothesis]:
    """The best class of every frame, repeats merged, then blanks dropped.

    `log_probs` is `(batch, T, classes)`, `lengths` `(batch,)`. The score is that of the best path,
    a lower bound of the labelling's.
    """
    if lengths is None:
        lengths = torch.full((len(log_probs),), log_probs.shape[1])
    scores, classes = log_probs.max(dim=-1)  # (batch, T) both
    return [
        _collapse(path[:length].tolist(), float(score[:length].sum()))
        for path, score, length in zip(classes.cpu(), scores.cpu(), lengths.tolist())
    ]


def greedy_lists(log_probs: Tensor, lengths: Tensor | None = None) -> list[list[Hypothesis]]:
    """As `greedy_decode`, in lists of one, as a search gives them."""
    return [[hypothesis] for hypothesis in greedy_decode(log_probs, lengths)]


def _collapse(path: list[int], score: float) -> Hypothesis:
    tokens, timesteps, previous = [], [], BLANK
    for timestep, token in enumerate(path):
        if token not in (BLANK, previous):
            tokens.append(token)
            timesteps.append(timestep)
        previous = token
    return Hypothesis(tokens, score, timesteps)


_SEARCHES = {"beam_search": "ramospeech.beam", "prefix_beam_search": "ramospeech.prefix_beam"}


def __getattr__(name: str):
    """The searches that have files of their own, imported when asked for: a compiler comes with
    them, and greedy decoding need not wait for it.
    """
    if name not in _SEARCHES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_SEARCHES[name]), name)
