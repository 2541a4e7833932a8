"""Python functions compiled by numba, with a cache that survives damage."""

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

__all__ = ["compiled", "inlined"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> "Dispatcher[Function]":
    """Compile a function at its first call; it runs without Python's global lock.

    The machine code is cached in `__pycache__` beside the file, or in the user's cache folder if that
    is not writable. Without a writable folder, each process compiles. A damaged cache is replaced.
    """
    dispatcher = njit(nogil=True)(function)
    with suppress(RuntimeError):  # numba found no writable folder
        dispatcher._cache = _MendingCache(function)  # type: ignore[attr-defined]  # unknown to its types
    return dispatcher


def inlined(function: Function) -> "Dispatcher[Function]":
    """Compile a small function into its callers."""
    return njit(nogil=True, inline="always")(function)


class _WithChecksum(CompileResultCacheImpl):
    """Numba's machine code with a checksum: damaged code would crash the process."""

    def reduce(self, data: Any) -> tuple[bytes, bytes]:
        code = dumps(super().reduce(data))
        return hashlib.sha256(code).digest(), code

    def rebuild(self, target_context: Any, reduced_data: tuple[bytes, bytes]) -> Any:
        checksum, code = reduced_data
        if hashlib.sha256(code).digest() != checksum:
            raise ValueError("the checksum does not match")
        return super().rebuild(target_context, pickle.loads(code))  # noqa: S301 as numba loads all of it


class _MendingCache(FunctionCache):
    """Numba's cache, but tolerant of files damaged by a power cut or a full disk.

    A dispatcher calls `load_overload` and `save_overload`.
    """

    _impl_class = _WithChecksum

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 a damaged pickle may raise anything
            with suppress(OSError):
                self.flush()
            return None  # then numba compiles

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, pickle.PickleError, EOFError):  # this process has the code anyway
            super().save_overload(sig, data)
