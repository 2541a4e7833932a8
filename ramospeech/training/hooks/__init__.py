"""Research switches: each file changes one thing at named points of a training step."""

from ramospeech.config.settings import Settings
from ramospeech.training.distributed import ProcessGroup
from ramospeech.training.hooks.base import Hook
from ramospeech.training.hooks.ema import ExponentialMovingAverage
from ramospeech.training.hooks.entropy import EntropyRegularisation
from ramospeech.training.hooks.gradient_sharing import GradientSharing
from ramospeech.training.hooks.micro_batches import MicroBatches
from ramospeech.training.hooks.sync_batch_norm import SyncBatchNorm
from ramospeech.training.hooks.uniform_segmentation import UniformSegmentation

__all__ = ["Hook", "hooks_for"]


def hooks_for(settings: Settings, group: ProcessGroup) -> list[Hook]:
    """The hooks that `settings` switch on, in the order in which a trainer calls them."""
    chosen: list[tuple[bool | float, Hook]] = [
        (settings.gradient_sharing, GradientSharing(settings.gradient_sharing)),
        (settings.uniform_segmentation, UniformSegmentation(settings.uniform_segmentation)),
        (settings.entropy_weight, EntropyRegularisation(settings.entropy_weight)),
        (settings.ema_decay, ExponentialMovingAverage(settings.ema_decay)),
        (settings.sync_norm, SyncBatchNorm(group)),
        (True, MicroBatches()),
    ]
    return [hook for switch, hook in chosen if switch]
