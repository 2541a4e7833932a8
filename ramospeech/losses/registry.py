"""Losses by name, as `--loss` chooses them."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ramospeech.losses.ace import ace_loss
from ramospeech.losses.ctc import ctc_loss

__all__ = ["ctc_ace_loss", "loss_function"]


def loss_function(name: str, ace_weight: float = 1.0) -> Callable[..., Tensor]:
    """Return `ctc_loss`, `ace_loss`, or for `ctc+ace` CTC plus `ace_weight` times ACE."""
    functions: dict[str, Callable[..., Tensor]] = {
        "ctc": ctc_loss, "ace": ace_loss, "ctc+ace": partial(ctc_ace_loss, ace_weight=ace_weight)}
    if name not in functions:
        raise ValueError(f"no loss {name!r}; choose {', '.join(functions)}")
    return functions[name]


def ctc_ace_loss(
    logits: Tensor,
    logit_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "mean",
    ace_weight: float = 1.0,
) -> Tensor:
    """CTC plus `ace_weight` times ACE; otherwise as `ctc_loss`."""
    batch = (logits, logit_lengths, targets, target_lengths, reduction)
    return ctc_loss(*batch) + ace_weight * ace_loss(*batch)
