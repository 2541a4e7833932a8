"""The learning rate: linear warm-up to a peak, then half a cosine down to zero."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ramospeech.config.settings import Settings

__all__ = ["jump_to", "peak_learning_rate", "warmup_cosine"]


def peak_learning_rate(settings: Settings, processes: int = 1) -> float:
    """The peak grows with the number of processes, because the global batch does.

    By default with its square root, which suits Adam (Malladi et al., NeurIPS 2022).
    """
    return settings.learning_rate * processes ** settings.rate_scaling


def warmup_cosine(step: int, total_steps: int, warmup: float) -> float:
    """The learning rate at a step, relative to its peak; `warmup` is the part of all steps it rises."""
    rising = max(1, round(warmup * total_steps))
    if step < rising:
        return (step + 1) / rising
    falling = max(1, total_steps - rising)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / falling)))


def jump_to(step: int, schedule: LambdaLR, optimizer: Optimizer, peak: float, weight_decay: float) -> None:
    """Continue at `step` with this peak and decay, whatever a loaded optimizer state holds."""
    schedule.base_lrs, schedule.last_epoch = [peak], step
    for group in optimizer.param_groups:
        group["initial_lr"] = peak
        group["lr"] = peak * schedule.lr_lambdas[0](step)
        group["weight_decay"] = weight_decay
