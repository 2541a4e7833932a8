"""Gradient sharing: syllables with a common initial, final or tone learn from each other.

Most of the 1,213 toned syllables are rare, but they consist of 65 sub-syllable units: 22 initials
(one of them empty), 38 finals, 5 tones. If the output layer's weight were W = R + A E, with a row
of R for each syllable, a row of E for each unit, and A saying which syllable has which units, then a
step of gradient descent on R and E would move W along (I + A A^T) dL/dW. So the plain layer can
learn in the same way without further parameters: multiply its gradient by I + A A^T. (AdamW rescales
gradients, so its steps differ from those of gradient descent; the direction is what is shared.)
"""

import torch
from torch import Tensor, nn

from ramospeech.language.pinyin import split_syllable
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.hooks.base import Hook

__all__ = ["GradientSharing", "share_gradients", "sub_syllable_units"]


class GradientSharing(Hook):
    """Share the gradients of the output layer across sub-syllable units."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def after_build(self, model: AcousticModel, vocabulary: Vocabulary) -> None:
        share_gradients(model.fc3, vocabulary, self.strength)


def sub_syllable_units(vocabulary: Vocabulary) -> Tensor:
    """`(classes, units)`: 1 if the class has the unit, else 0; special classes have none."""
    numbers: dict[tuple[str, str | int], int] = {}
    members = []
    for row, symbol in enumerate(vocabulary.symbols):
        if symbol not in (PAD, UNK):
            for unit in split_syllable(symbol)._asdict().items():
                members.append((row, numbers.setdefault(unit, len(numbers))))
    units = torch.zeros(len(vocabulary), len(numbers))
    units[tuple(zip(*members))] = 1
    return units


def share_gradients(layer: nn.Linear, vocabulary: Vocabulary, strength: float = 1.0) -> None:
    """Initialise an output layer as a sum over sub-syllable units, and let it keep learning like one.

    From now on every gradient of `layer.weight` is multiplied by I + strength * A A^T. A strength of
    0 leaves the layer unchanged.
    """
    if strength == 0:
        return
    units = sub_syllable_units(vocabulary)
    with torch.no_grad():
        layer.weight.copy_(units @ torch.randn(units.shape[1], layer.in_features) * 0.05)
    shared = strength * units @ units.T  # (classes, classes): the number of common units

    def spread(gradient: Tensor) -> Tensor:
        nonlocal shared
        shared = shared.to(gradient.device)  # moved once
        return gradient + shared @ gradient

    layer.weight.register_hook(spread)
