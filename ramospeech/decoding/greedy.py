"""Greedy decoding: the best class of every frame.

The rule that turns a path into tokens depends on the loss: `greedy_decoder(model.loss)`.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ramospeech.decoding.hypothesis import Decode, Hypothesis
from ramospeech.language.vocabulary import BLANK

__all__ = ["DECODERS", "ace_decode", "collapse_path", "greedy_decode", "greedy_decoder"]


def greedy_decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[Hypothesis]:
    """Take the best class of every frame, merge repeats, then drop blanks; for CTC.

    `log_probs` is `(batch, T, classes)`, `lengths` `(batch,)`. The score is that of the best path,
    a lower bound of the labelling's score.
    """
    return [collapse_path(path, score) for path, score in _best_paths(log_probs, lengths)]


def ace_decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[Hypothesis]:
    """Take the best class of every frame and drop blanks; a repeated class is two tokens.

    For models trained with ACE, which counts frames. Arguments and score as in `greedy_decode`.
    """
    return [
        Hypothesis([token for token in path if token != BLANK], score,
                   [timestep for timestep, token in enumerate(path) if token != BLANK])
        for path, score in _best_paths(log_probs, lengths)
    ]


DECODERS = {"ctc": greedy_decode, "ace": ace_decode, "ctc+ace": greedy_decode}


def _best_paths(log_probs: Tensor, lengths: Tensor | None) -> Iterator[tuple[list[int], float]]:
    """Yield the best class of every frame of an utterance, and the sum of their log-probabilities."""
    if lengths is None:
        lengths = torch.full((len(log_probs),), log_probs.shape[1])
    scores, classes = log_probs.max(dim=-1)  # (batch, T) both
    for path, score, length in zip(classes.cpu(), scores.cpu(), lengths.tolist()):
        yield path[:length].tolist(), float(score[:length].sum())


def greedy_decoder(loss: str = "ctc") -> Decode:
    """Return the greedy decoder for models trained with `loss`; it returns lists of one hypothesis."""
    best = DECODERS[loss]

    def decode(log_probs: Tensor, lengths: Tensor | None = None) -> list[list[Hypothesis]]:
        return [[item] for item in best(log_probs, lengths)]

    return decode


def collapse_path(path: Sequence[int], score: float) -> Hypothesis:
    """Merge repeats in a path, then drop blanks."""
    tokens, timesteps, previous = [], [], BLANK
    for timestep, token in enumerate(path):
        if token not in (BLANK, previous):
            tokens.append(token)
            timesteps.append(timestep)
        previous = token
    return Hypothesis(tokens, score, timesteps)
