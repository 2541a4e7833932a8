"""Length-bucketed batches: which utterances go together, and which process gets which of them."""

import math
import zlib
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

__all__ = ["BucketSampler", "Key", "Shard", "plan_batches"]

Key = tuple[int, int]  # epoch and index: both seed the augmentation of an utterance


class Shard:
    """Which of several processes this one is; by default the only one."""

    rank, size = 0, 1


def plan_batches(
    seconds: np.ndarray, batch_size: int, rng: np.random.Generator | None = None
) -> list[list[int]]:
    """Group utterances of about the same length, so that batches need little padding.

    `seconds` is `(utterances,)`; returns indices into it. With `rng` the lengths are jittered by a
    tenth and the batches shuffled, so that every epoch mixes anew; without it the shortest come first.
    """
    jittered = seconds if rng is None else seconds * rng.uniform(0.9, 1.1, len(seconds))
    order = np.argsort(jittered, kind="stable").tolist()
    batches = [order[i:i + batch_size] for i in range(0, len(order), batch_size)]
    if rng is not None:
        rng.shuffle(batches)
    return batches


class BucketSampler(Sampler[list[Key]]):
    """One process's shard of every batch of an epoch, as keys of a SpeechDataset.

    All processes compute the same plan of global batches, `batch_size` utterances per process, and
    each takes its shard of every batch, which may be empty. `consumed` holds what was trained on
    earlier in the epoch by other numbers of processes: pairs of utterances per batch and batches, in
    order. These utterances are not planned again.
    """

    def __init__(
        self, seconds: np.ndarray, batch_size: int, shuffle: bool, seed: int = 0,
        group: Shard = Shard(),
    ) -> None:
        self.seconds, self.batch_size, self.shuffle, self.seed = seconds, batch_size, shuffle, seed
        self.group = group
        self.epoch, self.start = 0, 0
        self.consumed: list[tuple[int, int]] = []

    @property
    def global_batch_size(self) -> int:
        """Utterances per batch, over all processes."""
        return self.batch_size * self.group.size

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever it starts."""
        return math.ceil(len(self.seconds) / self.global_batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch = self.epoch
        for batch in self.plan(epoch)[self.start:]:
            yield [(epoch, index) for index in batch[self.group.rank::self.group.size]]

    def plan(self, epoch: int) -> list[list[int]]:
        """The global batches of an epoch, without the utterances in `consumed`."""
        left = np.arange(len(self.seconds))
        for size, count in self.consumed:
            done = self._batches(left, size, epoch)[:count]
            left = np.setdiff1d(left, np.concatenate([[], *done]))
        return self._batches(left, self.global_batch_size, epoch)

    def _batches(self, indices: np.ndarray, size: int, epoch: int) -> list[list[int]]:
        rng = np.random.default_rng((self.seed, epoch)) if self.shuffle else None
        plan = plan_batches(self.seconds[indices], size, rng)
        return [indices[batch].tolist() for batch in plan]

    def fingerprint(self, epoch: int) -> int:
        """A number that changes with the data and the settings, not with the number of processes."""
        plan = self._batches(np.arange(len(self.seconds)), self.batch_size, epoch)
        return zlib.crc32(repr(plan).encode())
