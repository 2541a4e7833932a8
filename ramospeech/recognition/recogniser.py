"""Audio files to pinyin, with a trained acoustic model."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ramospeech.audio.features import HOP_SAMPLES, extract_features
from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.decoding.greedy import greedy_decoder
from ramospeech.decoding.hypothesis import Decode, Hypothesis
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.checkpoints import load_model
from ramospeech.models.dfcnn import REDUCTION, AcousticModel
from ramospeech.recognition.results import Result, Transcript
from ramospeech.recognition.streaming import Progress, recognise_recordings

__all__ = ["OUTPUT_SECONDS", "Recogniser", "frame_seconds", "make_transcripts"]

OUTPUT_SECONDS = REDUCTION * HOP_SAMPLES / SAMPLE_RATE  # per output frame, without subsampling


def make_transcripts(
    hypotheses: Iterable[Hypothesis], vocabulary: Vocabulary, subsampling: int = 1
) -> list[Transcript]:
    """Return a decoder's classes and output frames as syllables and seconds."""
    return [Transcript(tuple(vocabulary.decode(item.tokens)),
                       frame_seconds(item.timesteps, subsampling), item.score)
            for item in hypotheses]


def frame_seconds(timesteps: Iterable[int], subsampling: int = 1) -> tuple[float, ...]:
    """Return the middles of output frames in seconds."""
    return tuple(round((step + 0.5) * subsampling * OUTPUT_SECONDS, 2) for step in timesteps)


class Recogniser:
    """An acoustic model with its vocabulary and a decoder."""

    def __init__(
        self, model: AcousticModel, vocabulary: Vocabulary, device: torch.device | str = "cpu",
        decode: Decode | None = None,
    ) -> None:
        self.model, self.vocabulary, self.device = model.eval().to(device), vocabulary, device
        self.decode = decode or greedy_decoder(model.loss)

    @classmethod
    def load(cls, path: Path = SHIPPED_MODEL, device: str = "cpu") -> "Recogniser":
        """Load the shipped model, or the one at `path`. Raises CheckpointError."""
        model, vocabulary, _ = load_model(path)
        return cls(model, vocabulary, device)

    def transcribe(
        self, paths: Iterable[Path | str], batch_size: int = 8, nbest: int = 1,
        progress: Progress = lambda seconds: None,
    ) -> Iterator[Result]:
        """Yield a result for each recording, as `recognise_recordings` does.

        It has the `nbest` best transcripts, or as many as the decoder returns.
        """
        return recognise_recordings(paths, self.recognise, batch_size, nbest, progress)

    def recognise(self, waveforms: list[Tensor]) -> list[Result]:
        """Recognise a batch of waveforms, `(samples,)` each, at 16 kHz."""
        found = [make_transcripts(hypotheses, self.vocabulary, self.model.subsampling)
                 for hypotheses in self.decode(*self._forward(waveforms))]
        return [Result(transcripts=transcripts, first_pass=transcripts[0]) for transcripts in found]

    def log_probs(self, waveforms: list[Tensor]) -> list[Tensor]:
        """Return the log-probabilities of the classes, `(T, classes)` for each waveform."""
        log_probs, lengths = self._forward(waveforms)
        return [row[:length] for row, length in zip(log_probs.cpu(), lengths.tolist())]

    @torch.inference_mode()
    def _forward(self, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return log-probabilities `(batch, T, classes)` and lengths `(batch,)`."""
        samples = torch.tensor([len(waveform) for waveform in waveforms])
        padded = pad_sequence(waveforms, batch_first=True)  # (batch, samples)
        features, lengths = extract_features(padded.to(self.device), samples.to(self.device))
        log_probs = self.model(features, lengths).log_softmax(dim=-1)
        return log_probs, self.model.output_lengths(lengths)
