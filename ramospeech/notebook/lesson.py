"""What the notebooks need beside the lesson itself."""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version

from IPython.display import HTML, Audio, Markdown, display
from torch import Tensor

from ramospeech.audio.io import SAMPLE_RATE

__all__ = ["play", "play_all", "show_source", "show_versions"]


def show_source(*objects: Callable[..., object]) -> None:
    """Show the real source of functions and classes of the module, and the file it lives in."""
    for item in objects:
        module = item.__module__.replace(".", "/")
        source = inspect.getsource(item).rstrip()
        display(Markdown(f"`{module}.py`\n```python\n{source}\n```"))


def play(waveform: Tensor, rate: int = SAMPLE_RATE) -> Audio:
    """A player for a waveform `(samples,)`; it sits in the page and needs no network."""
    return Audio(waveform.numpy(), rate=rate)


def play_all(waveforms: Mapping[str, Tensor], rate: int = SAMPLE_RATE) -> HTML:
    """Players side by side, each under its name."""
    players = (
        f"<div>{name}<br>{play(waveform, rate)._repr_html_()}</div>"
        for name, waveform in waveforms.items()
    )
    row = "".join(players).replace("<audio ", '<audio style="width: 12em" ')
    return HTML(f'<div style="display: flex; flex-wrap: wrap; gap: 1em">{row}</div>')


def show_versions(*packages: str) -> None:
    """The installed version of each package, one a line."""
    for package in packages:
        print(f"{package:16} {version(package)}")
