"""From audio files to pinyin, with a trained model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ramospeech.audio import SAMPLE_RATE, AudioError, load_audio
from ramospeech.checkpoints import load_model
from ramospeech.decoders import Decode, Hypothesis, best_paths
from ramospeech.features import HOP_SAMPLES, extract_features, frame_count
from ramospeech.model import REDUCTION, AcousticModel
from ramospeech.paths import SHIPPED_MODEL
from ramospeech.pinyin import Inventory

OUTPUT_SECONDS = REDUCTION * HOP_SAMPLES / SAMPLE_RATE  # the time from one output frame to the next
LONGEST_SECONDS = 15 * 60  # a recording of this length takes 2 GB
LARGEST_BATCH = 300 * SAMPLE_RATE  # samples, padding included; more would fill the memory


class Reading(NamedTuple):
    """What was recognised in one recording."""

    syllables: list[str]
    seconds: list[float]  # when each was recognised: the middle of its output frame
    others: "tuple[Reading, ...]" = ()  # the next best readings, where the decoder was asked for them
    score: float = 0.0  # the decoder's
    error: str | None = None  # why the recording could not be read


def read_hypotheses(
    hypotheses: list[Hypothesis], inventory: Inventory, stride: int = 1
) -> Reading:
    """A decoder's classes and output frames, of a model of a stride, as syllables and seconds."""
    best, *others = [
        Reading(inventory.decode(item.tokens), frame_seconds(item.timesteps, stride),
                score=item.score)
        for item in hypotheses
    ]
    return best._replace(others=tuple(others))


def frame_seconds(timesteps: Iterable[int], stride: int = 1) -> list[float]:
    """The middles of output frames, in seconds."""
    return [round((step + 0.5) * stride * OUTPUT_SECONDS, 2) for step in timesteps]


@dataclass
class Transcript:
    """What was recognised in a recording, or why nothing could be."""

    file: str
    pinyin: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # when each syllable was recognised
    error: str | None = None
    readings: list[Reading] = field(default_factory=list)  # with the next best ones


class Recogniser:
    """A model with what it needs to read recordings."""

    def __init__(
        self, model: AcousticModel, inventory: Inventory, device: str = "cpu",
        decode: Decode | None = None,
    ) -> None:
        self.model, self.inventory, self.device = model.eval().to(device), inventory, device
        self.decode = decode or best_paths(model.loss)

    @classmethod
    def load(cls, path: Path = SHIPPED_MODEL, device: str = "cpu") -> "Recogniser":
        """The shipped model, or the one at `path`. Raises CheckpointError."""
        model, inventory, _ = load_model(path)
        return cls(model, inventory, device)

    def transcribe(self, paths: Iterable[Path | str], batch_size: int = 8) -> Iterator[Transcript]:
        """Read recordings, in the order given; a file that cannot be read gives an `error`."""
        remaining = iter(paths)
        while group := list(islice(remaining, batch_size)):
            loaded = [self._load(path) for path in group]
            waveforms = [item for item in loaded if isinstance(item, Tensor)]
            readings = iter(self.recognise(waveforms) if waveforms else [])
            for path, item in zip(group, loaded):
                if isinstance(item, Tensor):
                    reading = next(readings)
                    yield Transcript(str(path), reading.syllables, reading.seconds,
                                     readings=[reading, *reading.others])
                else:
                    yield Transcript(str(path), error=str(item))

    def recognise(self, waveforms: list[Tensor]) -> list[Reading]:
        """Which syllables, and when; `waveforms` are `(samples,)` each, at 16 kHz."""
        found = [hypotheses for log_probs, lengths in self._listen(waveforms)
                 for hypotheses in self.decode(log_probs, lengths)]
        return [read_hypotheses(item, self.inventory, self.model.stride) for item in found]

    def log_probs(self, waveforms: list[Tensor]) -> list[Tensor]:
        """How probable each class is at each output frame, `(T, classes)` for each waveform."""
        return [row[:length] for log_probs, lengths in self._listen(waveforms)
                for row, length in zip(log_probs.cpu(), lengths.tolist())]

    @torch.inference_mode()
    def _listen(self, waveforms: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """`(batch, T, classes)` and lengths `(batch,)`: of all at once where they fit, or of each."""
        if len(waveforms) > 1 and len(waveforms) * max(map(len, waveforms)) > LARGEST_BATCH:
            for waveform in waveforms:
                yield from self._listen([waveform])
            return
        samples = torch.tensor([len(waveform) for waveform in waveforms])
        padded = pad_sequence(waveforms, batch_first=True)  # (batch, samples)
        features, lengths = extract_features(padded.to(self.device), samples.to(self.device))
        log_probs = self.model(features, lengths).log_softmax(dim=-1)
        yield log_probs, self.model.output_lengths(lengths)

    def _load(self, path: Path | str) -> Tensor | AudioError:
        try:
            waveform = load_audio(path)
            seconds = len(waveform) / SAMPLE_RATE
            if frame_count(len(waveform)) < REDUCTION:
                raise AudioError(f"{path}: too short: {seconds:.3f} s")
            if seconds > LONGEST_SECONDS:
                raise AudioError(f"{path}: too long: {seconds / 60:.0f} minutes; cut it into "
                                 f"pieces of {LONGEST_SECONDS // 60} at most")
            return waveform
        except AudioError as error:
            return error
