"""What the flags of several commands share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.data.corpora import ALL, CORPORA as ALL_CORPORA

__all__ = [
    "CORPORA", "Commands", "Run", "add_model_flags", "command", "device_name", "refuse_flags",
]

CORPORA = (f"the corpus: {', '.join(ALL_CORPORA)}; several joined by +; or {ALL}: the "
           "prepared ones of human speech")

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]  # runs a command and returns the exit status


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, except None and False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_shown = action.default is not None and action.default is not False
        return super()._get_help_string(action) if is_shown else action.help


def command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """Add the command `name`, which `run(options)` runs, and return its parser."""
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".",
        formatter_class=_Help,
    )
    parser.set_defaults(run=run)
    return parser


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of every command that runs a model."""
    parser.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: a GPU if there is one")


def refuse_flags(flags: dict[str, Any], condition: str) -> None:
    """Raise ValueError if one of `flags`, by name, was given without its `condition`."""
    given = [name for name, value in flags.items() if value is not None]
    if given:
        raise ValueError(f"{' and '.join(given)} can only be used with {condition}")


def device_name(name: str | None, number: int = 0) -> str:
    """Return PyTorch's name of a device; by default a GPU if there is one. Raises ValueError."""
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no GPU here (see `make check-env`)")
    return f"cuda:{number}" if name == "cuda" and number else name
