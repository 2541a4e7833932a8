"""Words and what follows what: how hanzi are read, and how probable a word is after another.

    model = WordModel.load()
    model.readings(("shang4", "hai3"))   # {"上海": -7.9}: words and their log probabilities
    model.log_prob("在", "上海", -7.9)    # after 在

The tables in data_config/language/ are built by data_config/build_language.py.
"""

import gzip
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import exp, log
from pathlib import Path
from typing import NamedTuple

from ramospeech.config.paths import DATA_CONFIG
from ramospeech.language.pinyin import base_syllable
from ramospeech.utils.files import brief

__all__ = [
    "BEGIN", "BILLION", "LONGEST", "TABLES", "Weights", "WordModel", "parse_row", "read_table",
    "read_words",
]

TABLES = DATA_CONFIG / "language"
BILLION = 10**9  # the counts of words are out of so many
LONGEST = 8  # syllables of a word
BEGIN = ""  # what the first word of a sentence follows

Table = dict[str, str]  # a key, and "name count name count ..."


class Word(NamedTuple):
    """A word, one way to read it, and how often it is read so in 10^9 words."""

    hanzi: str
    count: int  # type: ignore[assignment]  # in place of a tuple's method
    syllables: tuple[str, ...]


class Weights(NamedTuple):
    """What was tuned on held-out sentences: `benchmarks/pinyin_to_hanzi.py --tune`."""

    unseen: float = 6.0  # how much each different follower of a word speaks for unseen ones
    hanzi: float = 0.5  # how much the two hanzi that meet between words count
    # By other lists, where 2 to 6 hardly differ: benchmarks/neutral_tones.py.
    neutral: float = 6.0  # the price of a neutral tone for a full one, or the other way in a word


class Followers(NamedTuple):
    """What was seen after a word or a hanzi."""

    counts: dict[str, int]
    total: int


NONE = Followers({}, 0)


@dataclass(frozen=True)
class WordModel:
    """P(word | the word before).

    P(w | v) = (c(vw) + k t(v) q(w | v)) / (c(v) + k t(v)), where c counts and t(v) is the number of
    different words seen after v: as Witten and Bell (1991) smooth, but for the weight k `unseen`.
    For what was not seen q(w | v) = P(w) (P(b | a) / P(b))^g: the frequency of the word, times how
    much more often than by chance its first hanzi b follows v's last hanzi a, with the weight g
    `hanzi`. q need not add up to 1 for each v; what is reported is normalised over the lattice.
    """

    words: Table
    word_pairs: Table
    hanzi_pairs: Table
    weights: Weights = Weights()

    def __post_init__(self) -> None:
        self._remember(1 << 18, "readings", "begins_word", "_with_other_tone", "after_word",
                       "after_hanzi", "attraction")
        self._remember(1 << 13, "spoken_as")  # of what is typed; what is heard hardly repeats

    def _remember(self, most: int, *names: str) -> None:
        """The answers of what is asked over and over."""
        for name in names:
            object.__setattr__(self, name, lru_cache(maxsize=most)(getattr(self, name)))

    @classmethod
    def load(cls, folder: Path = TABLES, weights: Weights = Weights()) -> "WordModel":
        """Read the three tables. Raises ValueError, naming the file, for one that is broken."""
        words, word_pairs, hanzi_pairs = (read_table(folder / f"{name}.tsv.gz")
                                          for name in ("words", "word_pairs", "hanzi_pairs"))
        return cls(words, word_pairs, hanzi_pairs, weights)

    def readings(self, syllables: tuple[str, ...]) -> dict[str, float]:
        """The words that are read so, with the logarithms of their frequencies."""
        row = parse_row(self.words.get(" ".join(syllables), ""))
        return {word: log(count / BILLION) for word, count in row.items()}

    def begins_word(self, syllables: tuple[str, ...]) -> bool:
        """Whether some word is read so, or begins so."""
        beginning = " ".join(syllables)
        place = bisect_left(self._sorted_readings, beginning)
        return any(reading.startswith(beginning)
                   for reading in self._sorted_readings[place:place + 1])

    def spoken_as(
        self, slot: tuple[tuple[str, float], ...], inside: bool
    ) -> dict[str, tuple[str, float]]:
        """The syllables of the dictionary that may be meant by one that was said.

        `slot` has syllables with their weights (logarithms). Each stands for itself, and at the
        price `weights.neutral` a neutral tone for any other (知道 `zhi1 dao`). Words seldom begin with
        a neutral tone: there the price is twice that. `inside` a word what is mostly neutral may have
        its full tone (这个 `zhe4 ge4`, 儿子 `er2 zi3`; not `er2 zi4`). Gives what was said for each, and
        its weight.
        """
        ways: dict[str, tuple[str, float]] = {}
        for said, weight in slot:
            price = self.weights.neutral * (1 if inside else 2)
            priced = dict.fromkeys(self._with_other_tone(said, inside), weight - price)
            for meant, value in {**priced, said: weight}.items():
                if meant not in ways or value > ways[meant][1]:
                    ways[meant] = said, value
        return ways

    def can_write(self, syllable: str) -> bool:
        """Whether some hanzi may be meant by a syllable that was said."""
        return bool(self.spoken_as(((syllable, 0.0),), False).keys() & self.words.keys())

    def _with_other_tone(self, syllable: str, inside: bool) -> list[str]:
        base = base_syllable(syllable)
        if base == syllable:
            return [other for tone in "1234" if self.words.get(other := base + tone)]
        light = self.readings((base,)).keys() if inside else set()  # hanzi that may be neutral
        return [base] if light & self.readings((syllable,)).keys() else []

    @cached_property
    def _sorted_readings(self) -> list[str]:
        return sorted(self.words)

    def log_prob(self, previous: str, word: str, frequency: float) -> float:
        """The natural logarithm of P(word, read so | previous); `frequency` is that of `readings`."""
        reading = frequency - self._frequencies.get(word, frequency)  # ln P(read so | word)
        return reading + self._log_prob(previous, word, frequency - reading)

    def _log_prob(self, previous: str, word: str, frequency: float) -> float:
        """The same in whatever reading, by the formula above."""
        seen = self.after_word(previous)
        unseen = self.weights.unseen * len(seen.counts)
        other = frequency
        if previous and self.weights.hanzi:
            other += self.weights.hanzi * self.attraction(previous[-1], word[0])
        if not unseen:
            return other
        count = seen.counts.get(word)
        if count is None:
            return other + log(unseen / (seen.total + unseen))
        return log((count + unseen * exp(other)) / (seen.total + unseen))

    @cached_property
    def _frequencies(self) -> dict[str, float]:
        """Those of single hanzi, in all their readings; a longer word has but one."""
        counts: Counter[str] = Counter()
        for syllables, row in self.words.items():
            if " " not in syllables:
                counts.update(parse_row(row))
        return {hanzi: log(count / BILLION) for hanzi, count in counts.items()}

    def after_word(self, word: str) -> Followers:
        """The words seen after a word, `BEGIN` included."""
        return _followers(self.word_pairs.get(word))

    def after_hanzi(self, hanzi: str) -> Followers:
        """The hanzi seen after a hanzi; after nothing, all."""
        return _followers(self.hanzi_pairs.get(hanzi))

    def attraction(self, first: str, second: str) -> float:
        """The logarithm of P(second | first) / P(second), for two hanzi; smoothed as the words."""
        every, seen = self.after_hanzi(BEGIN), self.after_hanzi(first)
        if not seen.counts:
            return 0.0
        alone = every.counts.get(second, 1) / every.total
        different = len(seen.counts)
        together = (seen.counts.get(second, 0) + different * alone) / (seen.total + different)
        return log(together / alone)


def _followers(row: str | None) -> Followers:
    if row is None:
        return NONE
    counts = parse_row(row)
    return Followers(counts, sum(counts.values()))


def read_words(folder: Path = TABLES) -> Iterator[Word]:
    """Every word in every reading: what a model of syllables can be counted from."""
    for syllables, row in read_table(folder / "words.tsv.gz").items():
        for hanzi, count in parse_row(row).items():
            yield Word(hanzi, count, tuple(syllables.split()))


def read_table(path: Path) -> Table:
    """The rows of a table by their keys. Raises ValueError, naming the file."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        if not lines:
            raise ValueError("it is empty")
        return dict(line.split("\t") for line in lines)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: not a table of words ({brief(error)})") from None


def parse_row(row: str) -> dict[str, int]:
    """`"上海 3 伤害 1"` as names and counts."""
    fields = row.split(" ") if row else []
    return dict(zip(fields[::2], map(int, fields[1::2])))
