"""What preparing any corpus has in common: what is kept, what is skipped, what splits share.

A recipe knows the layout of its corpus: it finds the copy with `find_copy` and passes each
recording to a `Preparation`, which counts.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ramospeech.data.manifest import Utterance
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.vocabulary import UNK
from ramospeech.utils.errors import RamoSpeechError
from ramospeech.utils.files import read_text, write_atomically

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CorpusError", "Preparation", "file_names", "find_copy", "folder_names", "hash_number",
           "is_junk", "read_transcripts", "split_by_hash", "write_recording"]

JUNK = {"thumbs.db", "desktop.ini", "__macosx", "lost+found"}
_DIGIT = re.compile("[0-9]")


class CorpusError(RamoSpeechError):
    """A corpus that is unknown, not prepared or incomplete; the message says what to do."""


@dataclass
class Preparation:
    """What preparing a corpus found: the lists, and what was skipped for which reason."""

    root: Path
    splits: dict[str, list[Utterance]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    speakers: dict[str, set[str]] = field(default_factory=dict)  # of each split
    examples: dict[str, str] = field(default_factory=dict)  # a file for each reason, if known

    def keep(self, split: str, utterance: Utterance, speaker: str = "") -> None:
        self.splits.setdefault(split, []).append(utterance)
        self.speakers.setdefault(split, set()).update({speaker} - {""})  # empty: unknown

    def skip(self, reason: str, count: int = 1, example: str = "") -> None:
        """Count skipped recordings; `example` is the file name of one of them."""
        if count:
            self.skipped[reason] += count
        if example:
            self.examples.setdefault(reason, example)

    def keep_text(self, split: str, path: str, text: str, speaker: str) -> None:
        """Keep a recording with the pinyin that pypinyin gives its transcript, or skip it.

        A Latin letter becomes `<UNK>`. Transcripts with digits are skipped: 12 may have been read
        `shi2 er4`, `yi1 er4` or `yao1 er4`.
        """
        hanzi = "".join(text.split())
        syllables = hanzi_to_pinyin(hanzi)
        if _DIGIT.search(unicodedata.normalize("NFKC", hanzi)):
            self.skip("digits, which have more than one pronunciation")
        elif not set(syllables) - {UNK}:
            self.skip("no hanzi in the transcript")
        else:
            self.keep(split, Utterance(path, " ".join(syllables), hanzi), speaker)

    def reasons(self) -> list[tuple[int, str]]:
        """How many were skipped and why, the most frequent reason first; with an example if known."""
        return [(count, reason + (f", such as {self.examples[reason]}" if reason in self.examples else ""))
                for reason, count in self.skipped.most_common()]

    def names(self) -> list[str]:
        """The splits, with train, dev and test first."""
        usual = ["train", "dev", "test"]
        return sorted(self.splits, key=lambda name: [*usual, name].index(name))

    def shared(self) -> dict[str, dict[str, int]]:
        """For each pair of splits, how much of the second also occurs in the first."""
        texts = {name: [item.hanzi or item.pinyin for item in self.splits[name]] for name in self.names()}
        sets = {split: set(items) for split, items in texts.items()}
        return {
            f"{second} in {first}": {
                "utterances": sum(text in sets[first] for text in texts[second]),
                "of_utterances": len(texts[second]),
                "speakers": len(self.speakers[first] & self.speakers[second]),
                "of_speakers": len(self.speakers[second]),
            }
            for first, second in combinations(texts, 2)
        }

    def facts(self) -> dict[str, Any]:
        """The counts, as `corpus.json` holds them."""
        return {"root": str(self.root.resolve()),
                "splits": {split: len(self.splits[split]) for split in self.names()},
                "speakers": {split: len(self.speakers[split]) for split in self.names()},
                "shared": self.shared(), "skipped": dict(self.skipped)}

    def summary(self) -> str:
        """Lines that account for every recording, and for what the splits share."""
        kept = [f"  {name:10} {len(self.splits[name]):6} kept{_by(len(self.speakers[name]))}"
                for name in self.names()]
        skipped = [f"  {count:17} skipped: {reason}" for count, reason in self.reasons()]
        return "\n".join([*kept, *skipped, *_overlaps(self.shared())])


def _by(speakers: int) -> str:
    return f", {speakers} speaker{'s' * (speakers > 1)}" if speakers else ""


def _overlaps(shared: dict[str, dict[str, int]]) -> list[str]:
    lines = [
        f"  {pair}: the text of {counts['utterances']} of {counts['of_utterances']}, "
        f"{counts['speakers']} of {counts['of_speakers']} speakers"
        for pair, counts in shared.items() if counts["utterances"] or counts["speakers"]
    ]
    return lines or ["  no two splits share a text or a speaker"] * bool(shared)


def split_by_hash(key: str) -> str:
    """90 % train, 5 % dev, 5 % test, by a hash of the key: a word or speaker is in one split only."""
    percent = hash_number(key) % 100
    return "train" if percent < 90 else "dev" if percent < 95 else "test"


def hash_number(key: str) -> int:
    """A pseudorandom number for the key, the same on every machine."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16)


def file_names(folder: Path) -> list[str]:
    """The files in a folder, without junk, sorted by name."""
    return sorted(entry.name for entry in _entries(folder) if not entry.is_dir())


def folder_names(folder: Path) -> list[str]:
    """The folders in a folder, without junk, sorted by name."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def is_junk(name: str) -> bool:
    """Whether desktops or archivers leave such files: `.DS_Store`, `._A2_0.wav`, `Thumbs.db`."""
    return name.startswith(".") or name.casefold() in JUNK


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not is_junk(entry.name)]


def read_transcripts(path: Path) -> str:
    """Read a corpus's text file. Raises CorpusError, naming file and line, if it is not UTF-8."""
    try:
        return read_text(path)
    except ValueError as error:
        raise CorpusError(str(error)) from None


def find_copy(name: str, root: Path | None, folder: str, parts: Sequence[str]) -> Path:
    """The top folder of a copy of a corpus: `folder` inside `root`, or `root` itself.

    Raises CorpusError if one of `parts` is missing in it.
    """
    if root is None:
        raise CorpusError(f"name the folder of your copy: `ramospeech prepare {name} --root DIR`")
    inside = root.resolve() / folder
    top = inside if inside.is_dir() else root.resolve()
    for part in (".", *parts):
        if not (top / part).exists():
            raise CorpusError(f"{root} is no copy of {name}: {top / part} is missing")
    return top


def write_recording(path: Path, samples: "np.ndarray", sample_rate: int) -> None:
    """Write `(n,)` samples, int16 or float within -1 and 1, as 16-bit WAV or FLAC, by the suffix."""
    import soundfile

    write_atomically(path, lambda draft: soundfile.write(
        draft, samples, sample_rate, subtype="PCM_16", format=path.suffix[1:].upper()))
