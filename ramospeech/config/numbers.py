"""Numbers in a range, as argparse reads them: each raises ArgumentTypeError for other text."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

__all__ = [
    "above_zero", "from_zero", "in_minutes", "port_number", "positive", "share_of_one", "whole_number",
]


def positive(text: str) -> int:
    return _whole(text, 1, math.inf, "a whole number above 0")


def whole_number(text: str) -> int:
    return _whole(text, 0, math.inf, "a whole number from 0")


def port_number(text: str) -> int:
    return _whole(text, 1, 65_535, "a port from 1 to 65535")


def share_of_one(text: str) -> float:
    return _number(text, lambda number: 0 <= number <= 1, "a number from 0 to 1")


def above_zero(text: str) -> float:
    return _number(text, lambda number: 0 < number < math.inf, "a number above 0")


def from_zero(text: str) -> float:
    return _number(text, lambda number: 0 <= number < math.inf, "a number from 0")


def in_minutes(text: str) -> float:
    return _number(text, lambda number: number >= 0, "a number of minutes")


def _whole(text: str, lowest: int, highest: float, what: str) -> int:
    if not text.isdecimal() or not lowest <= int(text) <= highest:
        raise ArgumentTypeError(f"{text!r} is not {what}")
    return int(text)


def _number(text: str, is_valid: Callable[[float], bool], what: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not is_valid(number):
        raise ArgumentTypeError(f"{text!r} is not {what}")
    return number
