"""From a split of a corpus to batches that the model can take."""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm import tqdm

from ramospeech.audio import SAMPLE_RATE, AudioError, audio_seconds, load_audio
from ramospeech.augment import random_speed, spec_augment
from ramospeech.corpora import Split
from ramospeech.disguise import disguise
from ramospeech.features import BINS, frame_count, log_spectrogram, normalise
from ramospeech.losses import frames_needed
from ramospeech.model import REDUCTION, output_count
from ramospeech.pinyin import Inventory
from ramospeech.segments import whole_seconds
from ramospeech.stopping import leave_stopping_to_the_parent
from ramospeech.world import World

CACHE_SAMPLES = 4 * 3600 * SAMPLE_RATE  # four hours of audio, 0.9 GB, in each worker

Key = tuple[int, int]  # epoch and index: both seed the augmentation of an utterance


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

    With `augment` an utterance's speed is changed and spectrograms are masked; the part `disguise`
    of the utterances gets another voice and room, and a tempo in place of a speed, at which a model
    of this `stride` can still hold them.
    One utterance raises AudioError, naming the file, where its recording cannot be read or is too
    short; in a batch of them an `Unreadable` stands in its place, and the others are there.
    """

    def __init__(
        self, split: Split, inventory: Inventory, augment: bool = False, seed: int = 0,
        disguise: float = 0.0, stride: int = 1,
    ) -> None:
        self.split, self.inventory, self.seed = split, inventory, seed
        self.augment, self.disguise, self.stride = augment, disguise, stride
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
        target = self.inventory.encode(self.split.utterances[index].syllables)
        waveform = self.waveform(index)
        disguised = rng.random() < self.disguise
        if self.augment and not disguised:
            waveform = random_speed(waveform, rng)
        if frame_count(len(waveform)) < REDUCTION:
            raise AudioError(_too_short(self.split.audio_path(index), len(waveform) / SAMPLE_RATE))
        spectrogram = log_spectrogram(waveform)  # (frames, 200)
        if disguised:
            spectrogram = disguise(spectrogram, rng, self.stride * REDUCTION * frames_needed(target))
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


def plan_batches(
    seconds: np.ndarray, batch_size: int, rng: np.random.Generator | None = None
) -> list[list[int]]:
    """Batches of utterances of about the same length, so that little of a batch is padding.

    With `rng` the lengths are shaken by a tenth and the batches shuffled, so that every epoch mixes
    anew; without it the shortest come first.
    """
    shaken = seconds if rng is None else seconds * rng.uniform(0.9, 1.1, len(seconds))
    order = np.argsort(shaken, kind="stable").tolist()
    batches = [order[i:i + batch_size] for i in range(0, len(order), batch_size)]
    if rng is not None:
        rng.shuffle(batches)
    return batches


class BucketSampler(Sampler[list[Key]]):
    """The batches of one epoch after another, as keys of a SpeechDataset.

    They are planned for all processes of `world` together, `batch_size` utterances for each, and
    dealt like cards: every process knows the whole plan, and takes its share of each batch. A share
    may be empty. `dealt` tells what was done of the epoch by other numbers of processes: pairs of
    utterances a batch and batches done, in order. What was done is not dealt again.
    """

    def __init__(
        self, seconds: np.ndarray, batch_size: int, shuffle: bool, seed: int = 0,
        world: World = World(),
    ) -> None:
        self.seconds, self.batch_size, self.shuffle, self.seed = seconds, batch_size, shuffle, seed
        self.world = world
        self.epoch, self.start = 0, 0
        self.dealt: list[tuple[int, int]] = []

    @property
    def whole_size(self) -> int:
        """Utterances in the batch that all processes share."""
        return self.batch_size * self.world.size

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever it starts."""
        return math.ceil(len(self.seconds) / self.whole_size)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch = self.epoch
        for batch in self.plan(epoch)[self.start:]:
            yield [(epoch, index) for index in batch[self.world.rank::self.world.size]]

    def plan(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch, but for those in `dealt`."""
        left = np.arange(len(self.seconds))
        for size, count in self.dealt:
            done = self._batches(left, size, epoch)[:count]
            left = np.setdiff1d(left, np.concatenate([[], *done]))
        return self._batches(left, self.whole_size, epoch)

    def _batches(self, indices: np.ndarray, size: int, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((self.seed, epoch)) if self.shuffle else None
        plan = plan_batches(self.seconds[indices], size, rng)
        return [indices[batch].tolist() for batch in plan]

    def fingerprint(self, epoch: int) -> int:
        """A number that is another where the data or the settings are others.

        However many processes there are: where their number changes, the epoch goes on.
        """
        plan = self._batches(np.arange(len(self.seconds)), self.batch_size, epoch)
        return zlib.crc32(repr(plan).encode())


def make_loader(
    dataset: SpeechDataset, seconds: np.ndarray, batch_size: int,
    shuffle: bool = False, workers: int = 0, pin_memory: bool = False, world: World = World(),
) -> DataLoader[Example]:
    """Batches of a dataset; set `loader.batch_sampler.epoch` before each epoch of training.

    Its batches begin at `loader.batch_sampler.start`, without loading those before, and are this
    process's share of those of its `world`. The number of `workers`, which load, changes nothing.
    """
    sampler = BucketSampler(seconds, batch_size, shuffle, dataset.seed, world)
    return DataLoader(
        dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers,
        persistent_workers=workers > 0, worker_init_fn=leave_stopping_to_the_parent,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # or loading would draw from the numbers that dropout uses
    )


def measure_seconds(split: Split) -> np.ndarray:
    """The length of every recording, from the files' headers; 0 where no header can be read."""
    paths = (split.audio_path(index) for index in range(len(split)))
    bar = tqdm(paths, total=len(split), desc=f"lengths of {split.corpus} {split.name}", leave=False)
    return np.array([whole_seconds(path) for path in bar])


def find_unreadable(split: Split, seconds: np.ndarray) -> dict[int, str]:
    """Recordings whose headers tell that they are of no use, each with the reason.

    They cannot be read, or have too few frames for the model. What is silent, or damaged inside,
    is found only when it is read.
    """
    short = np.flatnonzero(frame_count(np.rint(seconds * SAMPLE_RATE).astype(int)) < REDUCTION)
    return {index: _why_unreadable(split.audio_path(index), seconds[index])
            for index in short.tolist()}


def _why_unreadable(path: Path, seconds: float) -> str:
    try:
        audio_seconds(path)
        return _too_short(path, seconds)
    except AudioError as error:
        return str(error)


def _too_short(path: Path, seconds: float) -> str:
    return f"{path}: too short: {seconds:.3f} s"


def find_unusable(
    split: Split, seconds: np.ndarray, inventory: Inventory, fastest: float = 1.0,
    loss: str = "ctc", stride: int = 1,
) -> dict[int, str]:
    """Utterances that cannot be read, or that the loss cannot align, each with the reason.

    `fastest` is the highest speed that augmentation plays them at, `stride` the model's.
    """
    unusable = find_unreadable(split, seconds)
    samples = np.ceil(seconds * SAMPLE_RATE / fastest - 1e-6).astype(int)  # resampling rounds up
    outputs = output_count(frame_count(samples), stride)
    for index, (utterance, frames) in enumerate(zip(split.utterances, outputs.tolist())):
        needed = max(1, frames_needed(inventory.encode(utterance.syllables), loss))
        if frames < needed and index not in unusable:
            unusable[index] = (f"{utterance.path}: {len(utterance.syllables)} syllables need "
                               f"{needed} output frames, {seconds[index]:.2f} s give {frames}")
    return unusable
