"""The result type of all decoders."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

__all__ = ["Decode", "Hypothesis"]


class Hypothesis(NamedTuple):
    """A sequence of tokens with its score and times."""

    tokens: list[int]  # classes, without blanks
    score: float  # natural logarithm of its probability, as far as the decoder searched
    timesteps: list[int]  # the output frame at which each token begins


Decode = Callable[[Tensor, Tensor], list[list[Hypothesis]]]  # for each utterance, best first
