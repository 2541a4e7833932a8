"""The output classes of the model: 1,213 toned syllables, `<PAD>` (also the CTC blank) and `<UNK>`."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ramospeech.config.paths import DATA_CONFIG

__all__ = ["BLANK", "PAD", "UNK", "Vocabulary"]

PAD = "<PAD>"  # class 0
BLANK = 0  # the class that CTC adds; padding never reaches CTC, so PAD and blank share class 0
UNK = "<UNK>"  # class 1; an out-of-vocabulary syllable


@dataclass(frozen=True)
class Vocabulary:
    """The output classes of the model: `symbols[i]` is the symbol of class i."""

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.symbols[:2] != (PAD, UNK):
            raise ValueError(f"a vocabulary begins with {PAD} and {UNK}, not {self.symbols[:2]}")
        if len(set(self.symbols)) != len(self.symbols):
            raise ValueError("a vocabulary holds each syllable once")

    @classmethod
    def read(cls, path: Path = DATA_CONFIG / "syllables.txt") -> "Vocabulary":
        """Read one symbol per line; the line number, from zero, is the class."""
        return cls(tuple(path.read_text(encoding="utf-8").split()))

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, syllable: str) -> bool:
        return syllable in self._classes

    @cached_property
    def _classes(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    def encode(self, syllables: Iterable[str]) -> list[int]:
        """Convert syllables to classes; out-of-vocabulary syllables become `<UNK>`."""
        unknown = self._classes[UNK]
        return [self._classes.get(syllable, unknown) for syllable in syllables]

    def decode(self, classes: Iterable[int]) -> list[str]:
        """Convert classes to syllables."""
        return [self.symbols[number] for number in classes]
