"""The points of training at which a hook may change something."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ramospeech.data.dataset import Batch
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.dfcnn import AcousticModel

__all__ = ["Backward", "Gradients", "Hook", "LossInput"]

LossInput = tuple[Tensor, Tensor, Tensor, Tensor]  # logits, their lengths, targets, their lengths
Backward = Callable[[Batch, float], float]  # forward and backward of a batch, weighted: its loss


@dataclass
class Gradients:
    """What a batch has added to the model's gradients: its loss, and the utterances that count."""

    loss: float
    count: int
    too_large: list[int] = field(default_factory=list)  # indices of those that do not fit into memory


class Hook:
    """Every method is one point of training; by default none changes anything."""

    def after_build(self, model: AcousticModel, vocabulary: Vocabulary) -> None:
        """The model is new, on its device."""

    def compute_gradients(
        self, model: AcousticModel, batch: Batch, forward_backward: Backward
    ) -> Gradients | None:
        """The forward and backward passes of a batch; None leaves them to another hook."""
        return None

    def before_loss(self, batch: LossInput, progress: float) -> LossInput:
        """What the loss is given; `progress` rises from 0 to 1 over the training."""
        return batch

    def after_loss(self, loss: Tensor, batch: LossInput, progress: float) -> Tensor:
        """The loss to minimise, given the loss of the batch."""
        return loss

    def after_step(self, model: AcousticModel) -> None:
        """The optimizer has changed the weights."""

    def evaluated(self, model: AcousticModel) -> AcousticModel:
        """The model to evaluate and keep."""
        return model

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold, as tensors and plain values."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from a trainer's state, which contains that of this hook if it was active."""
