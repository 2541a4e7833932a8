"""What `transcribe` and `speech2text` share: flags, the progress bar, and output line by line."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ramospeech.cli.flags import add_model_flags
from ramospeech.config.numbers import positive
from ramospeech.utils.logs import LOGGER

if TYPE_CHECKING:
    from tqdm import tqdm as Bar

    from ramospeech.recognition.results import Result

__all__ = ["add_recording_flags", "print_error", "print_lines", "printable", "progress_bar"]

RECORDING = "a recording: WAV, FLAC, OGG or MP3, any sample rate, any length"
BAR = "{percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s of audio [{elapsed} < {remaining}]"


def add_recording_flags(parser: argparse.ArgumentParser, nargs: str) -> None:
    parser.add_argument("files", nargs=nargs, metavar="FILE", help=RECORDING)
    add_model_flags(parser)
    parser.add_argument("--batch_size", "--batch-size", type=positive, default=8,
                        help="recordings per batch; a long one counts as several")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def progress_bar(files: Sequence[str | Path]) -> "Bar[Any]":
    """Return a bar of the seconds of audio done; hidden for short work, and without a terminal."""
    from tqdm import tqdm

    from ramospeech.audio.segmentation import LONGEST, stated_seconds

    is_terminal = sys.stderr.isatty()
    total = sum(map(stated_seconds, files)) if is_terminal else 0
    is_long = len(files) > 1 or total > LONGEST
    return tqdm(total=total, bar_format=BAR, disable=not (is_terminal and is_long), leave=False)


def print_lines(lines: Iterable[str]) -> None:
    """Print above the progress bar, and flush: a pipe's reader may be waiting."""
    from tqdm import tqdm

    tqdm.write(printable("\n".join(lines)))
    sys.stdout.flush()


def print_error(result: "Result") -> None:
    if result.error:
        LOGGER.error("%s", result.error)


def printable(text: str) -> str:
    """Escape what is not UTF-8, as JSON can read it: an old file name may be in GBK."""
    return text.encode(errors="backslashreplace").decode()
