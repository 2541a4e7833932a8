"""Recordings to hanzi.

    speech = SpeechToText.load()
    for result in speech.transcribe(["a.wav", "b.mp3"]):
        print(result.hanzi, result.syllables, result.seconds)
    speech.write(waveform, nbest=5)   # (samples,) at 16 kHz: the five best sentences

The n best hypotheses of the first pass, with their alternatives, are rescored with words
(`joint_decoding`). Recordings longer than a minute are split into segments, each written by itself.
"""

from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.decoding.greedy import greedy_decoder
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.language.edit_distance import edits
from ramospeech.language.pinyin_to_hanzi import Converter
from ramospeech.language.word_lattice import Lattice, WordSequence, certain_sets
from ramospeech.language.word_model import WordModel
from ramospeech.recognition.joint_decoding import HYPOTHESES, JointWeights, confusion_networks, joint_search
from ramospeech.recognition.recogniser import Recogniser, make_transcripts
from ramospeech.recognition.results import Result, Transcript
from ramospeech.recognition.streaming import Progress, recognise_recordings

__all__ = ["SpeechToText", "log_prob"]


class SpeechToText:
    """A recogniser and a word model."""

    def __init__(
        self, recogniser: Recogniser, words: WordModel, weights: JointWeights = JointWeights()
    ) -> None:
        self.recogniser, self.words, self.weights = recogniser, words, weights

    @classmethod
    def load(cls, model: Path = SHIPPED_MODEL, device: str = "cpu") -> "SpeechToText":
        """Load the shipped model or a model file, and the shipped words. Raises CheckpointError."""
        return cls(Recogniser.load(model, device), WordModel.load())

    def transcribe(
        self, paths: Iterable[Path | str], batch_size: int = 8, nbest: int = 1,
        progress: Progress = lambda seconds: None,
    ) -> Iterator[Result]:
        """Yield a result with its `nbest` best sentences for each recording, or as many as there are.

        Recordings are read as `recognise_recordings` does.
        """
        def recognise(waveforms: list[Tensor]) -> list[Result]:
            return [self._search(item, nbest) for item in self.recogniser.log_probs(waveforms)]

        return recognise_recordings(paths, recognise, batch_size, nbest, progress)

    def write(self, waveform: Tensor, nbest: int = 1) -> Result:
        """Return the `nbest` best sentences for `(samples,)` at 16 kHz, at most a minute."""
        (log_probs,) = self.recogniser.log_probs([waveform])
        return self._search(log_probs, nbest)

    def _search(self, log_probs: Tensor, nbest: int) -> Result:
        """Decode `(T, classes)` and rescore with words."""
        recogniser = self.recogniser
        hypotheses = self._first_pass(log_probs)
        transcripts = make_transcripts(hypotheses, recogniser.vocabulary, recogniser.model.subsampling)
        networks = confusion_networks(log_probs, hypotheses, recogniser.vocabulary)
        sentences = [self._sentence(writing, transcripts) for writing in
                     joint_search(networks, self.words, self.weights, nbest)]
        return Result(transcripts=sentences or [self._as_recognised(transcripts[0])],
                      first_pass=transcripts[0])

    def _sentence(self, writing: WordSequence, transcripts: list[Transcript]) -> Transcript:
        """Return a writing with the times of the most similar first-pass transcript."""
        similar = min((item for item in transcripts if len(item.syllables) == len(writing.syllables)),
                      key=lambda item: edits(item.syllables, writing.syllables))
        return Transcript(writing.syllables, similar.seconds, writing.score, tuple(writing.hanzi),
                          log_prob(writing, self.words))

    def _as_recognised(self, transcript: Transcript) -> Transcript:
        """Write the syllables one by one where there are hanzi, and leave the others in pinyin."""
        (found,) = Converter(self.words).candidates(" ".join(transcript.syllables))
        tokens, rest = [], found.hanzi
        for syllable in transcript.syllables:
            length = 1 if self.words.homophones((syllable,)) else len(syllable)
            tokens.append(rest[:length])
            rest = rest[length:].lstrip()
        return transcript._replace(tokens=tuple(tokens), log_prob=found.log_prob)

    def _first_pass(self, log_probs: Tensor) -> list[Hypothesis]:
        """Return the n best; a model trained with ACE alone has only its best path."""
        if self.recogniser.model.loss == "ace":
            return greedy_decoder("ace")(log_probs[None], torch.tensor([len(log_probs)]))[0]
        # For one utterance a list of hypotheses, not a list of lists.
        return cast(list[Hypothesis], prefix_beam_search(log_probs, nbest=HYPOTHESES))


def log_prob(writing: WordSequence, words: WordModel) -> float:
    """Return ln P(hanzi | syllables), among all ways to write these syllables."""
    sets = certain_sets(writing.syllables)
    pruned = Lattice.build(sets, words).log_prob(writing.hanzi)
    # An improbable writing may have been pruned: only then is the slow exact sum needed.
    return pruned if pruned > -inf else Lattice.build(sets, words, None).log_prob(writing.hanzi)
