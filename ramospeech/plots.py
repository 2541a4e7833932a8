"""The pictures of the notebooks. Every function draws into the axes that it is given.

Labels are pinyin, never hanzi: matplotlib's own fonts have no Chinese characters.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from ramospeech.audio import SAMPLE_RATE
from ramospeech.features import HOP_SAMPLES
from ramospeech.pinyin import Inventory

FRAME_SECONDS = HOP_SAMPLES / SAMPLE_RATE
BIN_HERTZ = 40  # from one bin of the spectrogram to the next
PITCH_RANGE = (60, 500)  # hertz; human voices, low to high


def draw_waveform(axes: Axes, waveform: Tensor, rate: int = SAMPLE_RATE) -> None:
    """Air pressure over time; `waveform` is `(samples,)`."""
    axes.plot(np.arange(len(waveform)) / rate, waveform.numpy(), linewidth=0.5)
    axes.set(xlabel="seconds", ylabel="amplitude", xlim=(0, len(waveform) / rate))


def draw_spectrogram(axes: Axes, features: Tensor) -> None:
    """Which frequencies sound when; `features` is `(frames, bins)` of a linear spectrogram."""
    frames, bins = features.shape
    extent = (0, frames * FRAME_SECONDS, 0, bins * BIN_HERTZ / 1000)
    axes.imshow(features.numpy().T, origin="lower", aspect="auto", extent=extent, cmap="magma")
    axes.set(xlabel="seconds", ylabel="kHz")


def draw_alignment(axes: Axes, syllables: Sequence[str], seconds: Sequence[float]) -> None:
    """Mark over a spectrogram when each syllable was recognised."""
    top = axes.get_ylim()[1]
    for syllable, second in zip(syllables, seconds):
        axes.axvline(second, color="white", linewidth=1, linestyle="--")
        axes.text(second, top, f" {syllable}", color="white", va="top", fontsize=11)


def draw_posteriors(
    axes: Axes, log_probs: Tensor, inventory: Inventory, frame_seconds: float
) -> None:
    """The probability of each class over time, the blank in grey; `log_probs` is `(T, classes)`.

    Only classes that are the most probable at some frame are drawn and named.
    """
    probabilities = log_probs.exp().numpy()
    seconds = np.arange(len(probabilities)) * frame_seconds
    axes.plot(seconds, probabilities[:, 0], color="grey", linewidth=1, label="blank")
    for token in dict.fromkeys(probabilities.argmax(axis=1).tolist()):
        if token != 0:
            axes.plot(seconds, probabilities[:, token], label=inventory.symbols[token])
    axes.set(xlabel="seconds", ylabel="probability", ylim=(0, 1.05))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
