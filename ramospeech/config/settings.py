"""What one can choose: the size of the model, its loss, and how a training run goes."""

from dataclasses import dataclass
from typing import TypedDict


class Design(TypedDict, total=False):
    """Arguments of AcousticModel; what is left out is as in the model of 2019."""

    channels: tuple[int, int, int, int]
    rnn_layers: int
    dropout: float
    conv_dropout: float


# The model of 2019, and a small one of the same design.
PRESETS: dict[str, Design] = {
    "full": {},
    "lesson": {"channels": (8, 16, 32, 32), "rnn_layers": 2, "dropout": 0.2, "conv_dropout": 0.0},
}

LOSSES = ("ctc", "ace", "ctc+ace")


@dataclass(frozen=True)
class Settings:
    """All that decides how a training run goes; a checkpoint keeps it."""

    preset: str = "lesson"
    recurrent: bool = True  # or convolutions alone
    subsampling: int = 1  # how many neighbouring frames become one output frame
    loss: str = "ctc"  # or ace, or ctc+ace
    ace_weight: float = 1.0  # of ACE in ctc+ace, that of CTC being 1
    uniform_segmentation: float = 0.0  # the part of all steps in which ACE counts over short pieces
    entropy_weight: float = 0.0  # the weight of the frames' entropy at the end; it rises from 0
    epochs: int = 10
    batch_size: int = 8  # of each process
    learning_rate: float = 2e-3  # at its highest, for one process
    rate_scaling: float = 0.5  # for n processes it is n to this power times as high
    warmup: float = 0.15  # the part of all steps in which the learning rate rises
    weight_decay: float = 1e-2
    clip_norm: float = 5.0  # a longer gradient is shortened to this
    augment: bool = True
    voice_augmentation: float = 0.0  # the part of all utterances that other speakers say, in other rooms
    gradient_sharing: float = 1.0  # how much a syllable learns from those that share a part with it
    ema_decay: float = 0.0  # what a running mean of the weights keeps of itself at a step
    seed: int = 2019
    precision: str = "float32"  # or bfloat16
    sync_norm: bool = False  # batch normalisation by what all processes see
    compression: bool = False  # gradients travel in half precision
