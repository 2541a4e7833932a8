"""From audio files to pinyin, with a trained model."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ramospeech.audio.features import HOP_SAMPLES, extract_features
from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.decoding.greedy import best_paths
from ramospeech.decoding.hypothesis import Decode, Hypothesis
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.checkpoints import load_model
from ramospeech.models.dfcnn import REDUCTION, AcousticModel
from ramospeech.recognition.front_end import read_recordings
from ramospeech.recognition.results import Reading, Result

OUTPUT_SECONDS = REDUCTION * HOP_SAMPLES / SAMPLE_RATE  # the time from one output frame to the next


def make_readings(
    hypotheses: Iterable[Hypothesis], vocabulary: Vocabulary, subsampling: int = 1
) -> list[Reading]:
    """A decoder's classes and output frames, of a model of a subsampling, as syllables and seconds."""
    return [Reading(tuple(vocabulary.decode(item.tokens)), frame_seconds(item.timesteps, subsampling),
                    item.score)
            for item in hypotheses]


def frame_seconds(timesteps: Iterable[int], subsampling: int = 1) -> tuple[float, ...]:
    """The middles of output frames, in seconds."""
    return tuple(round((step + 0.5) * subsampling * OUTPUT_SECONDS, 2) for step in timesteps)


class Recogniser:
    """A model with what it needs to read recordings."""

    def __init__(
        self, model: AcousticModel, vocabulary: Vocabulary, device: torch.device | str = "cpu",
        decode: Decode | None = None,
    ) -> None:
        self.model, self.vocabulary, self.device = model.eval().to(device), vocabulary, device
        self.decode = decode or best_paths(model.loss)

    @classmethod
    def load(cls, path: Path = SHIPPED_MODEL, device: str = "cpu") -> "Recogniser":
        """The shipped model, or the one at `path`. Raises CheckpointError."""
        model, vocabulary, _ = load_model(path)
        return cls(model, vocabulary, device)

    def transcribe(
        self, paths: Iterable[Path | str], batch_size: int = 8, count: int = 1,
        tell: Callable[[float], object] = lambda seconds: None,
    ) -> Iterator[Result]:
        """Read recordings, as `read_recordings` does; of each the `count` best readings, or as many
        as the decoder gives.
        """
        return read_recordings(paths, self.recognise, batch_size, count, tell)

    def recognise(self, waveforms: list[Tensor]) -> list[Result]:
        """Which syllables, and when; `waveforms` are `(samples,)` each, at 16 kHz, one batch."""
        found = [make_readings(hypotheses, self.vocabulary, self.model.subsampling)
                 for hypotheses in self.decode(*self._listen(waveforms))]
        return [Result(readings=readings, heard=readings[0]) for readings in found]

    def log_probs(self, waveforms: list[Tensor]) -> list[Tensor]:
        """How probable each class is at each output frame, `(T, classes)` for each waveform."""
        log_probs, lengths = self._listen(waveforms)
        return [row[:length] for row, length in zip(log_probs.cpu(), lengths.tolist())]

    @torch.inference_mode()
    def _listen(self, waveforms: list[Tensor]) -> tuple[Tensor, Tensor]:
        """`(batch, T, classes)` and lengths `(batch,)`."""
        samples = torch.tensor([len(waveform) for waveform in waveforms])
        padded = pad_sequence(waveforms, batch_first=True)  # (batch, samples)
        features, lengths = extract_features(padded.to(self.device), samples.to(self.device))
        log_probs = self.model(features, lengths).log_softmax(dim=-1)
        return log_probs, self.model.output_lengths(lengths)
