"""The settings of a training run: the model, its loss, and how it is trained."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

from ramospeech.config.numbers import above_zero, from_zero, positive, share_of_one, whole_number

__all__ = ["LOSSES", "PRESETS", "Design", "Settings"]


class Design(TypedDict, total=False):
    """Arguments of AcousticModel; the defaults are those of the model of 2019."""

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


def option(default: Any, text: str, **argument: Any) -> Any:
    """Return a field that `ramospeech train` has as a flag: help text, and argparse's arguments."""
    return field(default=default, metadata={"help": text, **argument})


@dataclass(frozen=True)
class Settings:
    """Everything that determines a training run, except its data; saved in checkpoints."""

    preset: str = option("lesson", "the size of the model", choices=list(PRESETS))
    recurrent: bool = option(True, "with the LSTM, or convolutions only")
    subsampling: int = option(1, "how many neighbouring frames become one output frame; for ace, such as 2",
                              type=positive)
    loss: str = option("ctc", "the loss function; ace alone ignores the order of syllables: use it with "
                       "--no-recurrent", choices=LOSSES)
    ace_weight: float = option(1.0, "the weight of ace in ctc+ace; ctc has the weight 1", type=above_zero,
                               metavar="LAMBDA")
    uniform_segmentation: float = option(
        0.0, "the part of all steps in which ace counts within uniform segments, such as 0.3",
        type=share_of_one, metavar="SHARE")
    entropy_weight: float = option(
        0.0, "the final weight of the frames' entropy, which rises from 0; for ace, such as 0.5",
        type=from_zero, metavar="WEIGHT")
    epochs: int = option(10, "the total number of passes through the data", type=positive)
    batch_size: int = option(8, "utterances per step and process", type=positive)
    learning_rate: float = option(2e-3, "the peak learning rate, for one process")
    rate_scaling: float = option(
        0.5, "n processes multiply the learning rate by n to this power; 1 suits plain SGD",
        type=share_of_one, metavar="POWER")
    warmup: float = option(0.15, "the part of all steps in which the learning rate rises",
                           type=share_of_one, metavar="SHARE")
    weight_decay: float = option(1e-2, "the weight decay of AdamW", type=from_zero)
    clip_norm: float = option(5.0, "the norm to which gradients are clipped", type=above_zero)
    augment: bool = option(True, "change the speed and mask spectrograms")
    voice_augmentation: float = option(
        0.0, "the part of the utterances that get another voice and room (0.5 if no number is given)",
        type=share_of_one, nargs="?", const=0.5, metavar="SHARE")
    gradient_sharing: float = option(
        1.0, "how strongly syllables share gradients with those that have the same initial, final or "
        "tone; 0: not at all")
    ema_decay: float = option(
        0.0, "evaluate and save an exponential moving average of the weights with this decay per step, "
        "such as 0.999; 0: none", type=share_of_one)
    seed: int = option(2019, "the seed of weights, batches and augmentation", type=whole_number)
    precision: str = option(
        "float32", "of the network (default: bfloat16 on a GPU that supports it, else float32)",
        choices=["float32", "bfloat16"])
    sync_norm: bool = option(
        False, "normalise batches with the statistics of all processes, not of each alone")
    compression: bool = option(False, "send gradients between processes in half precision")
