"""From a recording to hanzi.

    speech = SpeechToText.load()
    for text in speech.transcribe(["a.wav", "b.mp3"]):
        print(text.hanzi, text.syllables, text.seconds)
    speech.write(waveform, count=5)   # (samples,) at 16 kHz: the five best sentences

The recogniser's n best hypotheses, and what else it thought of at each place, are searched together
with the words. A recording longer than a minute is read in pieces, each written for itself.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import islice
from math import exp, inf
from operator import add
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from ramospeech.audio import SAMPLE_RATE, AudioError
from ramospeech.decoders import Hypothesis, best_paths
from ramospeech.joint_search import HYPOTHESES, JointWeights, from_posteriors, joint_search
from ramospeech.metrics import edits
from ramospeech.paths import SHIPPED_MODEL
from ramospeech.pieces import Piece, read_pieces
from ramospeech.pinyin_to_hanzi import Converter
from ramospeech.prefix_beam import prefix_beam_search
from ramospeech.recognition import Reading, Recogniser, frame_seconds
from ramospeech.word_lattice import Lattice, Writing, given
from ramospeech.word_model import WordModel


class Sentence(NamedTuple):
    """A way to write what was said, or a part of it."""

    tokens: tuple[str, ...] = ()  # hanzi; one for a syllable
    syllables: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()  # when each syllable was recognised
    score: float = 0.0  # ln P(hanzi | syllables), among all ways to write them
    joint: float = 0.0  # of sound and words together, by which the best is chosen

    @property
    def hanzi(self) -> str:
        return "".join(self.tokens)

    @property
    def average(self) -> float:
        """The score a token."""
        return self.score / max(1, len(self.tokens))

    @property
    def perplexity(self) -> float:
        """Among how many ways to write a token one would have to guess: exp(-average)."""
        return exp(-self.average)

    def then(self, other: "Sentence") -> "Sentence":
        """This one and what was said after it."""
        return Sentence(*map(add, self, other))


@dataclass
class Text:
    """What was said in a recording, or why nothing could be recognised."""

    file: str = ""
    sentences: list[Sentence] = field(default_factory=lambda: [Sentence()])  # best first
    # Before the words had their say; the next best are in `others`.
    heard: Reading = field(default_factory=lambda: Reading([], []))
    elapsed: float = 0.0  # seconds of work, reading apart; a batch shares it by length
    error: str | None = None

    @property
    def best(self) -> Sentence:
        return self.sentences[0]

    @property
    def hanzi(self) -> str:
        return self.best.hanzi

    def add(self, other: "Text") -> None:
        """Go on with what was said after it."""
        longer = (old.then(new) for old in self.sentences for new in other.sentences)
        count = max(len(self.sentences), len(other.sentences))
        self.sentences = nlargest(count, longer, key=lambda sentence: sentence.joint)
        self.heard = join_readings(self.heard, other.heard)
        self.elapsed += other.elapsed


def join_readings(first: Reading, second: Reading) -> Reading:
    """One after the other; the next best ones only where there is but one."""
    others = () if first.syllables else second.others
    return Reading(first.syllables + second.syllables, first.seconds + second.seconds, others,
                   first.score + second.score)


class SpeechToText:
    """A recogniser and a model of words."""

    def __init__(
        self, recogniser: Recogniser, words: WordModel, weights: JointWeights = JointWeights()
    ) -> None:
        self.recogniser, self.words, self.weights = recogniser, words, weights

    @classmethod
    def load(cls, model: Path = SHIPPED_MODEL, device: str = "cpu") -> "SpeechToText":
        """The shipped model, or the one of a file, and the shipped words. Raises CheckpointError."""
        return cls(Recogniser.load(model, device), WordModel.load())

    def transcribe(
        self, paths: Iterable[Path | str], batch_size: int = 8, count: int = 1,
        tell: Callable[[float], object] = lambda seconds: None,
    ) -> Iterator[Text]:
        """What is said in recordings, in the order given; a file that cannot be read gives an `error`.

        Each has the `count` best ways to write it, or as many as there are. A few pieces of a
        minute are held at once, however long the recordings are; `tell` hears how many seconds were
        done.
        """
        work = _work(paths)
        while group := list(islice(work, 2 * batch_size)):  # each piece, and the end of each file
            waiting = [(text, piece) for text, piece in group if piece]
            found = iter(self._write([piece for _, piece in waiting], count))
            for text, piece in group:
                if piece:
                    text.add(next(found))
                    tell(len(piece.waveform) / SAMPLE_RATE)
                else:
                    yield text

    def write(self, waveform: Tensor, count: int = 1) -> Text:
        """What is said in `(samples,)` at 16 kHz, a minute at most; the `count` best sentences."""
        return self._write([Piece(0.0, waveform)], count)[0]

    def _write(self, pieces: list[Piece], count: int) -> list[Text]:
        if not pieces:
            return []
        started = time.perf_counter()
        waveforms = [piece.waveform for piece in pieces]
        texts = [self._search(log_probs, piece.start, count)
                 for piece, log_probs in zip(pieces, self.recogniser.log_probs(waveforms))]
        elapsed = time.perf_counter() - started
        for text, waveform in zip(texts, waveforms):
            text.elapsed = elapsed * len(waveform) / sum(map(len, waveforms))
        return texts

    def _search(self, log_probs: Tensor, start: float, count: int) -> Text:
        """From `(T, classes)` of what begins at second `start`."""
        inventory = self.recogniser.inventory
        hypotheses = self._hypotheses(log_probs)
        readings = [self._reading(item, start) for item in hypotheses]
        heard = from_posteriors(log_probs, hypotheses, inventory)
        sentences = [self._sentence(writing, readings) for writing in
                     joint_search(heard, self.words, self.weights, count)]
        best = readings[0]._replace(others=tuple(readings[1:]))
        return Text("", sentences or [self._as_heard(best)], best)

    def _sentence(self, writing: Writing, readings: list[Reading]) -> Sentence:
        """With the seconds of the reading that is most like it."""
        alike = min((item for item in readings if len(item.syllables) == len(writing.syllables)),
                    key=lambda item: edits(item.syllables, writing.syllables))
        return Sentence(tuple(writing.hanzi), writing.syllables, tuple(alike.seconds),
                        log_prob(writing, self.words), writing.score)

    def _as_heard(self, reading: Reading) -> Sentence:
        """For what cannot be written: hanzi where there are any, the rest in pinyin."""
        (found,) = Converter(self.words).candidates(" ".join(reading.syllables))
        tokens, rest = [], found.hanzi
        for syllable in reading.syllables:
            length = 1 if self.words.readings((syllable,)) else len(syllable)
            tokens.append(rest[:length])
            rest = rest[length:].lstrip()
        return Sentence(tuple(tokens), tuple(reading.syllables), tuple(reading.seconds),
                        found.log_prob, reading.score)

    def _hypotheses(self, log_probs: Tensor) -> list[Hypothesis]:
        """The n best; a model that learned with ACE alone has only its best path."""
        if self.recogniser.model.loss == "ace":
            return best_paths("ace")(log_probs[None], torch.tensor([len(log_probs)]))[0]
        # Of one utterance, so no list of lists.
        return cast(list[Hypothesis], prefix_beam_search(log_probs, nbest=HYPOTHESES))

    def _reading(self, hypothesis: Hypothesis, start: float) -> Reading:
        timesteps, stride = hypothesis.timesteps, self.recogniser.model.stride
        seconds = [round(start + second, 2) for second in frame_seconds(timesteps, stride)]
        syllables = self.recogniser.inventory.decode(hypothesis.tokens)
        return Reading(syllables, seconds, score=hypothesis.score)


def log_prob(writing: Writing, words: WordModel) -> float:
    """ln P(hanzi | syllables), among all ways to write these syllables."""
    slots = given(writing.syllables)
    among_likely = Lattice.build(slots, words).log_prob(writing.hanzi)
    # What is improbable may have been forgotten: only then is it worth the time to forget nothing.
    return among_likely if among_likely > -inf else (
        Lattice.build(slots, words, kept=None).log_prob(writing.hanzi))


def _work(paths: Iterable[Path | str]) -> Iterator[tuple[Text, Piece | None]]:
    """Every piece of every recording, with the text that it belongs to; None at a recording's end."""
    for path in paths:
        text = Text(str(path))
        try:
            for piece in read_pieces(path):
                yield text, piece
        except AudioError as error:
            text.error = str(error)
        yield text, None
