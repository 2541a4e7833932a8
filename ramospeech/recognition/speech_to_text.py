"""From a recording to hanzi.

    speech = SpeechToText.load()
    for result in speech.transcribe(["a.wav", "b.mp3"]):
        print(result.hanzi, result.syllables, result.seconds)
    speech.write(waveform, count=5)   # (samples,) at 16 kHz: the five best sentences

The recogniser's n best hypotheses, and what else it thought of at each place, are searched together
with the words. A recording longer than a minute is read in segments, each written for itself.
"""

from collections.abc import Callable, Iterable, Iterator
from math import inf
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.decoding.greedy import best_paths
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.language.edit_distance import edits
from ramospeech.language.pinyin_to_hanzi import Converter
from ramospeech.language.word_lattice import Lattice, Writing, given
from ramospeech.language.word_model import WordModel
from ramospeech.recognition.front_end import read_recordings
from ramospeech.recognition.joint_decoding import HYPOTHESES, JointWeights, from_posteriors, joint_search
from ramospeech.recognition.recogniser import Recogniser, make_readings
from ramospeech.recognition.results import Reading, Result


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
    ) -> Iterator[Result]:
        """What is said in recordings, as `read_recordings` reads them; of each the `count` best ways
        to write it, or as many as there are.
        """
        def listen(waveforms: list[Tensor]) -> list[Result]:
            return [self._search(item, count) for item in self.recogniser.log_probs(waveforms)]

        return read_recordings(paths, listen, batch_size, count, tell)

    def write(self, waveform: Tensor, count: int = 1) -> Result:
        """What is said in `(samples,)` at 16 kHz, a minute at most; the `count` best sentences."""
        (log_probs,) = self.recogniser.log_probs([waveform])
        return self._search(log_probs, count)

    def _search(self, log_probs: Tensor, count: int) -> Result:
        """From `(T, classes)`."""
        recogniser = self.recogniser
        hypotheses = self._hypotheses(log_probs)
        heard = make_readings(hypotheses, recogniser.vocabulary, recogniser.model.subsampling)
        to_search = from_posteriors(log_probs, hypotheses, recogniser.vocabulary)
        sentences = [self._sentence(writing, heard) for writing in
                     joint_search(to_search, self.words, self.weights, count)]
        return Result(readings=sentences or [self._as_heard(heard[0])], heard=heard[0])

    def _sentence(self, writing: Writing, heard: list[Reading]) -> Reading:
        """With the seconds of what was heard that is most like it."""
        alike = min((item for item in heard if len(item.syllables) == len(writing.syllables)),
                    key=lambda item: edits(item.syllables, writing.syllables))
        return Reading(writing.syllables, alike.seconds, writing.score, tuple(writing.hanzi),
                       log_prob(writing, self.words))

    def _as_heard(self, heard: Reading) -> Reading:
        """For what cannot be written: hanzi where there are any, the rest in pinyin."""
        (found,) = Converter(self.words).candidates(" ".join(heard.syllables))
        tokens, rest = [], found.hanzi
        for syllable in heard.syllables:
            length = 1 if self.words.readings((syllable,)) else len(syllable)
            tokens.append(rest[:length])
            rest = rest[length:].lstrip()
        return heard._replace(tokens=tuple(tokens), log_prob=found.log_prob)

    def _hypotheses(self, log_probs: Tensor) -> list[Hypothesis]:
        """The n best; a model that learned with ACE alone has only its best path."""
        if self.recogniser.model.loss == "ace":
            return best_paths("ace")(log_probs[None], torch.tensor([len(log_probs)]))[0]
        # Of one utterance, so no list of lists.
        return cast(list[Hypothesis], prefix_beam_search(log_probs, nbest=HYPOTHESES))


def log_prob(writing: Writing, words: WordModel) -> float:
    """ln P(hanzi | syllables), among all ways to write these syllables."""
    slots = given(writing.syllables)
    among_likely = Lattice.build(slots, words).log_prob(writing.hanzi)
    # What is improbable may have been forgotten: only then is it worth the time to forget nothing.
    return among_likely if among_likely > -inf else (
        Lattice.build(slots, words, kept=None).log_prob(writing.hanzi))
