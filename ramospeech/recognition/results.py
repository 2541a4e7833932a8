"""What was recognised in a recording."""

from dataclasses import dataclass, field
from heapq import nlargest
from math import exp
from operator import add
from typing import NamedTuple

__all__ = ["Result", "Transcript", "join_best"]


class Transcript(NamedTuple):
    """One hypothesis about a recording or a segment of it; with hanzi after the search over words."""

    syllables: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()  # when each was recognised: the middle of its output frame
    score: float = 0.0  # of the decoder, or of sound and words together; higher is better
    tokens: tuple[str, ...] = ()  # hanzi, one per syllable
    log_prob: float = 0.0  # ln P(hanzi | syllables), among all ways to write the syllables

    @property
    def hanzi(self) -> str:
        return "".join(self.tokens)

    @property
    def average(self) -> float:
        """Return `log_prob` per token."""
        return self.log_prob / max(1, len(self.tokens))

    @property
    def perplexity(self) -> float:
        """Return exp(-average): the number of equally probable ways to write a token."""
        return exp(-self.average)

    def followed_by(self, other: "Transcript") -> "Transcript":
        """Return both as one."""
        return Transcript(*map(add, self, other))

    def shifted(self, start: float) -> "Transcript":
        """Return the transcript of a segment with the times of the recording; `start` in seconds."""
        return self._replace(seconds=tuple(round(start + second, 2) for second in self.seconds))


@dataclass
class Result:
    """What was recognised in a recording or a segment; if there is an `error`, before it occurred."""

    file: str = ""
    transcripts: list[Transcript] = field(default_factory=lambda: [Transcript()])  # n best, best first
    first_pass: Transcript = field(default_factory=Transcript)  # the best by sound alone
    elapsed: float = field(default=0.0, compare=False)  # seconds of work; a batch is split by length
    error: str | None = None
    out_of_memory: bool = False  # the recording is valid, but some of it did not fit into memory

    @property
    def best(self) -> Transcript:
        return self.transcripts[0]

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
        """Whether it was read completely, or at least until something was recognised."""
        return not self.error or bool(self.syllables)

    def add(self, other: "Result", start: float, nbest: int) -> None:
        """Append the result of the segment that begins at second `start`; keep the `nbest` best."""
        shifted = [transcript.shifted(start) for transcript in other.transcripts]
        self.transcripts = join_best(self.transcripts, shifted, nbest)
        self.first_pass = self.first_pass.followed_by(other.first_pass.shifted(start))
        self.elapsed += other.elapsed
        self.error = self.error or other.error
        self.out_of_memory = self.out_of_memory or other.out_of_memory


def join_best(first: list[Transcript], second: list[Transcript], nbest: int) -> list[Transcript]:
    """Return the `nbest` best concatenations, best first, each text once.

    Different pairs may give the same text, such as A-BC and AB-C; the better one is kept.
    """
    found: dict[object, Transcript] = {}
    for joined in (old.followed_by(new) for old in first for new in second):
        text = joined.hanzi or joined.syllables
        found[text] = max(found.get(text, joined), joined, key=_score)
    return nlargest(nbest, found.values(), key=_score)


def _score(transcript: Transcript) -> float:
    return transcript.score
