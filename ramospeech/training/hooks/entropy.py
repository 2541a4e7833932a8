"""Entropy regularisation: frames learn to decide on one class.

ACE rates a syllable that fills one frame no higher than one that is spread thinly over four, from
which nothing can be decoded.
"""

from torch import Tensor

from ramospeech.losses.ace import mean_entropy
from ramospeech.training.hooks.base import Hook, LossInput

__all__ = ["EntropyRegularisation"]


class EntropyRegularisation(Hook):
    """Add the mean entropy of the frames; its weight rises from 0 to `weight` over the training."""

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def after_loss(self, loss: Tensor, batch: LossInput, progress: float) -> Tensor:
        return loss + self.weight * progress * mean_entropy(*batch[:2])
