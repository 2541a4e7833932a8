"""Length-bucketed batches: which utterances go together, and which process has which of them."""

import math
import zlib
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

Key = tuple[int, int]  # epoch and index: both seed the augmentation of an utterance


class Share:
    """Which of several processes this one is; a process group is one, too."""

    rank, size = 0, 1


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

    They are planned for all processes of `group` together, `batch_size` utterances for each, and
    dealt like cards: every process knows the whole plan, and takes its share of each batch. A share
    may be empty. `dealt` tells what was done of the epoch by other numbers of processes: pairs of
    utterances a batch and batches done, in order. What was done is not dealt again.
    """

    def __init__(
        self, seconds: np.ndarray, batch_size: int, shuffle: bool, seed: int = 0,
        group: Share = Share(),
    ) -> None:
        self.seconds, self.batch_size, self.shuffle, self.seed = seconds, batch_size, shuffle, seed
        self.group = group
        self.epoch, self.start = 0, 0
        self.dealt: list[tuple[int, int]] = []

    @property
    def whole_size(self) -> int:
        """Utterances in the batch that all processes share."""
        return self.batch_size * self.group.size

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever it starts."""
        return math.ceil(len(self.seconds) / self.whole_size)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch = self.epoch
        for batch in self.plan(epoch)[self.start:]:
            yield [(epoch, index) for index in batch[self.group.rank::self.group.size]]

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
