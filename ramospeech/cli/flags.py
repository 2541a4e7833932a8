"""What the flags of several commands share: their types, and the texts of help."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.data.corpora import ALL, CORPORA as ALL_CORPORA

CORPORA = (f"the corpus: {', '.join(ALL_CORPORA)}; several joined by +; or {ALL}: the real ones that "
           "are prepared")

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]  # what carries a command out; the exit status


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults, but not that what was left out is left out."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = action.default is not None and action.default is not False
        return super()._get_help_string(action) if told else action.help


def command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """A parser of its own for the command `name`, which `run(options)` carries out."""
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
    """As PyTorch calls it. Raises ValueError for a GPU where there is none."""
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no GPU here (see `make check-env`)")
    return f"cuda:{number}" if name == "cuda" and number else name
