"""Out-of-memory errors: detect them, and retry with half as many items."""

import sys
from collections.abc import Callable
from ctypes import CDLL
from typing import TypeVar

import torch

__all__ = ["give_back", "in_halves", "is_out_of_memory", "tidy"]

Item = TypeVar("Item")
Result = TypeVar("Result")

# PyTorch has an error class for GPU memory; other errors are recognised by their messages.
OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "ALLOC_FAILED", "bad allocation", "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the memory of a GPU or of the machine was exhausted."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(said in str(error) for said in OUT_OF_MEMORY)
    )


def give_back() -> None:
    """Release cached GPU memory; to be called after the error, which keeps tensors alive, is gone."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tidy() -> None:
    """Make glibc return freed memory to the system; other C libraries do so by themselves.

    Tensors of ever different sizes fragment the heap: without this, hours of audio grew it to 2 GB.
    """
    trim = getattr(CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def in_halves(
    items: list[Item], work: Callable[[list[Item]], list[Result]], refuse: Callable[[Item], Result]
) -> list[Result]:
    """Return the results of `work(items)`; out of memory, retry with each half.

    An item that does not fit even alone has the result `refuse(item)`. Not for work with gradients.
    """
    if not items:
        return []
    try:
        return work(items)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    give_back()
    if len(items) == 1:
        return [refuse(items[0])]
    middle = len(items) // 2
    return in_halves(items[:middle], work, refuse) + in_halves(items[middle:], work, refuse)
