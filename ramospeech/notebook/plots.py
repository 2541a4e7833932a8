"""The pictures of the notebooks. Every function draws into the axes that it is given.

Labels are pinyin, never hanzi: matplotlib's own fonts have no Chinese characters.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from ramospeech.audio.features import FRAME_SAMPLES, HOP_SAMPLES
from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.audio.pitch import FRAME_SAMPLES as PITCH_FRAME_SAMPLES
from ramospeech.language.vocabulary import Vocabulary

__all__ = [
    "draw_alignment", "draw_counts", "draw_lattice", "draw_pitch", "draw_posteriors", "draw_prefix_tree",
    "draw_spectrogram", "draw_spectrum", "draw_waveform",
]

FRAME_SECONDS = HOP_SAMPLES / SAMPLE_RATE
BIN_HERTZ = 40  # from one bin of the spectrogram to the next


def draw_waveform(axes: Axes, waveform: Tensor, rate: int = SAMPLE_RATE) -> None:
    """Air pressure over time; `waveform` is `(samples,)`."""
    axes.plot(np.arange(len(waveform)) / rate, waveform.numpy(), linewidth=0.5)
    axes.set(xlabel="seconds", ylabel="amplitude", xlim=(0, len(waveform) / rate))


def draw_spectrum(axes: Axes, levels: np.ndarray, label: str | None = None) -> None:
    """How much of each frequency there is in one frame; `levels` is `(bins,)`."""
    axes.plot(np.arange(len(levels)) * BIN_HERTZ / 1000, levels, linewidth=1, label=label)
    axes.set(xlabel="kHz", xlim=(0, len(levels) * BIN_HERTZ / 1000))


def draw_spectrogram(
    axes: Axes, features: Tensor, limits: tuple[float | None, float | None] = (None, None)
) -> None:
    """Which frequencies sound when; `features` is `(frames, bins)` of a linear spectrogram.

    `limits` are the values drawn black and brightest; left out, the smallest and the largest.
    """
    frames, bins = features.shape
    margin = (FRAME_SAMPLES - HOP_SAMPLES) / SAMPLE_RATE / 2  # each frame is drawn at its middle
    end = frames * FRAME_SECONDS + margin
    extent = (margin, end, 0, bins * BIN_HERTZ / 1000)
    axes.imshow(features.numpy().T, origin="lower", aspect="auto", extent=extent, cmap="magma",
                vmin=limits[0], vmax=limits[1])
    axes.set(xlabel="seconds", ylabel="kHz", xlim=(0, end + margin))


def draw_pitch(axes: Axes, pitch: Tensor) -> None:
    """The melody of a voice; `pitch` is `(frames,)` in hertz, NaN where there is no voice."""
    seconds = np.arange(len(pitch)) * FRAME_SECONDS + PITCH_FRAME_SAMPLES / SAMPLE_RATE / 2
    axes.plot(seconds, pitch.numpy(), linewidth=3, marker="o", markersize=3,
              markeredgewidth=0)  # the dots show frames that stand alone
    axes.set(xlabel="seconds", ylabel="pitch in Hz", xlim=(0, len(pitch) * FRAME_SECONDS + 0.04))


def draw_counts(axes: Axes, counts: Mapping[str, int]) -> None:
    """A bar for each name, in the order given; the names must be Latin letters."""
    axes.bar(list(counts), list(counts.values()))
    axes.tick_params(axis="x", rotation=90)
    axes.margins(x=0.01)


def draw_alignment(axes: Axes, syllables: Sequence[str], seconds: Sequence[float]) -> None:
    """Mark over a spectrogram when each syllable was recognised."""
    top = axes.get_ylim()[1]
    for syllable, second in zip(syllables, seconds):
        axes.axvline(second, color="white", linewidth=1, linestyle="--")
        axes.text(second, top, syllable, va="top", fontsize=10, backgroundcolor="white")


def draw_posteriors(
    axes: Axes, log_probs: Tensor, vocabulary: Vocabulary, frame_seconds: float
) -> None:
    """The probability of each class over time, the blank in grey; `log_probs` is `(T, classes)`.

    Only classes that are the most probable at some frame are drawn and named.
    """
    probabilities = log_probs.exp().numpy()
    seconds = (np.arange(len(probabilities)) + 0.5) * frame_seconds  # middles of output frames
    axes.plot(seconds, probabilities[:, 0], color="grey", linewidth=1, label="blank")
    for token in dict.fromkeys(probabilities.argmax(axis=1).tolist()):
        if token != 0:
            axes.plot(seconds, probabilities[:, token], label=vocabulary.symbols[token])
    axes.set(xlabel="seconds", ylabel="probability", ylim=(0, 1.05))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)


Move = tuple[tuple[int, int], tuple[int, int]]  # from a frame and a state to the next frame and its


def draw_lattice(axes: Axes, alpha: np.ndarray, states: Sequence[str]) -> None:
    """CTC's states over time, with the moves that lead from the beginning to the end of a target.

    `alpha` is `(frames, states)`, the summed probability of the beginnings of paths that end in a
    state; `states` are its labels, each between two equal ones: the blank's.
    """
    on_the_way = _moves_to_the_end(alpha > 0, states)
    for (frame, state), (following, onto) in on_the_way:
        axes.annotate("", (following, onto), (frame, state),
                      arrowprops={"arrowstyle": "->", "shrinkA": 16, "shrinkB": 16})
    used = {place for move in on_the_way for place in move}
    for (frame, state), value in np.ndenumerate(alpha):
        colour = "C1" if (frame, state) in used else "lightgrey"
        axes.scatter(frame, state, s=60 + 1800 * value, color=colour, zorder=2)
        if value > 0:
            axes.text(frame, state, f"{value:.3f}", ha="center", va="center", fontsize=8, zorder=3)
    axes.set(xlabel="frame", xticks=range(len(alpha)), xlim=(-0.5, len(alpha) - 0.5))
    axes.set_yticks(range(len(states)), states)
    axes.set_ylim(len(states) - 0.4, -0.6)


def _moves_to_the_end(reached: np.ndarray, states: Sequence[str]) -> list[Move]:
    """Pairs of (frame, state): what a path may do that ends in one of the last two states."""
    frames, count = reached.shape
    good = {(frames - 1, count - 1), (frames - 1, count - 2)}
    moves: list[Move] = []
    for frame in reversed(range(frames - 1)):
        for state, onto in product(np.flatnonzero(reached[frame]).tolist(), range(count)):
            skips = onto == state + 2 and states[onto] not in (states[0], states[state])
            if (onto - state in (0, 1) or skips) and (frame + 1, onto) in good:
                moves.append(((frame, state), (frame + 1, onto)))
        good |= {start for start, _ in moves}
    return moves


def draw_prefix_tree(
    axes: Axes, beams: Sequence[Mapping[tuple[int, ...], float]], names: Sequence[str]
) -> None:
    """The prefixes that a search held, as a tree that grows to the right.

    `beams` are those after each frame so far: prefixes with their probabilities. What the last of
    them no longer holds is grey; `names[token]` is written at the nodes.
    """
    held = {prefix for beam in beams for prefix in beam}
    nodes = sorted({prefix[:length] for prefix in held for length in range(len(prefix) + 1)})
    heights = {prefix: -row for row, prefix in enumerate(nodes)}
    for prefix, height in heights.items():
        alive = prefix in beams[-1]
        if prefix:
            axes.plot([len(prefix) - 1, len(prefix)], [heights[prefix[:-1]], height],
                      color="black" if alive else "lightgrey", linewidth=1, zorder=0)
        name = names[prefix[-1]] if prefix else "(nothing)"
        text = f"{name}\n{beams[-1][prefix]:.3f}" if alive else name
        axes.text(len(prefix), height, text, ha="center", va="center", fontsize=9,
                  color="black" if alive else "grey", backgroundcolor="white")
    axes.set(xlim=(-0.5, 3.5), ylim=(-len(nodes) + 0.3, 0.7))
    axes.axis("off")
