"""A process group of threads, which exchange what processes would."""

import copy
import math
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_trainer import SETTINGS, few, same, weights
from torch import nn

from ramospeech.config.settings import Settings
from ramospeech.data.corpus import Split
from ramospeech.data.sampler import BucketSampler
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.distributed import ProcessGroup, join_process_group
from ramospeech.training.schedule import warmup_cosine
from ramospeech.training.state import restore, state_of
from ramospeech.training.trainer import Trainer


LOCK = threading.Lock()


class Thread(ProcessGroup):
    """One of `size` threads; each waits for all others at every exchange."""

    def __init__(self, rank: int, size: int, table: list, barrier: threading.Barrier) -> None:
        self.rank, self.size, self.table, self.barrier = rank, size, table, barrier

    def gather(self, item):
        self.table[self.rank] = item
        self.barrier.wait(60)
        everything = list(self.table)
        self.barrier.wait(60)
        return everything

    def sum(self, tensors, name):
        return [sum(parts[1:], parts[0]) for parts in zip(*self.gather(tensors))]

    def max(self, number, name):
        return max(self.gather(number))

    def any(self, asked):
        return any(self.gather(asked))

    def from_first(self, item):
        return self.gather(item)[0]


def in_threads(size: int, work: Callable[[ProcessGroup], object]) -> list:
    """What `work(group)` returns in each process of a group of `size`; the first error is raised here."""
    table, barrier = [None] * size, threading.Barrier(size)
    results: list = [None] * size
    errors = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(Thread(rank, size, table, barrier))
        except Exception as error:  # noqa: BLE001 raised again below
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def group_of(rank: int, size: int) -> ProcessGroup:
    group = ProcessGroup()
    group.rank, group.size = rank, size
    return group


def shards(seconds, batch_size, size, consumed=()) -> list[list[list[int]]]:
    """For each process: its shard of each batch of epoch 3."""
    result = []
    for rank in range(size):
        sampler = BucketSampler(seconds, batch_size, True, 7, group_of(rank, size))
        sampler.epoch, sampler.consumed = 3, list(consumed)
        result.append([[index for _, index in keys] for keys in sampler])
    return result


# Sharding


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 6))
def test_every_utterance_is_in_one_shard(count, batch_size, size):
    seconds = np.random.default_rng(count).uniform(1, 5, count)
    sharded = shards(seconds, batch_size, size)
    assert len({len(shard) for shard in sharded}) == 1  # all take the same number of steps
    assert sorted(index for shard in sharded for batch in shard for index in batch) == list(range(count))
    (alone,) = shards(seconds, batch_size * size, 1)
    together = [sorted(sum(batches, [])) for batches in zip(*sharded)]
    assert together == [sorted(batch) for batch in alone]
    for batches in zip(*sharded):
        assert max(map(len, batches)) - min(map(len, batches)) <= 1


@given(st.integers(1, 40), st.integers(1, 4),
       st.lists(st.tuples(st.integers(1, 5), st.integers(0, 3)), max_size=4), st.integers(1, 5))
def test_the_epoch_continues_when_the_number_of_processes_changes(count, batch_size, changes, last):
    """After so many batches by so many processes, and again, the rest is sharded once."""
    seconds = np.random.default_rng(count).uniform(1, 5, count)
    consumed, seen = [], []
    for size, wanted in changes:
        batches = [sum(batch, []) for batch in zip(*shards(seconds, batch_size, size, consumed))]
        seen += sum(batches[:wanted], [])
        consumed.append((batch_size * size, min(wanted, len(batches))))
    rest = shards(seconds, batch_size, last, consumed)
    seen += [index for shard in rest for batch in shard for index in batch]
    assert sorted(seen) == list(range(count))


# Learning


@pytest.fixture
def steady(monkeypatch):
    """No dropout, fixed batch statistics: then a loss does not depend on who else is in a batch."""
    monkeypatch.setattr(AcousticModel, "train", lambda model, _=True: nn.Module.train(model, False))


def trainer_of(group: ProcessGroup, train: Split, dev: Split, settings: Settings) -> Trainer:
    """All begin with the first one's weights; one at a time, for they draw from one generator."""
    with LOCK:
        trainer = Trainer(train, dev, settings, group=group)
    state = group.from_first(copy.deepcopy(state_of(trainer)))
    if not group.is_first:
        restore(trainer, state)
    return trainer


@pytest.mark.parametrize("size, batch_size, count", [
    (2, 2, 12), (2, 2, 11),  # an uneven last batch
    (3, 2, 8), (4, 1, 2),  # fewer utterances than processes
])
def test_workers_learn_what_one_would_with_their_batches_together(
    train, dev, one_thread, steady, size, batch_size, count
):
    split = few(train, count)
    settings = replace(SETTINGS, batch_size=batch_size, rate_scaling=0.0)

    def learn(group: ProcessGroup) -> tuple[list[float], Trainer]:
        trainer = trainer_of(group, split, dev, settings)
        return [trainer.train_epoch() for _ in range(2)], trainer

    results = in_threads(size, learn)
    alone = Trainer(split, dev, replace(settings, batch_size=size * batch_size))
    losses = [alone.train_epoch() for _ in range(2)]
    for found, trainer in results:
        assert found == pytest.approx(losses, rel=1e-4)
        assert same(weights(trainer), weights(results[0][1]))
        assert (trainer.step, trainer.epoch) == (alone.step, alone.epoch)
    for name, tensor in alone.model.state_dict().items():
        assert torch.allclose(results[0][1].model.state_dict()[name], tensor, rtol=1e-3, atol=1e-4), name
    before = Trainer(split, dev, settings).model
    assert not torch.allclose(before.fc1.weight, alone.model.fc1.weight, atol=1e-3)


def test_gradients_and_statistics_are_means_over_utterances(train, dev, one_thread):
    """Against the shares one after the other, weighted by their counts: 3 and 2 of 5."""
    split, settings = few(train, 5), replace(SETTINGS, batch_size=3)

    def step(group: ProcessGroup) -> Trainer:
        trainer = trainer_of(group, split, dev, settings)
        trainer.model.dropout.p = trainer.model.rnn.dropout = 0.0
        trainer.model.train()
        trainer.train_batch(next(iter(trainer.data.loader)))
        return trainer

    first, second = in_threads(2, step)
    assert same(weights(first), weights(second))
    wanted = {}
    for rank, share in ((0, 3), (1, 2)):
        alone = Trainer(split, dev, settings)
        alone.model.dropout.p = alone.model.rnn.dropout = 0.0
        alone.model.train()
        sampler = BucketSampler(alone.data.loader.batch_sampler.seconds, 3, True, settings.seed,
                                group_of(rank, 2))
        batch = alone.data.loader.collate_fn([alone.data.loader.dataset[key] for key in next(iter(sampler))])
        assert len(batch.indices) == share
        alone.forward_backward(batch)
        for name, buffer in alone.model.named_buffers():
            wanted[name] = wanted.get(name, 0) + share / 5 * buffer
        for name, parameter in alone.model.named_parameters():
            wanted[name] = wanted.get(name, 0) + share / 5 * parameter.grad
    norm = torch.stack([wanted[name].norm() for name, _ in first.model.named_parameters()]).norm()
    cut = min(1.0, settings.clip_norm / float(norm))
    for name, parameter in first.model.named_parameters():
        assert torch.allclose(parameter.grad, cut * wanted[name], rtol=1e-3, atol=1e-5), name
    for name, buffer in first.model.named_buffers():
        if buffer.is_floating_point():
            assert torch.allclose(buffer, wanted[name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("size, count", [(2, 4), (3, 5), (2, 1)])  # the last: one is idle
def test_synchronised_normalisation_sees_the_whole_batch(
    train, dev, one_thread, monkeypatch, size, count
):
    """Against PyTorch's own batch normalisation of the whole batch in one process.

    In float64: at its start the network makes much of every rounding.
    """
    forward = AcousticModel.forward
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x)
    monkeypatch.setattr(AcousticModel, "forward",
                        lambda self, x, lengths: forward(self, x.double(), lengths))
    split = few(train, count)
    settings = replace(SETTINGS, batch_size=2, sync_norm=True, gradient_sharing=0.0)

    def learn(group: ProcessGroup) -> tuple[float, Trainer]:
        trainer = trainer_of(group, split, dev, settings)
        trainer.model.double().rnn.dropout = 0.0
        return trainer.train_epoch(), trainer

    results = in_threads(size, learn)
    alone = Trainer(split, dev, replace(settings, batch_size=size * 2))
    alone.model.double().rnn.dropout = 0.0
    loss = alone.train_epoch()
    wanted = torch.cat([parameter.grad.flatten() for parameter in alone.model.parameters()])
    for found, trainer in results:
        assert found == pytest.approx(loss, rel=1e-6)
        gradient = torch.cat([parameter.grad.flatten() for parameter in trainer.model.parameters()])
        assert (gradient - wanted).norm() < 1e-9 * wanted.norm()
        for name, buffer in alone.model.named_buffers():
            assert torch.allclose(trainer.model.get_buffer(name), buffer), name


def test_what_does_not_fit_into_memory_has_no_weight(train, dev, one_thread, steady, monkeypatch):
    split, settings = few(train, 4), replace(SETTINGS, batch_size=2, rate_scaling=0.0)

    def step(group: ProcessGroup) -> tuple[float, Trainer]:
        trainer = trainer_of(group, split, dev, settings)
        trainer.model.train()
        if group.rank == 1:
            def refuse(*_):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            trainer.model.forward = refuse
        return trainer.train_batch(next(iter(trainer.data.loader))), trainer

    (loss, first), (other, second) = in_threads(2, step)
    assert loss == other and same(weights(first), weights(second))
    alone = Trainer(split, dev, settings)
    alone.model.train()
    batch = next(iter(first.data.loader))
    assert alone.train_batch(batch) == pytest.approx(loss, rel=1e-5)
    assert second.refused.total() == 2 and not first.refused


def test_the_rate_is_scaled_and_warmed_up(train, dev):
    for power, factor in ((0.0, 1), (0.5, 2), (1.0, 4)):
        settings = replace(SETTINGS, rate_scaling=power, epochs=40)
        trainer = Trainer(train, dev, settings, group=group_of(0, 4))
        rates = [trainer.peak_learning_rate * warmup_cosine(step, trainer.total_steps, settings.warmup)
                 for step in range(trainer.total_steps)]
        assert max(rates) == pytest.approx(factor * settings.learning_rate)
        assert rates[0] < max(rates) / 2


def test_a_state_resumes_with_another_number_of_processes(train, dev, one_thread, steady):
    """In mid-epoch: each utterance is trained on once."""
    settings, seen = replace(SETTINGS, batch_size=2), []

    def watch(trainer: Trainer, steps: int) -> None:
        original = trainer.train_batch

        def watched(batch):
            if len(trainer.losses) == steps:
                raise StopIteration
            seen.extend(batch.indices)
            return original(batch)

        trainer.train_batch = watched

    def two_steps(group: ProcessGroup) -> dict:
        trainer = trainer_of(group, train, dev, settings)
        watch(trainer, 2)
        with pytest.raises(StopIteration):
            trainer.train_epoch()
        return state_of(trainer)

    state, other = in_threads(2, two_steps)
    assert state["consumed"] == [[4, 2]] and state["losses"] == other["losses"]
    alone = Trainer(train, dev, settings)
    restore(alone, state)
    assert (alone.steps_left, alone.step) == (2, 4)
    watch(alone, 99)
    assert math.isfinite(alone.train_epoch())
    assert sorted(seen) == list(range(12)) and alone.step == len(alone.data.loader) == 6


# Judging, stopping


@pytest.mark.parametrize("size", [2, 3, 7])  # more than there are utterances
def test_all_processes_evaluate_together(train, dev, one_thread, size):
    def judge(group: ProcessGroup):
        trainer, calls = trainer_of(group, train, dev, SETTINGS), []
        return trainer.evaluate(lambda: calls.append(1)), len(calls)

    results = in_threads(size, judge)
    alone = Trainer(train, dev, SETTINGS).evaluate()
    assert {calls for _, calls in results} == {-(-len(dev) // size)}
    for result, _ in results:
        assert result.toned == alone.toned and result.utterances == len(dev)


def test_a_process_that_horovodrun_did_not_start_is_alone(monkeypatch):
    for name in ("HOROVOD_RANK", "HOROVOD_ELASTIC"):
        monkeypatch.delenv(name, raising=False)
    with join_process_group() as group:
        assert (group.rank, group.size, group.is_first) == (0, 1, True)
        assert group.any(True) and not group.any(False) and group.gather(3) == [3]
