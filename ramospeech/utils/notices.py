"""What is worth saying to whoever runs a command, once, however many files it is true of."""

import logging
import sys

LOGGER = logging.getLogger("ramospeech")
LOGGER.addHandler(logging.NullHandler())  # who uses the module decides what becomes of its notices


class _Once(logging.Filter):
    """Lets the first notice of each kind through."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether no notice with other values was seen before."""
        is_new = record.msg not in self.seen
        self.seen.add(record.msg)
        return is_new


def print_notices() -> None:
    """From now on, the first notice of each kind goes to standard error: for a command to call."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("ramospeech: %(message)s"))
    handler.addFilter(_Once())
    LOGGER.handlers = [handler]
