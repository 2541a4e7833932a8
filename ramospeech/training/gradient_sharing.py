"""Syllables that share an initial, a final or a tone learn from each other.

Of 1,213 toned syllables most are rare, but they are made of 65 parts: 22 initials (one of them is
to have none), 38 finals, 5 tones. Were the output layer's weight W = R + A E, with a row of R for
each syllable, a row of E for each part, and A telling which syllable has which parts, then a step
of gradient descent on R and E would move W along (I + A A^T) dL/dW. So the plain layer can learn
like that one, with no parameter more: multiply its gradient by I + A A^T. (AdamW rescales what it
is given, so its steps are not quite those of gradient descent; the direction is what is shared.)
"""

import torch
from torch import Tensor, nn

from ramospeech.language.pinyin import split_syllable
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary


def shared_parts(vocabulary: Vocabulary) -> Tensor:
    """`(classes, parts)`: 1 where the class has the part, 0 elsewhere; special classes have none."""
    numbers: dict[tuple[str, str | int], int] = {}
    members = []
    for row, symbol in enumerate(vocabulary.symbols):
        if symbol not in (PAD, UNK):
            for part in split_syllable(symbol)._asdict().items():
                members.append((row, numbers.setdefault(part, len(numbers))))
    parts = torch.zeros(len(vocabulary), len(numbers))
    parts[tuple(zip(*members))] = 1
    return parts


def share_between_syllables(layer: nn.Linear, vocabulary: Vocabulary, strength: float = 1.0) -> None:
    """Make an output layer begin as a sum of parts, and go on learning like one.

    Sets the initial weights, and changes each gradient of `layer.weight` to
    (I + strength * A A^T) times itself. A strength of 0 leaves the layer alone.
    """
    if strength == 0:
        return
    parts = shared_parts(vocabulary)
    with torch.no_grad():
        layer.weight.copy_(parts @ torch.randn(parts.shape[1], layer.in_features) * 0.05)
    kinship = strength * parts @ parts.T  # (classes, classes): how many parts two classes share

    def spread(gradient: Tensor) -> Tensor:
        nonlocal kinship
        kinship = kinship.to(gradient.device)  # moved once: the layer stays where it is
        return gradient + kinship @ gradient

    layer.weight.register_hook(spread)
