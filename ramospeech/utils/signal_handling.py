"""SIGTERM and Ctrl-C as a request to stop: training saves a checkpoint and exits."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

__all__ = ["StopRequest", "leave_stopping_to_the_parent"]

SECONDS_TO_LIVE = 5
STANDARD_ERROR = 2  # its file descriptor

Handler = Callable[[int, FrameType | None], object] | int | None  # as `signal` gives and takes it


class StopRequest:
    """Inside `with`, the first SIGTERM or Ctrl-C only sets `asked`; the next one acts as usual.

    `horovodrun` forwards signals that the process may have received already: a signal within
    `patience` seconds of the first counts as the same one. Only for the main thread.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self, patience: float = 0.0) -> None:
        self.asked, self.patience = False, patience
        self._asked_at = 0.0
        self._handlers: dict[int, Handler] = {}

    def __enter__(self) -> Self:
        for number in self.SIGNALS:
            self._handlers[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked:
            if time.monotonic() - self._asked_at >= self.patience:
                self.__exit__()
                signal.raise_signal(number)
            return
        self.asked, self._asked_at = True, time.monotonic()
        if not self.patience:
            self.__exit__()
        # Not with print, which the signal may have interrupted.
        os.write(STANDARD_ERROR, b"\nstopping after this step; once more stops at once\n")


def leave_stopping_to_the_parent(_worker: int = 0) -> None:
    """Set up the signals of a data-loading process: they often reach the whole process group.

    It ignores Ctrl-C. After SIGTERM it gives the parent time for its last step, then exits silently.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_LIVE))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
