"""Manifests: lists of utterances, one per line, `path<TAB>pinyin syllables<TAB>hanzi`.

Paths are relative to a data root, so that a manifest works wherever the recordings are. The hanzi
may be empty (a single syllable has no unique hanzi), the path and the pinyin may not.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ramospeech.language.pinyin import is_syllable
from ramospeech.utils.errors import RamoSpeechError
from ramospeech.utils.files import read_text, write_text

__all__ = ["ManifestError", "Utterance", "parse_line", "read_manifest", "spoken_characters",
           "write_manifest"]

_checked: set[str] = set()  # valid syllables seen so far: few lines contain a new one


class ManifestError(RamoSpeechError):
    """An invalid manifest; the message names file, line and reason."""


class Utterance(NamedTuple):
    """A recording and its transcript."""

    path: str  # relative to the data root, with forward slashes
    pinyin: str  # toned syllables, separated by single spaces
    hanzi: str  # may be empty

    @property
    def syllables(self) -> list[str]:
        return self.pinyin.split(" ")


def spoken_characters(text: str) -> str:
    """The letters and digits of a text, in any script, without punctuation and spaces."""
    return "".join(filter(str.isalnum, text))


def read_manifest(path: Path) -> list[Utterance]:
    """Read a whole manifest. Raises ManifestError at the first invalid line."""
    utterances: list[Utterance] = []
    seen: set[str] = set()
    for number, line in enumerate(_read_lines(path), start=1):
        try:
            utterances.append(parse_line(line))
            _refuse_duplicate(utterances[-1].path, seen)
        except ValueError as error:
            raise ManifestError(f"{path}, line {number}: {error}") from None
    if not utterances:
        raise ManifestError(f"{path}: the manifest is empty")
    return utterances


def _read_lines(path: Path) -> list[str]:
    """Lines without their line ends, which may be those of any platform."""
    try:
        text = read_text(path)
    except ValueError as error:
        raise ManifestError(str(error)) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def _refuse_duplicate(path: str, seen: set[str]) -> None:
    if path in seen:
        raise ValueError(f"the path {path!r} occurs twice")
    seen.add(path)


def parse_line(line: str) -> Utterance:
    """Parse one line, without its line end. Raises ValueError with the reason."""
    fields = line.split("\t")
    if len(fields) != 3:
        raise ValueError(f"expected 3 fields separated by tabs, found {len(fields)}")
    path, pinyin, hanzi = fields
    _check_path(path)
    syllables = pinyin.split()
    if not syllables:
        raise ValueError("no pinyin")
    if not _checked.issuperset(syllables):
        _check_syllables(syllables)
    return Utterance(path, " ".join(syllables), hanzi.strip())


def _check_syllables(syllables: list[str]) -> None:
    for syllable in syllables:
        if not is_syllable(syllable):
            raise ValueError(f"{syllable!r} is not a toned pinyin syllable such as 'hao3'")
    _checked.update(syllables)


def _check_path(path: str) -> None:
    if not path.strip():
        raise ValueError("no path")
    if path.startswith("/") or (".." in path and ".." in path.split("/")):
        raise ValueError(f"the path {path!r} is not inside the data root")
    if "\\" in path or not path.isprintable():
        raise ValueError(f"the path {path!r} contains a backslash or an unprintable character")


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically.

    Raises ValueError for an utterance that `read_manifest` would refuse, and if there is none.
    """
    lines: list[str] = []
    seen: set[str] = set()
    for utterance in utterances:
        line = "\t".join(utterance)
        if "\n" in line or "\r" in line:
            raise ValueError(f"{utterance!r} contains a line break")
        lines.append("\t".join(parse_line(line)) + "\n")
        _refuse_duplicate(utterance.path, seen)
    if not lines:
        raise ValueError("a manifest needs at least one utterance")
    write_text(path, "".join(lines))
