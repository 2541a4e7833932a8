"""Python compiled by numba, and kept for the next start."""

from collections.abc import Callable

from numba import njit


def compiled(function: Callable) -> Callable:
    """Compile a function at its first call, for one thread, without holding up the others.

    The machine code is kept in `__pycache__` beside the file, or in the user's folder for caches
    where that may not be written to; where neither may, each process compiles anew.
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba found nowhere to keep it
        return njit(nogil=True)(function)


def inlined(function: Callable) -> Callable:
    """For a small function called most often: its lines are compiled where it is called."""
    return njit(nogil=True, inline="always")(function)
