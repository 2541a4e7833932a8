"""What was found in a recording: the result of every command that listens."""

from dataclasses import dataclass, field
from heapq import nlargest
from math import exp
from operator import add
from typing import NamedTuple


class Reading(NamedTuple):
    """A way to read a recording, or a part of it; in hanzi, where words had their say."""

    syllables: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()  # when each was recognised: the middle of its output frame
    score: float = 0.0  # of the decoder, or of sound and words together: the best has the highest
    tokens: tuple[str, ...] = ()  # hanzi; one for a syllable
    log_prob: float = 0.0  # ln P(hanzi | syllables), among all ways to write them

    @property
    def hanzi(self) -> str:
        return "".join(self.tokens)

    @property
    def average(self) -> float:
        """`log_prob` a token."""
        return self.log_prob / max(1, len(self.tokens))

    @property
    def perplexity(self) -> float:
        """Among how many ways to write a token one would have to guess: exp(-average)."""
        return exp(-self.average)

    def then(self, other: "Reading") -> "Reading":
        """This one and what was said after it."""
        return Reading(*map(add, self, other))

    def later(self, start: float) -> "Reading":
        """The same, in a recording whose second `start` is this one's beginning."""
        return self._replace(seconds=tuple(round(start + second, 2) for second in self.seconds))


@dataclass
class Result:
    """What was found in a recording, or in a part of it; with an error, how far it got."""

    file: str = ""
    readings: list[Reading] = field(default_factory=lambda: [Reading()])  # best first; one or more
    heard: Reading = field(default_factory=Reading)  # the best by sound alone
    elapsed: float = field(default=0.0, compare=False)  # seconds of work; a batch shares it by length
    error: str | None = None
    refused: bool = False  # the recording is sound, but memory did not suffice for all of it

    @property
    def best(self) -> Reading:
        return self.readings[0]

    @property
    def syllables(self) -> tuple[str, ...]:
        return self.best.syllables

    @property
    def seconds(self) -> tuple[float, ...]:
        return self.best.seconds

    @property
    def hanzi(self) -> str:
        return self.best.hanzi

    @property
    def was_read(self) -> bool:
        """To its end, or at least until something was found in it."""
        return not self.error or bool(self.syllables)

    def add(self, other: "Result", start: float, count: int) -> None:
        """Go on with what was found from second `start` on; the `count` best of both are kept."""
        later = [reading.later(start) for reading in other.readings]
        self.readings = join_best(self.readings, later, count)
        self.heard = self.heard.then(other.heard.later(start))
        self.elapsed += other.elapsed
        self.error, self.refused = self.error or other.error, self.refused or other.refused


def join_best(first: list[Reading], second: list[Reading], count: int) -> list[Reading]:
    """The `count` best of all ways to go on from one to another, best first, each text once.

    What two parts say may be told apart by nothing but the border: A-BC and AB-C are one text.
    """
    found: dict[object, Reading] = {}
    for reading in (old.then(new) for old in first for new in second):
        text = reading.hanzi or reading.syllables
        found[text] = max(found.get(text, reading), reading, key=_score)
    return nlargest(count, found.values(), key=_score)


def _score(reading: Reading) -> float:
    return reading.score
