"""From a split of a corpus to batches that the model can take."""

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
from ramospeech.data.sampler import BucketSampler, Key, Share
from ramospeech.data.usable import too_short
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.losses.batch import frames_needed
from ramospeech.models.dfcnn import REDUCTION
from ramospeech.utils.signal_handling import leave_stopping_to_the_parent

CACHE_SAMPLES = 4 * 3600 * SAMPLE_RATE  # four hours of audio, 0.9 GB, in each worker


@dataclass
class Example:
    features: Tensor  # (frames, 200)
    target: Tensor  # (syllables,) classes
    index: int  # of the utterance in its split


@dataclass
class Unreadable:
    """An utterance whose recording cannot be used, in the place of its example."""

    index: int
    reason: str  # names the file


@dataclass
class Batch:
    """Utterances padded to the longest of them."""

    features: Tensor  # (batch, frames, 200)
    feature_lengths: Tensor  # (batch,) frames
    targets: Tensor  # (batch, S) classes
    target_lengths: Tensor  # (batch,) syllables
    indices: list[int]
    left_out: dict[int, str] = field(default_factory=dict)  # by index: why it could not be read

    def to(self, device: torch.device | str) -> "Batch":
        pinned = self.features.is_pinned()  # then the copy to a GPU need not be waited for
        return self._each(lambda tensor: tensor.to(device, non_blocking=pinned))

    def pin_memory(self) -> "Batch":
        """For a DataLoader: a copy in memory that a GPU can read by itself."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(change(self.features), change(self.feature_lengths),
                     change(self.targets), change(self.target_lengths), self.indices,
                     self.left_out)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads may add up in another order: here as in a worker process, which has one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class SpeechDataset(Dataset[Example]):
    """The utterances of a split as features and classes; decoded audio stays in memory, up to 4 h.

    With `augment` an utterance's speed is changed and spectrograms are masked; the part `voice_augmentation`
    of the utterances gets another voice and room, and a tempo in place of a speed, at which a model
    of this `subsampling` can still hold them.
    One utterance raises AudioError, naming the file, where its recording cannot be read or is too
    short; in a batch of them an `Unreadable` stands in its place, and the others are there.
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
        """What a DataLoader asks for: a whole batch."""
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
        disguised = rng.random() < self.voice_augmentation
        if self.augment and not disguised:
            waveform = random_speed(waveform, rng)
        if frame_count(len(waveform)) < REDUCTION:
            raise AudioError(too_short(self.split.audio_path(index), len(waveform) / SAMPLE_RATE))
        spectrogram = log_spectrogram(waveform)  # (frames, 200)
        if disguised:
            min_frames = self.subsampling * REDUCTION * frames_needed(target)
            spectrogram = augment_voice(spectrogram, rng, min_frames)
        features = normalise(spectrogram.unsqueeze(0)).squeeze(0)
        if self.augment:
            features = spec_augment(features, rng)
        return Example(features, torch.tensor(target), index)


def collate(items: list[Example | Unreadable]) -> Batch:
    """Pad examples into a batch; none make an empty one. What is unreadable is told beside it."""
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
    shuffle: bool = False, workers: int = 0, pin_memory: bool = False, group: Share = Share(),
) -> DataLoader[Example]:
    """Batches of a dataset; set `loader.batch_sampler.epoch` before each epoch of training.

    Its batches begin at `loader.batch_sampler.start`, without loading those before, and are this
    process's share of those of its `group`. The number of `workers`, which load, changes nothing.
    """
    sampler = BucketSampler(seconds, batch_size, shuffle, dataset.seed, group)
    return DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers,
        persistent_workers=workers > 0, worker_init_fn=leave_stopping_to_the_parent,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or loading would draw from the numbers that dropout uses
    )
