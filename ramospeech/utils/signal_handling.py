"""SIGTERM and Ctrl-C as a request: the training saves where it stands, and ends."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

SECONDS_TO_LIVE = 5
STANDARD_ERROR = 2  # its number as a file

Handler = Callable[[int, FrameType | None], object] | int | None  # as `signal` gives and takes it


class StopRequest:
    """Inside `with`, the first SIGTERM or Ctrl-C only sets `asked`; the next acts as ever.

    But `horovodrun` passes on what may have reached the process already: with `patience` a signal
    within so many seconds of the first is the same one. Only the main thread of a process can hold
    a request.
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
        # Not by print, which may be at work on this very stream.
        os.write(STANDARD_ERROR, b"\nstopping after this step; once more stops at once\n")


def leave_stopping_to_the_parent(_worker: int = 0) -> None:
    """For a process that loads data: Ctrl-C and SIGTERM often reach a whole group of processes.

    Ctrl-C it ignores. SIGTERM gives the parent time for its last step; then it ends without a word.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(SECONDS_TO_LIVE))
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
