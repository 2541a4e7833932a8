"""Lines of pinyin into lines of hanzi.

    converter = Converter.load()
    converter.convert("shang4 hai3 zhi2 wu4 yuan2")   # 上海植物园

`typed_pinyin` says how pinyin may be spelt. What no hanzi is read as passes through as it stands, and
no word reaches across it. Several words in a row keep a space between them, `wo3 ai4 NBA 2 K` gives
我爱NBA 2 K, and so does a sign that touches a word: `ni3 hao3, shi4 jie4!` gives 你好, 世界!
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import nlargest
from itertools import groupby
from math import exp, log
from operator import add
from typing import BinaryIO, NamedTuple

from ramospeech.language.compiled_lattice import NOTHING, LongLattice, Numbers
from ramospeech.language.pinyin import NEUTRAL_TONE, respell
from ramospeech.language.typed_pinyin import LIGHT, Item, Typed, read_line
from ramospeech.language.word_lattice import Lattice, Slot, Writing
from ramospeech.language.word_model import WordModel

__all__ = ["AHEAD", "LONGEST_RUN", "Converter", "read_lines"]

COMMON = log(1e-6)  # the least frequency of a word that is read without any tones beside some
LONGEST_RUN = 200  # syllables that a `Lattice` writes; a longer run is worth the start of a compiled one
WINDOW, AHEAD = 1000, 40  # syllables that are written at once, and that are looked at behind them


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

    def __post_init__(self) -> None:
        remembered = lru_cache(maxsize=1 << 13)(self._slot)  # more than there are syllables
        object.__setattr__(self, "_slot", remembered)

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
        for ways in self._ways(line, count):
            longer = [Candidate(*map(add, old, new)) for old in best for new in ways]
            best = nlargest(count, longer, key=lambda item: item.score)
        return best

    def not_understood(self, line: str) -> list[str]:
        """The words of a line that might have been meant as pinyin, and pass through."""
        return [item.text for piece in read_line(line, self._is_word) for item in piece
                if item.odd or (item.syllables and not all(map(self._slot, item.syllables)))]

    def _ways(self, line: str, count: int) -> Iterator[list[Candidate]]:
        """The ways to write each part of a line: a run of syllables, or what passes through."""
        for writable, run in groupby(self._read(line), key=lambda item: not isinstance(item, str)):
            items = list(run)
            slots = [item for item in items if not isinstance(item, str)]
            if not writable:
                yield [Candidate("".join(map(str, items)), 0.0, 0.0)]
            elif len(slots) <= LONGEST_RUN:
                lattice = Lattice.build(slots, self.model)
                yield _candidates(lattice, lattice.best(count))
            else:
                yield from self._write_long(slots, count)

    def _write_long(self, slots: list[Slot], count: int) -> Iterator[list[Candidate]]:
        """A window after the other, so that memory is bounded; each goes on from the last word."""
        start, previous = 0, NOTHING
        while start < len(slots):
            lattice = LongLattice.build(slots[start:start + WINDOW + AHEAD], self._numbers, count,
                                        previous=previous)
            if start + WINDOW + AHEAD < len(slots):
                lattice = lattice.up_to(WINDOW)
            yield _candidates(lattice, lattice.best())
            start, previous = start + lattice.place, lattice.last_entry

    @cached_property
    def _numbers(self) -> Numbers:
        return Numbers.of(self.model)

    def _read(self, line: str) -> Iterator[Slot | str]:
        """Every syllable, every other word or sign, and the spaces that stay."""
        before: list[Item] = []
        for piece in read_line(line, self._is_word):
            if before and self._has_space(before, piece):
                yield " "
            for item in piece:
                slots = [self._slot(typed) for typed in item.syllables]
                yield from slots if slots and all(slots) else [item.text]
            before = piece

    def _has_space(self, before: list[Item], after: list[Item]) -> bool:
        """Hanzi have none beside them; what passes through keeps them, and `hao3, ni3` does."""
        left, right = self._can_write(before[-1]), self._can_write(after[0])
        if not left and not right:
            return True
        signs = [item.text for item, piece in ((before[-1], before), (after[0], after))
                 if len(piece) > 1 and not self._can_write(item)]
        return any(text.isascii() and not text.isalnum() for text in signs)

    def _can_write(self, item: Item) -> bool:
        return bool(item.syllables) and all(map(self._slot, item.syllables))

    def _slot(self, typed: Typed) -> Slot:
        """What may be meant by a syllable; nothing where no hanzi is read so."""
        full = -self.model.weights.neutral if typed.tone == LIGHT else 0.0
        tones = {1: full, 2: full, 3: full, 4: full, NEUTRAL_TONE: 0.0}
        weights = {typed.tone: 0.0} if typed.tone else tones
        slot = {respell(f"{typed.base}{tone}"): weight for tone, weight in weights.items()}
        return {syllable: weight for syllable, weight in slot.items() if self.model.can_write(syllable)}

    def _is_word(self, syllables: tuple[Typed, ...]) -> bool:
        """Whether these may be a common word, and not English (`data` is a rare name, 达塔)."""
        begun: set[tuple[str, ...]] = {()}
        for typed in syllables:
            begun = {longer for word in begun for syllable in self._slot(typed)
                     if self.model.begins_word(longer := (*word, syllable))}
        return any(frequency > COMMON for word in begun
                   for frequency in self.model.readings(word).values())


def _candidates(lattice: Lattice | LongLattice, writings: list[Writing]) -> list[Candidate]:
    return [Candidate(writing.hanzi, writing.score, lattice.log_prob(writing.hanzi))
            for writing in writings]


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Lines of UTF-8 without their ends. Raises ValueError, naming file and line, for other bytes."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}, line {number}: not UTF-8 ({error.reason})") from None
