"""Work that does not fit into memory: half by half, down to one item."""

import sys
from collections.abc import Callable
from ctypes import CDLL
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

# PyTorch has a class of errors for the memory of a GPU; others are known by what they say.
OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "ALLOC_FAILED", "bad allocation", "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, that of a GPU or the machine's."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(said in str(error) for said in OUT_OF_MEMORY)
    )


def give_back() -> None:
    """Called when an error is gone, and only then are the tensors free that it held on to."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tidy() -> None:
    """Let glibc give back what it holds in store; other C libraries do by themselves.

    Tensors of ever new sizes leave gaps in the store, which grows: without this, hours of sound
    filled 2 GB in the end.
    """
    trim = getattr(CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def in_halves(
    items: list[Item], work: Callable[[list[Item]], list[Result]], refuse: Callable[[Item], Result]
) -> list[Result]:
    """The results of `work(items)`, half by half where memory does not suffice for all at once.

    For what needs no gradients. An item that does not fit even alone has the result `refuse(item)`.
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
