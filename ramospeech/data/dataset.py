"""From a split of a corpus to batches for the model."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from ramospeech.audio.augment import random_speed, spec_augment
from ramospeech.audio.features import BINS, frame_count, log_spectrogram, normalise
from ramospeech.audio.io import SAMPLE_RATE, AudioError, load_audio
from ramospeech.audio.voice_augmentation import augment_voice
from ramospeech.data.corpus import Split
from ramospeech.data.sampler import BucketSampler, Key, Shard
from ramospeech.data.usable import too_short
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.losses.batch import frames_needed
from ramospeech.models.dfcnn import REDUCTION
from ramospeech.utils.signal_handling import leave_stopping_to_the_parent

__all__ = ["Batch", "Example", "SpeechDataset", "Unreadable", "collate", "make_loader"]

CACHE_SAMPLES = 4 * 3600 * SAMPLE_RATE  # four hours of audio, 0.9 GB, in each worker


@dataclass
class Example:
    features: Tensor  # (frames, 200)
    target: Tensor  # (syllables,) classes
    index: int  # of the utterance in its split


@dataclass
class Unreadable:
    """Takes the place of an example whose recording cannot be used."""

    index: int
    reason: str  # with the path of the file


@dataclass
class Batch:
    """Utterances padded to the longest of them."""

    features: Tensor  # (batch, frames, 200)
    feature_lengths: Tensor  # (batch,) frames
    targets: Tensor  # (batch, S) classes
    target_lengths: Tensor  # (batch,) syllables
    indices: list[int]
    left_out: dict[int, str] = field(default_factory=dict)  # index: why it could not be read

    def to(self, device: torch.device | str) -> "Batch":
        pinned = self.features.is_pinned()  # then the copy to a GPU is asynchronous
        return self._each(lambda tensor: tensor.to(device, non_blocking=pinned))

    def pin_memory(self) -> "Batch":
        """For a DataLoader: a copy in page-locked memory, which a GPU can read directly."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(change(self.features), change(self.feature_lengths),
                     change(self.targets), change(self.target_lengths), self.indices,
                     self.left_out)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread, as worker processes do: several may sum in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class SpeechDataset(Dataset[Example]):
    """The utterances of a split as features and classes; up to four hours of decoded audio are cached.

    With `augment` the speed is changed and spectrograms are masked. The part `voice_augmentation` of
    the utterances gets voice augmentation, which changes the tempo in place of the speed, and no
    further than a model of this `subsampling` allows.
    Reading one utterance raises AudioError, naming the file, if its recording cannot be read or is
    too short; in a batch an `Unreadable` takes its place.
    """

    def __init__(
        self, split: Split, vocabulary: Vocabulary, augment: bool = False, seed: int = 0,
        voice_augmentation: float = 0.0, subsampling: int = 1,
    ) -> None:
        self.split, self.vocabulary, self.seed = split, vocabulary, seed
        self.augment, self.voice_augmentation, self.subsampling = augment, voice_augmentation, subsampling
        self._waveforms: dict[int, Tensor] = {}
        self._cached_samples = 0

    def __len__(self) -> int:
        return len(self.split)

    def waveform(self, index: int) -> Tensor:
        if index in self._waveforms:
            return self._waveforms[index]
        waveform = load_audio(self.split.audio_path(index))  # (samples,)
        if self._cached_samples + len(waveform) <= CACHE_SAMPLES:
            self._waveforms[index] = waveform
            self._cached_samples += len(waveform)
        return waveform

    def __getitems__(self, keys: list[Key]) -> list[Example | Unreadable]:
        """Called by a DataLoader: the examples of a whole batch."""
        return [self._try(key) for key in keys]

    def _try(self, key: Key) -> Example | Unreadable:
        try:
            return self[key]
        except AudioError as error:
            return Unreadable(key[1], str(error))

    @_one_thread()
    def __getitem__(self, key: Key) -> Example:
        epoch, index = key
        rng = np.random.default_rng((self.seed, epoch, index))
        target = self.vocabulary.encode(self.split.utterances[index].syllables)
        waveform = self.waveform(index)
        augmented = rng.random() < self.voice_augmentation
        if self.augment and not augmented:
            waveform = random_speed(waveform, rng)
        if frame_count(len(waveform)) < REDUCTION:
            raise AudioError(too_short(self.split.audio_path(index), len(waveform) / SAMPLE_RATE))
        spectrogram = log_spectrogram(waveform)  # (frames, 200)
        if augmented:
            min_frames = self.subsampling * REDUCTION * frames_needed(target)
            spectrogram = augment_voice(spectrogram, rng, min_frames)
        features = normalise(spectrogram.unsqueeze(0)).squeeze(0)
        if self.augment:
            features = spec_augment(features, rng)
        return Example(features, torch.tensor(target), index)


def collate(items: list[Example | Unreadable]) -> Batch:
    """Pad examples into a batch, which is empty if there are none; it lists what is unreadable."""
    examples = [item for item in items if isinstance(item, Example)]
    left_out = {item.index: item.reason for item in items if isinstance(item, Unreadable)}
    if not examples:
        nothing = torch.empty(0, dtype=torch.long)
        return Batch(torch.empty(0, REDUCTION, BINS), nothing, nothing, nothing, [], left_out)
    return Batch(
        features=pad_sequence([example.features for example in examples], batch_first=True),
        feature_lengths=torch.tensor([len(example.features) for example in examples]),
        targets=pad_sequence([example.target for example in examples], batch_first=True),
        target_lengths=torch.tensor([len(example.target) for example in examples]),
        indices=[example.index for example in examples],
        left_out=left_out,
    )


def make_loader(
    dataset: SpeechDataset, seconds: np.ndarray, batch_size: int,
    shuffle: bool = False, workers: int = 0, pin_memory: bool = False, group: Shard = Shard(),
) -> DataLoader[Example]:
    """Batches of a dataset; set `loader.batch_sampler.epoch` before each epoch of training.

    The first is number `loader.batch_sampler.start`; those before it are not loaded. Each is this
    process's shard of a batch of its `group`. The result does not depend on the number of `workers`.
    """
    sampler = BucketSampler(seconds, batch_size, shuffle, dataset.seed, group)
    return DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers,
        persistent_workers=workers > 0, worker_init_fn=leave_stopping_to_the_parent,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or loading would use up random numbers of the dropout
    )
