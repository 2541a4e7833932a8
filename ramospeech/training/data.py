"""The data of a training run: which utterances it uses, in which batches."""

import zlib
from dataclasses import replace

import numpy as np

from ramospeech.audio.augment import SPEEDS
from ramospeech.config.settings import Settings
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import SpeechDataset, make_loader
from ramospeech.data.sampler import BucketSampler
from ramospeech.data.usable import find_unreadable, find_unusable, measure_seconds
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.training.distributed import ProcessGroup

__all__ = ["TrainingData"]


class TrainingData:
    """The usable utterances of `train`, in length-bucketed batches, and those of `dev`.

    `unusable` and `unreadable_dev` map the index of each utterance that was excluded from the start
    to the reason; `train` no longer contains the former. Raises ValueError if no utterance is left.
    """

    def __init__(
        self, train: Split, dev: Split, settings: Settings, vocabulary: Vocabulary,
        group: ProcessGroup, workers: int = 0, pin_memory: bool = False,
    ) -> None:
        self.given, self.dev, self.settings, self.vocabulary = train, dev, settings, vocabulary
        self.group, self.workers, self.pin_memory = group, workers, pin_memory
        self.plan(measure_seconds(train))
        self.unreadable_dev = find_unreadable(dev, measure_seconds(dev))
        if len(self.unreadable_dev) == len(dev):
            raise ValueError(f"{dev.corpus} {dev.name}: no recording can be evaluated; "
                             f"the first: {self.unreadable_dev[0]}")

    def plan(self, seconds: np.ndarray) -> None:
        """Choose the usable utterances, given the length of each recording (0: unreadable)."""
        given, settings = self.given, self.settings
        self.seconds = seconds
        fastest = max(SPEEDS) if settings.augment else 1.0
        self.unusable = find_unusable(
            given, seconds, self.vocabulary, fastest, settings.loss, settings.subsampling)
        usable = [index for index in range(len(given)) if index not in self.unusable]
        if not usable:
            raise ValueError(f"{given.corpus} {given.name}: no utterance can be trained on; "
                             f"the first: {self.unusable[0]}")
        self.train = replace(given, utterances=[given.utterances[index] for index in usable])
        dataset = SpeechDataset(
            self.train, self.vocabulary, settings.augment, settings.seed,
            settings.voice_augmentation, settings.subsampling)
        self.loader = make_loader(
            dataset, seconds[usable], settings.batch_size, shuffle=True, workers=self.workers,
            pin_memory=self.pin_memory, group=self.group)

    def replan(self, seconds: np.ndarray) -> None:
        """Resume with the lengths that the run began with, so that its batches stay the same.

        A recording that broke since then keeps its place, which is empty; one that was repaired is
        included. All processes plan with what the first can read.
        """
        if self.group.is_first:
            seconds = np.where(self.seconds == 0, seconds, self.seconds)
        if not np.array_equal(seconds, self.seconds):
            self.plan(seconds)

    @property
    def sampler(self) -> BucketSampler:
        assert isinstance(self.loader.batch_sampler, BucketSampler)
        return self.loader.batch_sampler

    def resume_epoch(self, epoch: int, consumed: list[list[int]]) -> int:
        """Let the loader start after the `consumed` batches; returns the number of those left.

        `consumed` gets a new pair if the number of processes has changed.
        """
        sampler = self.sampler
        if not consumed or consumed[-1][0] != sampler.global_batch_size:
            consumed.append([sampler.global_batch_size, 0])
        sampler.consumed = [(size, count) for size, count in consumed[:-1]]
        sampler.start, sampler.epoch = consumed[-1][1], epoch
        return len(sampler.plan(epoch)) - sampler.start

    @property
    def checksum(self) -> int:
        """A number that identifies the list of recordings."""
        return zlib.crc32("\n".join(utterance.path for utterance in self.given.utterances).encode())

    def close(self) -> None:
        """Stop the worker processes of the loader; it cannot be used again."""
        del self.loader
