"""Lines of pinyin into lines of hanzi.

    converter = Converter.load()
    converter.convert("shang4 hai3 zhi2 wu4 yuan2")   # 上海植物园

An item that no hanzi is read as passes through as it stands: letters, digits, signs, `<UNK>`,
syllables that do not exist; so does one with a capital letter. No word reaches across it. Several
of them in a row keep a space between them: `wo3 ai4 NBA 2 K` gives 我爱NBA 2 K.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nlargest
from itertools import groupby
from math import exp
from operator import add
from typing import BinaryIO, NamedTuple

from ramospeech.pinyin import respell
from ramospeech.word_lattice import Lattice, given
from ramospeech.word_model import WordModel

LONGEST_RUN = 200  # syllables that are read as one; longer runs are cut, so that memory is bounded


class Candidate(NamedTuple):
    """A way to write a line, and its probability among all ways."""

    hanzi: str
    score: float  # of its best path
    log_prob: float

    @property
    def probability(self) -> float:
        return exp(self.log_prob)


@dataclass(frozen=True)
class Converter:
    """Writes syllables in hanzi."""

    model: WordModel

    @classmethod
    def load(cls) -> "Converter":
        """With the tables that come with the package; half a second."""
        return cls(WordModel.load())

    def convert(self, line: str) -> str:
        """The most probable hanzi of a line of syllables."""
        return self.candidates(line)[0].hanzi

    def candidates(self, line: str, count: int = 1) -> list[Candidate]:
        """The `count` best ways to write a line, or as many as there are, with probabilities.

        In the order of their best paths, so that the first is the same for every `count`; of two
        that are close the second may have more paths, and the greater probability. Each run of
        syllables has its own ways; their probabilities are multiplied.
        """
        best = [Candidate("", 0.0, 0.0)]
        for piece in self._pieces(line.split()):
            ways = self._write(piece, count)
            longer = [Candidate(*map(add, old, new)) for old in best for new in ways]
            best = nlargest(count, longer, key=lambda item: item.score)
        return best

    def _write(self, piece: list[str], count: int) -> list[Candidate]:
        if not self._can_write(piece[0]):
            return [Candidate(" ".join(piece), 0.0, 0.0)]
        lattice = Lattice.build(given(map(respell, piece)), self.model)
        return [Candidate(writing.hanzi, writing.score, lattice.log_prob(writing.hanzi))
                for writing in lattice.best(count)]

    def _pieces(self, items: list[str]) -> Iterator[list[str]]:
        """Runs of what can be written, and of what cannot."""
        for writable, group in groupby(items, key=self._can_write):
            run = list(group)
            step = LONGEST_RUN if writable else len(run)
            for start in range(0, len(run), step):
                yield run[start:start + step]

    def _can_write(self, item: str) -> bool:
        return item == item.lower() and bool(self.model.readings((respell(item),)))


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Lines of UTF-8 without their ends. Raises ValueError, naming file and line, for other bytes."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}, line {number}: not UTF-8 ({error.reason})") from None
