"""Convert lines of pinyin to hanzi.

    converter = Converter.load()
    converter.convert("shang4 hai3 zhi2 wu4 yuan2")   # 上海植物园

`typed_pinyin` describes the accepted spellings. What no hanzi is pronounced as is copied unchanged,
and no word spans it. Consecutive copied words keep the space between them, `wo3 ai4 NBA 2 K` becomes
我爱NBA 2 K, and so does punctuation that touches a word: `ni3 hao3, shi4 jie4!` becomes 你好, 世界!
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from heapq import nlargest
from itertools import groupby
from math import exp, log
from operator import add
from typing import BinaryIO, NamedTuple

from ramospeech.language.compiled_lattice import NOTHING, CompiledLattice, WordModelArrays
from ramospeech.language.pinyin import NEUTRAL_TONE, respell
from ramospeech.language.typed_pinyin import UNTONED, Item, TypedSyllable, read_line
from ramospeech.language.word_lattice import ConfusionSet, Lattice, WordSequence
from ramospeech.language.word_model import WordModel

__all__ = ["LONGEST_RUN", "LOOKAHEAD", "WINDOW", "Candidate", "Converter", "read_lines"]

COMMON = log(1e-6)  # the least frequency of a word that is accepted without tones in a toned line
LONGEST_RUN = 200  # syllables; longer runs are worth loading the compiled lattice
WINDOW, LOOKAHEAD = 1000, 40  # syllables that are converted at once, and those after them


class Candidate(NamedTuple):
    """A conversion of a line, and its probability among all conversions."""

    hanzi: str
    score: float  # of its best path
    log_prob: float

    @property
    def probability(self) -> float:
        return exp(self.log_prob)


@dataclass(frozen=True)
class Converter:
    """Converts syllables to hanzi."""

    model: WordModel

    def __post_init__(self) -> None:
        cached = lru_cache(maxsize=1 << 13)(self._confusion_set)  # more than there are syllables
        object.__setattr__(self, "_confusion_set", cached)

    @classmethod
    def load(cls) -> "Converter":
        """Load the shipped tables; takes half a second."""
        return cls(WordModel.load())

    def convert(self, line: str) -> str:
        """Return the most probable hanzi of a line of syllables."""
        return self.candidates(line)[0].hanzi

    def candidates(self, line: str, count: int = 1) -> list[Candidate]:
        """Return the `count` best conversions of a line, or all if there are fewer.

        Sorted by their best paths, so that the first is the same for every `count`; the probability
        sums over all paths, so that of the second may be higher. Each run of syllables is converted
        by itself; the probabilities are multiplied.
        """
        best = [Candidate("", 0.0, 0.0)]
        for candidates in self._convert_parts(line, count):
            longer = [Candidate(*map(add, old, new)) for old in best for new in candidates]
            best = nlargest(count, longer, key=lambda item: item.score)
        return best

    def unrecognised_words(self, line: str) -> list[str]:
        """Return the words of a line that look like pinyin but are copied unchanged."""
        return [item.text for items in read_line(line, self._is_word) for item in items
                if item.unrecognised or (item.syllables and not self._can_write(item))]

    def _convert_parts(self, line: str, count: int) -> Iterator[list[Candidate]]:
        """Yield the candidates of each part of a line: a run of syllables, or copied text."""
        for writable, run in groupby(self._read(line), key=lambda item: not isinstance(item, str)):
            items = list(run)
            sets = [item for item in items if not isinstance(item, str)]
            if not writable:
                yield [Candidate("".join(map(str, items)), 0.0, 0.0)]
            elif len(sets) <= LONGEST_RUN:
                lattice = Lattice.build(sets, self.model)
                yield _candidates(lattice, lattice.best(count))
            else:
                yield from self._convert_long(sets, count)

    def _convert_long(self, sets: list[ConfusionSet], count: int) -> Iterator[list[Candidate]]:
        """Convert window by window, to bound the memory; each starts after the previous word."""
        start, previous = 0, NOTHING
        while start < len(sets):
            lattice = CompiledLattice.build(sets[start:start + WINDOW + LOOKAHEAD], self._arrays,
                                            count, previous=previous)
            if start + WINDOW + LOOKAHEAD < len(sets):
                lattice = lattice.up_to(WINDOW)
            yield _candidates(lattice, lattice.best())
            start, previous = start + lattice.end, lattice.last_entry

    @cached_property
    def _arrays(self) -> WordModelArrays:
        return WordModelArrays.from_model(self.model)

    def _read(self, line: str) -> Iterator[ConfusionSet | str]:
        """Yield every syllable, every other word or punctuation mark, and the spaces to keep."""
        before: list[Item] = []
        for items in read_line(line, self._is_word):
            if before and self._has_space(before, items):
                yield " "
            for item in items:
                sets = [self._confusion_set(typed) for typed in item.syllables]
                yield from sets if sets and all(sets) else [item.text]
            before = items

    def _has_space(self, before: list[Item], after: list[Item]) -> bool:
        """Return whether to keep a space: not beside hanzi, except in `hao3, ni3`."""
        left, right = self._can_write(before[-1]), self._can_write(after[0])
        if not left and not right:
            return True
        marks = [item.text for item, items in ((before[-1], before), (after[0], after))
                 if len(items) > 1 and not self._can_write(item)]
        return any(text.isascii() and not text.isalnum() for text in marks)

    def _can_write(self, item: Item) -> bool:
        return bool(item.syllables) and all(map(self._confusion_set, item.syllables))

    def _confusion_set(self, typed: TypedSyllable) -> ConfusionSet:
        """Return the toned syllables that may be meant; empty if no hanzi is pronounced like that."""
        full = -self.model.weights.neutral_penalty if typed.tone == UNTONED else 0.0
        tones = {1: full, 2: full, 3: full, 4: full, NEUTRAL_TONE: 0.0}
        weights = {typed.tone: 0.0} if typed.tone else tones
        toned = {respell(f"{typed.base}{tone}"): weight for tone, weight in weights.items()}
        return {syllable: weight for syllable, weight in toned.items() if self.model.can_write(syllable)}

    def _is_word(self, syllables: tuple[TypedSyllable, ...]) -> bool:
        """Return whether these may be a common word, and not English (`data` is a rare name, 达塔)."""
        prefixes: set[tuple[str, ...]] = {()}
        for typed in syllables:
            prefixes = {longer for prefix in prefixes for syllable in self._confusion_set(typed)
                        if self.model.is_word_prefix(longer := (*prefix, syllable))}
        return any(frequency > COMMON for pronunciation in prefixes
                   for frequency in self.model.homophones(pronunciation).values())


def _candidates(lattice: Lattice | CompiledLattice, sequences: list[WordSequence]) -> list[Candidate]:
    return [Candidate(sequence.hanzi, sequence.score, lattice.log_prob(sequence.hanzi))
            for sequence in sequences]


def read_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Yield lines of UTF-8 without line ends. Raises ValueError, naming file and line, for other bytes."""
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name}, line {number}: not UTF-8 ({error.reason})") from None
