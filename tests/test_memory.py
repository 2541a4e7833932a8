"""Batches that do not fit into memory."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from test_trainer import SETTINGS, same, weights

from ramospeech.data.dataset import Batch, collate
from ramospeech.models.checkpoints import load_checkpoint
from ramospeech.training.runs import Run
from ramospeech.training.trainer import Trainer


def short_of_memory(trainer: Trainer, too_many: Callable[[Batch], bool], monkeypatch) -> list[int]:
    """Let a trainer's model fail where a batch has too many; gives the sizes that were tried."""
    sizes, forward = [], trainer.model.forward

    def limited(features, lengths):
        sizes.append(len(lengths))
        if too_many(lengths):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return forward(features, lengths)

    monkeypatch.setattr(trainer.model, "forward", limited)
    return sizes


def without_chance(trainer: Trainer) -> Trainer:
    """A model whose loss does not depend on who else is in a batch: no dropout, fixed statistics."""
    trainer.model.eval()
    return trainer


@pytest.mark.parametrize("largest, tried", [
    (4, [4]), (3, [4, 2, 2]), (2, [4, 2, 2]), (1, [4, 2, 1, 1, 2, 1, 1, 1, 1])
])
def test_a_batch_in_micro_batches_is_the_same_step(train, dev, monkeypatch, largest, tried):
    whole, cut = (without_chance(Trainer(train, dev, SETTINGS)) for _ in range(2))
    batch = next(iter(whole.data.loader))
    sizes = short_of_memory(cut, lambda lengths: len(lengths) > largest, monkeypatch)
    assert cut.train_batch(batch) == pytest.approx(whole.train_batch(batch), rel=1e-5)
    assert sizes == tried
    for name, parameter in whole.model.named_parameters():
        other = cut.model.get_parameter(name)
        assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-5), name
    assert cut.step == cut.schedule.last_epoch == 1 and not cut.refused


def test_an_utterance_that_does_not_fit_is_skipped_by_name(train, dev, monkeypatch, capsys):
    cut, without = (without_chance(Trainer(train, dev, SETTINGS)) for _ in range(2))
    batch = next(iter(cut.data.loader))
    longest = int(batch.feature_lengths.argmax())
    frames = batch.feature_lengths[longest]
    short_of_memory(cut, lambda lengths: frames in lengths, monkeypatch)
    others = [place for place in range(4) if place != longest]
    rest = collate([cut.data.loader.dataset[0, batch.indices[place]] for place in others])
    assert cut.train_batch(batch) == pytest.approx(without.train_batch(rest), rel=1e-5)
    path = cut.data.train.utterances[batch.indices[longest]].path
    assert cut.refused == {path: 1}
    assert re.search(f"does not fit into memory: {path}", capsys.readouterr().out)
    for name, parameter in without.model.named_parameters():
        other = cut.model.get_parameter(name)
        assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-5), name


def test_a_run_continues_if_nothing_fits(train, dev, monkeypatch, tmp_path):
    run = Run(Trainer(train, dev, replace(SETTINGS, epochs=1)), tmp_path)
    before = weights(run.trainer)
    short_of_memory(run.trainer, lambda lengths: True, monkeypatch)
    result = run.fit()
    assert same(weights(run.trainer), before) and run.trainer.step == 3
    assert run.trainer.refused == {utterance.path: 1 for utterance in train.utterances}
    assert result.toned.rate == 1.0 and result.toned.deletions == result.toned.reference_length
    assert load_checkpoint(run.checkpoint)["refused"] == run.trainer.refused


def test_other_errors_are_not_taken_for_a_lack_of_memory(train, dev, monkeypatch):
    trainer = Trainer(train, dev, SETTINGS)

    def broken(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(trainer.model, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        trainer.train_batch(next(iter(trainer.data.loader)))


REAL_SHORTAGE = """
import resource, sys, torch
from ramospeech.data.dataset import Batch
from ramospeech.data.corpora import open_split
from ramospeech.config.settings import Settings
from ramospeech.training.trainer import Trainer

def batch(*lengths):
    targets = torch.ones(len(lengths), 3, dtype=torch.long) * torch.tensor([2, 3, 4])
    return Batch(torch.randn(len(lengths), max(lengths), 200), torch.tensor(lengths), targets,
                 torch.full((len(lengths),), 3), list(range(len(lengths))))

trainer = Trainer(open_split("mini", "train"), open_split("mini", "dev"), Settings())
trainer.train_batch(batch(100))
forward_backward = trainer.forward_backward

def watched(part, weight):
    loss = forward_backward(part, weight)
    print(*part.indices)
    return loss

trainer.forward_backward = watched
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 500_000_000,) * 2)
for lengths in [(1000,) * 8, (100, 20_000), (100,)]:
    assert trainer.train_batch(batch(*lengths)) > 0
print(*trainer.refused)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_that_is_really_short(small_mini, train):
    """A process of its own may have 500 MB more: enough for a few utterances of 10 s, not for 200 s."""
    done = subprocess.run([sys.executable, "-c", REAL_SHORTAGE], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    *parts, refused = done.stdout.splitlines()
    parts = [part for part in parts if "skipped" not in part]
    assert "0 1 2 3 4 5 6 7" not in parts
    assert parts[-2:] == ["0", "0"] and refused == train.utterances[1].path
