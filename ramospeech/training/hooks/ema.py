"""An exponential moving average (EMA) of the weights, which is evaluated and kept in their place."""

from typing import Any, cast

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.hooks.base import Hook

__all__ = ["ExponentialMovingAverage"]


class ExponentialMovingAverage(Hook):
    """At each step the average keeps `decay` of itself and takes the rest from the model."""

    average: AveragedModel

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def after_build(self, model: AcousticModel, vocabulary: Vocabulary) -> None:
        self.average = AveragedModel(
            model, multi_avg_fn=get_ema_multi_avg_fn(self.decay), use_buffers=True)

    def after_step(self, model: AcousticModel) -> None:
        self.average.update_parameters(model)

    def evaluated(self, model: AcousticModel) -> AcousticModel:
        # AveragedModel does not declare that its module is a copy of the model.
        return cast(AcousticModel, self.average.module)

    def state(self) -> dict[str, Any]:
        return {"ema": self.average.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """A run that had no average so far starts one from its weights."""
        if "ema" in state:
            self.average.load_state_dict(state["ema"])
        else:
            self.average.module.load_state_dict(state["model"])
