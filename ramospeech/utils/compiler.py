"""Python compiled by numba, and kept for the next start."""

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> "Dispatcher[Function]":
    """Compile a function at its first call, for one thread, without holding up the others.

    The machine code is kept in `__pycache__` beside the file, or in the user's folder for caches
    where that may not be written to; where neither may, each process compiles anew. So it does
    where what was kept is damaged, and keeps the new code.
    """
    dispatcher = njit(nogil=True)(function)
    with suppress(RuntimeError):  # numba found nowhere to keep it
        dispatcher._cache = _MendingCache(function)  # type: ignore[attr-defined]  # unknown to its types
    return dispatcher


def inlined(function: Function) -> "Dispatcher[Function]":
    """For a small function called most often: its lines are compiled where it is called."""
    return njit(nogil=True, inline="always")(function)


class _WithChecksum(CompileResultCacheImpl):
    """Machine code as numba keeps it, with a checksum: damaged code would end the process."""

    def reduce(self, data: Any) -> tuple[bytes, bytes]:
        code = dumps(super().reduce(data))
        return hashlib.sha256(code).digest(), code

    def rebuild(self, target_context: Any, reduced_data: tuple[bytes, bytes]) -> Any:
        checksum, code = reduced_data
        if hashlib.sha256(code).digest() != checksum:
            raise ValueError("the code is not what was kept")
        return super().rebuild(target_context, pickle.loads(code))  # noqa: S301 as numba loads all of it


class _MendingCache(FunctionCache):
    """Numba's cache, which alone raises an error for a file that a power cut or a full disk left.

    It is numba's own class with `load_overload` and `save_overload`, which a dispatcher calls.
    """

    _impl_class = _WithChecksum

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 a damaged pickle raises whatever its bytes happen to say
            with suppress(OSError):
                self.flush()
            return None  # then numba compiles

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, pickle.PickleError, EOFError):  # this process has the code all the same
            super().save_overload(sig, data)
