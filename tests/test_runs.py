"""Runs that are killed, stopped or short of disk space resume as if nothing had happened."""

import math
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_trainer import SETTINGS, evaluation_at, few, same

from ramospeech.models.checkpoints import (
    CheckpointError, load_checkpoint, load_model, save_checkpoint, save_model,
)
from ramospeech.training import runs
from ramospeech.training.runs import Run
from ramospeech.training.schedule import warmup_cosine
from ramospeech.training.state import restore, state_of
from ramospeech.training.trainer import Trainer
from ramospeech.utils import files


class Killed(BaseException):
    """Nothing in a run catches this."""


def kill_at(run: Run, place: str, monkeypatch) -> None:
    """Let a run end without notice at some place of its second epoch."""
    trainer = run.trainer
    originals = {"step": trainer.train_batch, "evaluation": trainer.evaluate,
                 "best model": save_model, "checkpoint": save_checkpoint}

    def killed(*arguments, **names):
        if trainer.step >= len(trainer.data.loader) + 1 and (place == "step" or not trainer.losses):
            raise Killed
        return originals[place](*arguments, **names)

    owner, name = {"step": (trainer, "train_batch"), "evaluation": (trainer, "evaluate"),
                   "best model": (runs, "save_model"),
                   "checkpoint": (runs, "save_checkpoint")}[place]
    monkeypatch.setattr(owner, name, killed)


@pytest.mark.parametrize("save_minutes", [0, 60])
@pytest.mark.parametrize("place", ["step", "evaluation", "best model", "checkpoint"])
def test_resuming_equals_never_stopping(train, dev, tmp_path, monkeypatch, place, save_minutes):
    rates = {1: 0.9, 2: 0.5}  # the second epoch is the best, too
    monkeypatch.setattr(Trainer, "evaluate", lambda trainer, *_: evaluation_at(rates[trainer.epoch]))
    whole = Run(Trainer(train, dev, SETTINGS), tmp_path / "whole")
    whole.fit()

    killed = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(killed, place, patch)
        killed.fit(save_minutes=save_minutes)
    torch.manual_seed(99)  # whatever happened in between
    await_next_second()
    again = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    again.resume()
    done_of_epoch = 3 if place != "step" else 1 if save_minutes == 0 else 0
    assert (again.trainer.epoch, len(again.trainer.losses)) == (1, done_of_epoch)
    again.fit()

    assert same(load_checkpoint(whole.checkpoint), load_checkpoint(again.checkpoint))
    (one, _, facts), (other, _, found) = (load_model(run.folder / "best.safetensors")
                                          for run in (whole, again))
    assert facts == found and same(one.state_dict(), other.state_dict())
    assert curve_steps(again.folder) == curve_steps(whole.folder) == [3, 6]


def await_next_second() -> None:
    """TensorBoard reads the files of a run in the order of the seconds in which they began."""
    time.sleep(1 - time.time() % 1)


def curve_steps(folder: Path) -> list[int]:
    curves = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [event.step for event in curves.Scalars("loss/train")]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_stopping_and_resuming_at_every_step(train, dev, tmp_path, workers):
    """With any number of workers; with a running mean of the weights as well."""
    settings = replace(SETTINGS, ema_decay=0.9)
    whole = Run(Trainer(train, dev, settings), tmp_path / "whole")
    assert whole.fit() is not None
    for start in range(7):
        run = Run(Trainer(train, dev, settings, workers=workers), tmp_path / "run")
        if start > 0:
            run.resume()
        assert run.trainer.step == start
        with closing(run.trainer):
            result = run.fit(stop=lambda run=run, start=start: run.trainer.step > start)
        assert (result is None) == (start < 6)
    assert same(load_checkpoint(whole.checkpoint), load_checkpoint(run.checkpoint))


def test_a_stop_does_not_wait_for_the_evaluation(train, dev, tmp_path):
    run = Run(Trainer(train, dev, SETTINGS), tmp_path)
    assert run.fit(stop=lambda: run.trainer.epoch == 1) is None
    assert not (tmp_path / "best.safetensors").exists()
    state = load_checkpoint(run.checkpoint)
    assert (state["epoch"], len(state["losses"]), state["best_rate"]) == (0, 3, math.inf)


def test_the_mean_loss_is_that_of_the_whole_epoch(train, dev):
    expected = Trainer(train, dev, SETTINGS).train_epoch()
    first, second = (Trainer(train, dev, SETTINGS) for _ in range(2))

    def stop_after_two() -> None:
        if len(first.losses) == 2:
            raise Killed

    with pytest.raises(Killed):
        first.train_epoch(stop_after_two)
    restore(second, state_of(first))
    assert second.train_epoch() == expected


def test_with_other_batches_the_epoch_begins_anew(train, dev, tmp_path):
    run = Run(Trainer(train, dev, SETTINGS), tmp_path)
    assert run.fit(stop=lambda: run.trainer.step == 4) is None
    assert (run.trainer.epoch, len(run.trainer.losses)) == (1, 1)
    other = Run(Trainer(train, dev, replace(SETTINGS, batch_size=2)), tmp_path)
    other.resume()
    assert (other.trainer.epoch, other.trainer.losses, other.trainer.step) == (1, [], 6)
    assert other.trainer.schedule.get_last_lr() != [0.0]
    rate = other.trainer.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(SETTINGS.learning_rate * warmup_cosine(6, 12, SETTINGS.warmup))
    other.fit()
    assert other.trainer.step == 12 and other.trainer.schedule.last_epoch == 12


# The disk


@pytest.fixture
def limit_files() -> Iterator[Callable[[int], None]]:
    """Let no file become larger than so many bytes, as a full disk or a quota would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_too_little_room_is_found_before_training(train, dev, tmp_path, monkeypatch):
    run = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    monkeypatch.setattr(run.trainer, "train_batch", lambda batch: pytest.fail("it trained"))
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    with pytest.raises(OSError, match=r"run/checkpoint.pt: .*3\d,\d{3},\d{3} bytes are needed, "
                                      "20,000,000 are free"):
        run.fit()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("limit", [1_000_000, 8_000_000])  # the first checkpoint has 4 MB, later 12
def test_files_that_may_not_become_large_are_found_before_training(
    train, dev, tmp_path, monkeypatch, limit_files, limit
):
    run = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    monkeypatch.setattr(run.trainer, "train_batch", lambda batch: pytest.fail("it trained"))
    limit_files(limit)
    with pytest.raises(OSError, match="run/checkpoint.pt: .*File too large"):
        run.fit()
    assert list((tmp_path / "run").iterdir()) == []


def test_an_impossible_folder_is_found_before_training(train, dev, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    run = Run(Trainer(train, dev, SETTINGS), tmp_path / "file" / "run")
    monkeypatch.setattr(run.trainer, "train_batch", lambda batch: pytest.fail("it trained"))
    with pytest.raises(OSError, match="file/run/checkpoint.pt: cannot be written"):
        run.fit()


def test_a_disk_that_fills_up_costs_little(train, dev, tmp_path, limit_files):
    whole = Run(Trainer(train, dev, SETTINGS), tmp_path / "whole")
    whole.fit()
    run = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    with pytest.raises(OSError, match="run/checkpoint.pt: cannot be written"):
        run.fit(save_minutes=0, stop=lambda: run.trainer.step == 5 and limit_files(2_000_000))
    limit_files(resource.RLIM_INFINITY)
    assert not list(run.folder.glob(".*"))  # no draft
    again = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    again.resume()
    assert again.trainer.step == 4
    again.fit()
    assert same(load_checkpoint(whole.checkpoint), load_checkpoint(again.checkpoint))


def test_a_full_disk_is_called_full(tmp_path, limit_files, monkeypatch):
    limit_files(1_000_000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
    with pytest.raises(OSError, match=r"checkpoint.pt: cannot be written \(the disk is full\)"):
        save_checkpoint(tmp_path / "checkpoint.pt", {"w": torch.zeros(1_000_000)})


def test_drafts_of_killed_runs_are_removed(train, dev, tmp_path):
    for name in (".checkpoint.pt.123", ".best.safetensors.4567"):
        (tmp_path / name).write_bytes(b"half of")
    (tmp_path / ".mine").touch()
    Run(Trainer(few(train, 4), dev, replace(SETTINGS, epochs=1)), tmp_path).fit()
    assert [path.name for path in tmp_path.glob(".*")] == [".mine"]


# Checkpoints


@pytest.fixture
def saved(train, dev, tmp_path) -> Path:
    run = Run(Trainer(few(train, 4), dev, replace(SETTINGS, epochs=1)), tmp_path / "saved")
    run.fit()
    return run.checkpoint


def test_a_checkpoint_holds_all_that_is_needed(saved):
    state = load_checkpoint(saved)
    assert {"model", "optimizer", "schedule", "epoch", "settings", "syllables"} <= state.keys()
    assert state["settings"]["preset"] == "lesson" and state["settings"]["seed"] == 1
    assert len(state["syllables"]) == 1215 and state["epoch"] == 1


@pytest.mark.parametrize("change, reason", [
    ({"settings": {"preset": "full"}}, "it holds a model 'full', not 'lesson'"),
    ({"syllables": ["<PAD>", "<UNK>", "ma1"]}, "another vocabulary"),
    ({"model": {}}, "state_dict"),
    ({"settings": None}, "TypeError"),
    ({"optimizer": {}}, "param_groups"),
])
def test_a_checkpoint_of_another_design_is_refused(train, dev, saved, change, reason):
    save_checkpoint(saved, load_checkpoint(saved) | change)
    run = Run(Trainer(train, dev, SETTINGS), saved.parent)
    with pytest.raises(CheckpointError, match=f"checkpoint.pt.*({reason})") as caught:
        run.resume()
    assert "\n" not in str(caught.value)


def test_a_dictionary_of_something_else_is_refused(train, dev, tmp_path):
    save_checkpoint(tmp_path / "other.pt", {"weights": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="other.pt"):
        Run(Trainer(train, dev, SETTINGS), tmp_path).resume(tmp_path / "other.pt")


def test_resuming_in_another_folder_leaves_a_best_model_there(train, dev, saved, tmp_path):
    """However good the run was from which the checkpoint comes."""
    save_checkpoint(saved, load_checkpoint(saved) | {"best_rate": 0.0})
    for epochs in (1, 2):  # nothing left to train, one epoch left
        run = Run(Trainer(train, dev, replace(SETTINGS, epochs=epochs)), tmp_path / f"new{epochs}")
        run.resume(saved)
        result = run.fit()
        _, _, facts = load_model(run.folder / "best.safetensors")
        assert facts["dev_syllable_error_rate"] == result.toned.rate == run.trainer.best_rate


# A run and its folder


def test_a_run_leaves_its_folder(train, dev, tmp_path, capsys):
    run = Run(Trainer(few(train, 4), dev, replace(SETTINGS, epochs=2)), tmp_path / "deep" / "run",
              facts={"corpus": "mini"})
    result = run.fit()
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"checkpoint.pt", "best.safetensors", "tensorboard"}
    _, vocabulary, facts = load_model(run.folder / "best.safetensors")
    assert vocabulary == run.trainer.vocabulary
    assert facts["corpus"] == "mini" and facts["preset"] == "lesson"
    assert facts["label_source"] == dev.label_source == result.label_source
    assert facts["dev_syllable_error_rate"] == run.trainer.best_rate <= result.toned.rate

    curves = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    for name in ("loss/train", "syllable_error_rate/dev", "learning_rate"):
        assert [event.step for event in curves.Scalars(name)] == [1, 2]

    printed = capsys.readouterr().out
    assert len(re.findall(r"^epoch +\d+  loss +[\d.]+  dev syllable error", printed, re.M)) == 2
    for utterance in dev.utterances[:2]:
        assert printed.count(f"{utterance.pinyin} -> ") == 2


def test_saving_every_few_epochs_and_at_the_end(train, dev, tmp_path, monkeypatch):
    run = Run(Trainer(few(train, 2), few(dev, 1), replace(SETTINGS, epochs=5)), tmp_path)
    saved = []
    monkeypatch.setattr(runs, "save_checkpoint", lambda path, state: saved.append(
        (path.name, state["epoch"] + len(state["losses"]) / 2)))
    run.fit(save_step=2)
    first, *judged = [epoch for name, epoch in saved if name == "checkpoint.pt"]
    assert first == 0 and [epoch for epoch in judged if epoch % 1 == 0] == [2, 4, 5]
    assert [epoch + 0.5 for epoch in judged if epoch % 1] == [1, 2, 3, 4, 5]


def test_the_best_epoch_is_kept(train, dev, tmp_path, monkeypatch):
    run = Run(Trainer(few(train, 2), dev, replace(SETTINGS, epochs=4)), tmp_path)
    rates = iter([0.5, 0.3, 0.4, 0.3])
    monkeypatch.setattr(run.trainer, "evaluate", lambda *_: evaluation_at(next(rates)))
    last = run.fit()
    _, _, facts = load_model(tmp_path / "best.safetensors")
    assert (facts["epoch"], facts["dev_syllable_error_rate"]) == (2, 0.3)
    assert last.toned.rate == 0.3 and run.trainer.epoch == 4
