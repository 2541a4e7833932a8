"""The flags of `ramospeech train` that set a field of `Settings`, generated from its fields."""

import argparse
from argparse import BooleanOptionalAction, Namespace
from dataclasses import Field, fields
from typing import Any

from ramospeech.config.settings import Settings

__all__ = ["add_setting_flags", "given_settings"]


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field, in both spellings: --ema_decay, --ema-decay."""
    group = parser.add_argument_group(
        "settings", "saved in the checkpoint; a resumed run keeps those that are not given")
    for item in fields(Settings):
        hyphens = item.name.replace("_", "-")
        spellings = dict.fromkeys([f"--{item.name}", f"--{hyphens}"])
        group.add_argument(*spellings, dest=item.name, default=None, **_argument(item))


def _argument(item: "Field[Any]") -> dict[str, Any]:
    """Return the arguments of `add_argument` for a field; its type is that of the default."""
    argument = dict(item.metadata)
    is_switch = isinstance(item.default, bool)
    default = ("yes" if item.default else "no") if is_switch else item.default
    if "(default: " not in argument["help"]:
        argument["help"] += f" (default: {default})"
    kind = {"action": BooleanOptionalAction} if is_switch else {"type": type(item.default)}
    return kind | argument


def given_settings(options: Namespace) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    given = {item.name: getattr(options, item.name) for item in fields(Settings)}
    return {name: value for name, value in given.items() if value is not None}
