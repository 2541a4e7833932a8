"""A lexicon with pronunciations, and how probable a word is after another.

    model = WordModel.load()
    model.homophones(("shang4", "hai3"))   # {"上海": -7.9}: words and their log probabilities
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
    "BEGIN", "BILLION", "LONGEST", "TABLES", "Followers", "Table", "Weights", "Word", "WordModel",
    "parse_row", "read_table", "read_words",
]

TABLES = DATA_CONFIG / "language"
BILLION = 10**9  # words that the counts are relative to
LONGEST = 8  # syllables of a word
BEGIN = ""  # the context of the first word of a sentence

Table = dict[str, str]  # from a key to "name count name count ..."


class Word(NamedTuple):
    """A word, one of its pronunciations, and the number of these in 10^9 words."""

    hanzi: str
    count: int  # type: ignore[assignment]  # replaces a tuple's method
    syllables: tuple[str, ...]


class Weights(NamedTuple):
    """Tuned on held-out sentences: `benchmarks/pinyin_to_hanzi.py --tune`."""

    unseen: float = 6.0  # probability mass for unseen followers, per different follower seen
    pmi: float = 0.5  # weight of the PMI of the two hanzi at a word boundary
    # Tuned on other lists, where 2 to 6 hardly differ: benchmarks/neutral_tones.py.
    neutral_penalty: float = 6.0  # for a neutral tone instead of a full one, or inside a word vice versa


class Followers(NamedTuple):
    """What was seen after a word or a hanzi, with counts."""

    counts: dict[str, int]
    total: int


NONE = Followers({}, 0)


@dataclass(frozen=True)
class WordModel:
    """A bigram model of words: P(word | previous word), with Witten-Bell smoothing.

    P(w | v) = (c(vw) + k t(v) q(w | v)) / (c(v) + k t(v)), where c counts and t(v) is the number of
    different words seen after v (Witten and Bell 1991, who have k = 1; here it is the weight `unseen`).
    The backoff distribution q(w | v) = P(w) (P(b | a) / P(b))^g is the frequency of the word, times a
    factor from the pointwise mutual information (PMI) of v's last hanzi a and w's first hanzi b, with
    the weight g `pmi`. q need not sum to 1 for each v: results are normalised over the lattice.
    """

    words: Table
    word_pairs: Table
    hanzi_pairs: Table
    weights: Weights = Weights()

    def __post_init__(self) -> None:
        self._cache(1 << 18, "homophones", "is_word_prefix", "_other_tones", "after_word",
                    "after_hanzi", "pmi")
        self._cache(1 << 13, "tone_variants")  # for typed pinyin; sets from posteriors hardly repeat

    def _cache(self, most: int, *names: str) -> None:
        """Cache methods per instance."""
        for name in names:
            object.__setattr__(self, name, lru_cache(maxsize=most)(getattr(self, name)))

    @classmethod
    def load(cls, folder: Path = TABLES, weights: Weights = Weights()) -> "WordModel":
        """Read the three tables. Raises ValueError, naming the file, for a broken one."""
        words, word_pairs, hanzi_pairs = (read_table(folder / f"{name}.tsv.gz")
                                          for name in ("words", "word_pairs", "hanzi_pairs"))
        return cls(words, word_pairs, hanzi_pairs, weights)

    def homophones(self, syllables: tuple[str, ...]) -> dict[str, float]:
        """Return the words with this pronunciation, and the logarithms of their frequencies."""
        row = parse_row(self.words.get(" ".join(syllables), ""))
        return {word: log(count / BILLION) for word, count in row.items()}

    def is_word_prefix(self, syllables: tuple[str, ...]) -> bool:
        """Return whether the pronunciation of some word begins with these syllables."""
        prefix = " ".join(syllables)
        place = bisect_left(self._sorted_pronunciations, prefix)
        return any(pronunciation.startswith(prefix)
                   for pronunciation in self._sorted_pronunciations[place:place + 1])

    def tone_variants(
        self, alternatives: tuple[tuple[str, float], ...], inside: bool
    ) -> dict[str, tuple[str, float]]:
        """Return the syllables of the lexicon that may be meant by those of a confusion set.

        `alternatives` are syllables with their log weights. Each stands for itself and, with the
        penalty `weights.neutral_penalty`, a neutral tone for a full one (知道 `zhi1 dao`). The penalty
        is doubled at the start of a word. `inside` a word a full tone may also stand for the neutral
        one, if a hanzi has both (这个 `zhe4 ge4`, 儿子 `er2 zi3`; not `er2 zi4`). Returns the spoken
        syllable and its weight for each.
        """
        variants: dict[str, tuple[str, float]] = {}
        for spoken, weight in alternatives:
            penalty = self.weights.neutral_penalty * (1 if inside else 2)
            others = dict.fromkeys(self._other_tones(spoken, inside), weight - penalty)
            for meant, value in {**others, spoken: weight}.items():
                if meant not in variants or value > variants[meant][1]:
                    variants[meant] = spoken, value
        return variants

    def can_write(self, syllable: str) -> bool:
        """Return whether a hanzi may be meant by a spoken syllable."""
        return bool(self.tone_variants(((syllable, 0.0),), False).keys() & self.words.keys())

    def _other_tones(self, syllable: str, inside: bool) -> list[str]:
        base = base_syllable(syllable)
        if base == syllable:
            return [other for tone in "1234" if self.words.get(other := base + tone)]
        neutral = self.homophones((base,)).keys() if inside else set()  # hanzi that may be neutral
        return [base] if neutral & self.homophones((syllable,)).keys() else []

    @cached_property
    def _sorted_pronunciations(self) -> list[str]:
        return sorted(self.words)

    def log_prob(self, previous: str, word: str, frequency: float) -> float:
        """Return ln P(word, pronunciation | previous); `frequency` is that of `homophones`."""
        pronunciation = frequency - self._frequencies.get(word, frequency)  # ln P(pronunciation | word)
        return pronunciation + self.word_log_prob(previous, word, frequency - pronunciation)

    def word_log_prob(self, previous: str, word: str, frequency: float) -> float:
        """Return ln P(word | previous) by the formula above, for all pronunciations together."""
        seen = self.after_word(previous)
        unseen = self.weights.unseen * len(seen.counts)
        other = frequency
        if previous and self.weights.pmi:
            other += self.weights.pmi * self.pmi(previous[-1], word[0])
        if not unseen:
            return other
        count = seen.counts.get(word)
        if count is None:
            return other + log(unseen / (seen.total + unseen))
        return log((count + unseen * exp(other)) / (seen.total + unseen))

    @cached_property
    def _frequencies(self) -> dict[str, float]:
        """Log frequencies of single hanzi over all pronunciations; longer words have only one."""
        counts: Counter[str] = Counter()
        for syllables, row in self.words.items():
            if " " not in syllables:
                counts.update(parse_row(row))
        return {hanzi: log(count / BILLION) for hanzi, count in counts.items()}

    def after_word(self, word: str) -> Followers:
        """Return the words seen after a word, or after `BEGIN`."""
        return _followers(self.word_pairs.get(word))

    def after_hanzi(self, hanzi: str) -> Followers:
        """Return the hanzi seen after a hanzi; after `BEGIN`, all."""
        return _followers(self.hanzi_pairs.get(hanzi))

    def pmi(self, first: str, second: str) -> float:
        """Return ln(P(second | first) / P(second)) of two hanzi, smoothed like the words."""
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
    """Yield every word with each of its pronunciations, to count a model of syllables from."""
    for syllables, row in read_table(folder / "words.tsv.gz").items():
        for hanzi, count in parse_row(row).items():
            yield Word(hanzi, count, tuple(syllables.split()))


def read_table(path: Path) -> Table:
    """Return the rows of a table by their keys. Raises ValueError, naming the file."""
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        if not lines:
            raise ValueError("it is empty")
        return dict(line.split("\t") for line in lines)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: not a table of words ({brief(error)})") from None


def parse_row(row: str) -> dict[str, int]:
    """Parse names with counts: `"上海 3 伤害 1"`."""
    fields = row.split(" ") if row else []
    return dict(zip(fields[::2], map(int, fields[1::2])))
