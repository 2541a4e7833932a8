"""What every decoder returns."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

__all__ = ["Decode", "Hypothesis"]


class Hypothesis(NamedTuple):
    """What a decoder believes was said."""

    tokens: list[int]  # classes, without blanks
    score: float  # natural logarithm of its probability, as far as the decoder looked
    timesteps: list[int]  # the output frame at which each token begins


Decode = Callable[[Tensor, Tensor], list[list[Hypothesis]]]  # for each utterance, best first
