"""The logger `ramospeech`, and where its messages go if a command runs."""

import logging
import sys

__all__ = ["LOGGER", "log_to_stderr"]

LOGGER = logging.getLogger("ramospeech")
LOGGER.addHandler(logging.NullHandler())  # a program that imports the module decides for itself


class _AboveBars(logging.Handler):
    """Writes to standard error, above any progress bar; `extra={"once": True}`: once per template."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("ramospeech: %(message)s"))
        self.seen: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a message; the values filled into a template do not matter."""
        is_repeated = getattr(record, "once", False) and record.msg in self.seen
        self.seen.add(record.msg)
        return not is_repeated

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm  # here, because `--help` is to answer at once

        tqdm.write(self.format(record), file=sys.stderr)


def log_to_stderr() -> None:
    """Send all messages of the module to standard error, as every command does."""
    LOGGER.handlers = [_AboveBars()]
    LOGGER.setLevel(logging.INFO)
