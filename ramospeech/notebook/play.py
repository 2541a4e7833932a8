"""Audio players, shown in a notebook."""

from collections.abc import Mapping

from IPython.display import HTML, Audio
from torch import Tensor

from ramospeech.audio.io import SAMPLE_RATE

__all__ = ["play", "play_all"]


def play(waveform: Tensor, rate: int = SAMPLE_RATE) -> Audio:
    """Return a player for a waveform `(samples,)`; the sound is embedded in the page."""
    return Audio(waveform.numpy(), rate=rate)


def play_all(waveforms: Mapping[str, Tensor], rate: int = SAMPLE_RATE) -> HTML:
    """Return players side by side, each below its name."""
    players = (
        f"<div>{name}<br>{play(waveform, rate)._repr_html_()}</div>"
        for name, waveform in waveforms.items()
    )
    row = "".join(players).replace("<audio ", '<audio style="width: 12em" ')
    return HTML(f'<div style="display: flex; flex-wrap: wrap; gap: 1em">{row}</div>')
