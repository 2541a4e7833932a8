"""Training on a dozen utterances: does it learn, does it repeat, does it go on where it was."""

import copy
import math
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ramospeech import files, training
from ramospeech.batches import Batch, collate
from ramospeech.checkpoints import (
    CheckpointError, load_checkpoint, load_model, save_checkpoint, save_model,
)
from ramospeech.corpora import Split
from ramospeech.evaluation import evaluate, recognise_split
from ramospeech.manifest import Utterance
from ramospeech.metrics import ErrorCounts, Evaluation
from ramospeech.settings import Settings
from ramospeech.training import Run, Trainer

SETTINGS = Settings(preset="lesson", epochs=2, batch_size=4, seed=1)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def same(one, other) -> bool:
    """Whether two states agree to the last bit: dictionaries and lists of tensors and values."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def evaluation_at(rate: float) -> Evaluation:
    return Evaluation("made up", 1, ErrorCounts(substitutions=round(100 * rate),
                                                reference_length=100))


# Learning


def test_the_loss_falls(train, dev):
    trainer = Trainer(train, dev, replace(SETTINGS, epochs=6, augment=False))
    losses = [trainer.train_epoch() for _ in range(6)]
    assert losses[-1] < 0.6 * losses[0], losses
    assert trainer.epoch == 6 and trainer.step == 6 * len(trainer.loader) == trainer.total_steps


@pytest.mark.parametrize("change", [
    {}, {"augment": False}, {"sharing": 0.0}, {"precision": "bfloat16"}, {"preset": "full"},
])
def test_one_step_moves_every_weight(train, dev, change):
    trainer = Trainer(few(train, 4), dev, replace(SETTINGS, **change))
    before = weights(trainer)
    trainer.model.train()
    assert math.isfinite(trainer.train_batch(next(iter(trainer.loader))))
    after = weights(trainer)
    assert all(torch.isfinite(tensor).all() for tensor in after.values())
    unmoved = [name for name in before if torch.equal(before[name], after[name])]
    assert unmoved == []


def few(split: Split, count: int) -> Split:
    return replace(split, utterances=split.utterances[:count])


def test_the_learning_rate_rises_then_falls(train, dev):
    trainer = Trainer(train, dev, replace(SETTINGS, epochs=10, warmup=0.2, learning_rate=0.5))
    rates = []
    for _ in range(trainer.total_steps):
        rates += trainer.schedule.get_last_lr()
        trainer.optimizer.step()
        trainer.schedule.step()
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.5)
    assert 0 < rates[0] < rates[top] > rates[-1] > 0
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert top + 1 == pytest.approx(0.2 * len(rates), abs=1)
    for _ in range(5):  # further than planned
        trainer.schedule.step()
        assert trainer.schedule.get_last_lr()[0] == pytest.approx(0)


def test_an_epoch_sees_everything_once_in_a_new_order(train, dev, monkeypatch):
    trainer = Trainer(train, dev, SETTINGS)
    seen = []

    def watched(batch) -> float:
        assert trainer.model.training  # with dropout
        seen.append(batch.indices)
        return 0.0

    monkeypatch.setattr(trainer, "train_batch", watched)
    trainer.model.eval()
    trainer.train_epoch()
    trainer.train_epoch()
    half = len(seen) // 2
    for epoch in (seen[:half], seen[half:]):
        assert sorted(sum(epoch, [])) == list(range(len(train)))
    assert seen[:half] != seen[half:]


def test_every_step_moves_on_along_the_schedule(train, dev):
    trainer = Trainer(train, dev, SETTINGS)
    trainer.train_epoch()
    assert trainer.schedule.last_epoch == trainer.step == len(trainer.loader)


def test_long_gradients_are_shortened(train, dev):
    trainer = Trainer(few(train, 4), dev, replace(SETTINGS, clip_norm=1e-3))
    trainer.train_batch(next(iter(trainer.loader)))
    norms = torch.stack([p.grad.norm() for p in trainer.model.parameters()])
    assert norms.norm() == pytest.approx(1e-3, rel=0.01)


# What cannot be trained on


def with_too_many_syllables(split: Split) -> Split:
    first = split.utterances[0]
    crowded = Utterance(first.path, " ".join(["wu3"] * 40), "")
    return replace(split, utterances=[crowded, *split.utterances[1:]])


def test_unusable_utterances_are_reported_and_left_out(train, dev):
    trainer = Trainer(with_too_many_syllables(train), dev, SETTINGS)
    assert list(trainer.unusable) == [0]
    assert "40 syllables need 79 output frames" in trainer.unusable[0]
    assert train.utterances[0].path in trainer.unusable[0]
    paths = {trainer.train.utterances[i].path for batch in trainer.loader for i in batch.indices}
    assert paths == {utterance.path for utterance in train.utterances[1:]}
    assert math.isfinite(trainer.train_epoch())


def test_the_fastest_augmentation_counts(train, dev):
    """What fits at its own speed but not when it is sped up is unusable only with augmentation."""
    plain = Trainer(train, dev, replace(SETTINGS, augment=False))
    frames = plain.loader.dataset[0, 0].features.shape[0] // 8
    syllables = (["wu3", "san1"] * frames)[:frames]  # as many as there are output frames
    tight = Utterance(train.utterances[0].path, " ".join(syllables), "")
    split = replace(train, utterances=[tight, *train.utterances[1:]])
    assert list(Trainer(split, dev, replace(SETTINGS, augment=False)).unusable) == []
    assert list(Trainer(split, dev, SETTINGS).unusable) == [0]


def test_nothing_to_train_on_is_an_error(train, dev):
    with pytest.raises(ValueError, match="mini train: no utterance can be trained on"):
        Trainer(few(with_too_many_syllables(train), 1), dev, SETTINGS)


def test_a_loss_that_is_no_number_names_the_utterances(train, dev):
    trainer = Trainer(train, dev, SETTINGS)
    batch = next(iter(trainer.loader))
    torch.nn.init.constant_(trainer.model.fc3.bias, math.nan)
    before = weights(trainer)
    with pytest.raises(FloatingPointError) as caught:
        trainer.train_batch(batch)
    for index in batch.indices:
        assert train.utterances[index].path in str(caught.value)
    assert torch.equal(trainer.model.fc1.weight, before["fc1.weight"])  # no step was taken


# The same again


def test_the_same_seed_gives_the_same_weights(train, dev, one_thread):
    def trained(seed: int, workers: int = 0) -> dict[str, torch.Tensor]:
        trainer = Trainer(train, dev, replace(SETTINGS, seed=seed), workers=workers)
        with closing(trainer):
            trainer.train_epoch()
        return weights(trainer)

    first = trained(seed=1)
    assert same(first, trained(seed=1))
    assert same(first, trained(seed=1, workers=1))
    assert not same(first, trained(seed=2))


class Killed(BaseException):
    """Nothing in a run catches this."""


def kill_at(run: Run, place: str, monkeypatch) -> None:
    """Let a run end without notice at some place of its second epoch."""
    trainer = run.trainer
    originals = {"step": trainer.train_batch, "evaluation": trainer.evaluate,
                 "best model": training.save_model, "checkpoint": training.save_checkpoint}

    def killed(*arguments, **names):
        if trainer.step >= len(trainer.loader) + 1 and (place == "step" or not trainer.losses):
            raise Killed
        return originals[place](*arguments, **names)

    owner, name = {"step": (trainer, "train_batch"), "evaluation": (trainer, "evaluate"),
                   "best model": (training, "save_model"),
                   "checkpoint": (training, "save_checkpoint")}[place]
    monkeypatch.setattr(owner, name, killed)


@pytest.mark.parametrize("save_minutes", [0, 60])
@pytest.mark.parametrize("place", ["step", "evaluation", "best model", "checkpoint"])
def test_going_on_equals_never_stopping(train, dev, tmp_path, monkeypatch, place, save_minutes):
    rates = {1: 0.9, 2: 0.5}  # the second epoch is the best, too
    monkeypatch.setattr(Trainer, "evaluate", lambda trainer, *_: evaluation_at(rates[trainer.epoch]))
    whole = Run(Trainer(train, dev, SETTINGS), tmp_path / "whole")
    whole.fit()

    killed = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_at(killed, place, patch)
        killed.fit(save_minutes=save_minutes)
    torch.manual_seed(99)  # whatever happened in between
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


def curve_steps(folder: Path) -> list[int]:
    curves = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [event.step for event in curves.Scalars("loss/train")]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_stopping_and_going_on_at_every_step(train, dev, tmp_path, workers):
    """With any number of workers; with a running mean of the weights as well."""
    settings = replace(SETTINGS, averaging=0.9)
    whole = Run(Trainer(train, dev, settings), tmp_path / "whole")
    assert whole.fit() is not None
    for start in range(7):
        run = Run(Trainer(train, dev, settings, workers=workers), tmp_path / "run")
        if start > 0:
            run.resume()
        assert run.trainer.step == start
        with closing(run.trainer):
            result = run.fit(stop=lambda: run.trainer.step > start)
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
    second.load_state(first.state())
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
    assert rate == pytest.approx(SETTINGS.learning_rate * other.trainer._rate_factor(6))
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


def test_a_folder_that_cannot_be_is_found_before_training(train, dev, tmp_path, monkeypatch):
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


def test_drafts_of_killed_runs_are_removed(train, dev, tmp_path):
    for name in (".checkpoint.pt.123", ".best.safetensors.4567"):
        (tmp_path / name).write_bytes(b"half of")
    (tmp_path / ".mine").touch()
    Run(Trainer(few(train, 4), dev, replace(SETTINGS, epochs=1)), tmp_path).fit()
    assert [path.name for path in tmp_path.glob(".*")] == [".mine"]


# Memory


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
def test_a_batch_in_pieces_is_the_same_step(train, dev, monkeypatch, largest, tried):
    whole, cut = (without_chance(Trainer(train, dev, SETTINGS)) for _ in range(2))
    batch = next(iter(whole.loader))
    sizes = short_of_memory(cut, lambda lengths: len(lengths) > largest, monkeypatch)
    assert cut.train_batch(batch) == pytest.approx(whole.train_batch(batch), rel=1e-5)
    assert sizes == tried
    for name, parameter in whole.model.named_parameters():
        other = cut.model.get_parameter(name)
        assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-5), name
    assert cut.step == cut.schedule.last_epoch == 1 and not cut.refused


def test_an_utterance_that_does_not_fit_is_passed_over_by_name(train, dev, monkeypatch, capsys):
    cut, without = (without_chance(Trainer(train, dev, SETTINGS)) for _ in range(2))
    batch = next(iter(cut.loader))
    longest = int(batch.feature_lengths.argmax())
    frames = batch.feature_lengths[longest]
    short_of_memory(cut, lambda lengths: frames in lengths, monkeypatch)
    others = [place for place in range(4) if place != longest]
    rest = collate([cut.loader.dataset[0, batch.indices[place]] for place in others])
    assert cut.train_batch(batch) == pytest.approx(without.train_batch(rest), rel=1e-5)
    path = cut.train.utterances[batch.indices[longest]].path
    assert cut.refused == {path: 1}
    assert re.search(f"does not fit into memory: {path}", capsys.readouterr().out)
    for name, parameter in without.model.named_parameters():
        other = cut.model.get_parameter(name)
        assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-5), name


def test_where_nothing_fits_the_run_goes_on(train, dev, monkeypatch, tmp_path):
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
        trainer.train_batch(next(iter(trainer.loader)))


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
    ({"settings": {"preset": "full"}}, "it holds the model 'full', not 'lesson'"),
    ({"syllables": ["<PAD>", "<UNK>", "ma1"]}, "another list of syllables"),
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


def test_a_dictionary_that_is_no_checkpoint_of_ours_is_refused(train, dev, tmp_path):
    save_checkpoint(tmp_path / "other.pt", {"weights": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="other.pt"):
        Run(Trainer(train, dev, SETTINGS), tmp_path).resume(tmp_path / "other.pt")


def test_going_on_elsewhere_leaves_a_best_model_there(train, dev, saved, tmp_path):
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
    _, inventory, facts = load_model(run.folder / "best.safetensors")
    assert inventory == run.trainer.inventory
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
    monkeypatch.setattr(training, "save_checkpoint", lambda path, state: saved.append(
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


# Evaluation


def test_an_evaluation_counts_every_utterance(train, dev):
    trainer = Trainer(train, dev, SETTINGS)
    trainer.model.train()
    result = trainer.evaluate()
    assert trainer.model.training  # as before
    assert result.utterances == len(dev)
    assert result.label_source == dev.label_source
    spoken = sum(len(utterance.syllables) for utterance in dev.utterances)
    assert result.toned.reference_length == spoken


def test_the_batch_size_does_not_matter(train, dev):
    trainer = Trainer(train, dev, SETTINGS)
    trainer.train_epoch()
    torch.nn.init.constant_(trainer.model.fc3.bias, 0)
    trainer.model.fc3.bias.data[0] = -100.0  # no blanks: much to compare
    readings = [dict(recognise_split(trainer.model, trainer.inventory, dev, batch_size))
                for batch_size in (1, 3, 16)]
    assert readings[0] == readings[1] == readings[2]
    assert sorted(readings[0]) == list(range(len(dev)))
    assert all(reading.syllables for reading in readings[0].values())
    rates = [evaluate(trainer.model, trainer.inventory, dev, size).toned.rate for size in (1, 16)]
    assert rates[0] == rates[1]


def test_a_run_can_start_from_a_model_file(train, dev, tmp_path):
    trained = Trainer(train, dev, SETTINGS)
    trained.train_epoch()
    file = tmp_path / "model.safetensors"
    save_model(file, trained.model, trained.inventory, {"preset": "lesson"})
    started = Trainer(train, dev, replace(SETTINGS, averaging=0.9))
    started.start_from(file)
    weights = trained.model.state_dict()
    for name, tensor in started.model.state_dict().items():
        assert torch.allclose(tensor, weights[name], rtol=1e-3, atol=1e-4), name
    assert started.step == 0 and started.epoch == 0
    with pytest.raises(CheckpointError, match="model 'lesson', not 'full'"):
        Trainer(train, dev, replace(SETTINGS, preset="full")).start_from(file)


def test_the_mean_of_the_weights_follows_them(train, dev):
    """Against the formula, step by step; batch statistics are averaged too."""
    trainer = Trainer(train, dev, replace(SETTINGS, averaging=0.75))
    mean = None
    for batch in list(trainer.loader)[:3]:
        trainer.train_batch(batch)
        now = {name: tensor.double() for name, tensor in trainer.model.state_dict().items()}
        mean = now if mean is None else {
            name: 0.75 * mean[name] + 0.25 * now[name] for name in now}
    for name, tensor in trainer.judged_model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor.double(), mean[name], rtol=1e-4, atol=1e-6), name
    assert trainer.judged_model is not trainer.model


def test_the_mean_of_the_weights_is_resumed(train, dev):
    trainer = Trainer(train, dev, replace(SETTINGS, averaging=0.9))
    trainer.train_epoch()
    state = copy.deepcopy(trainer.state())
    trainer.train_epoch()
    other = Trainer(train, dev, replace(SETTINGS, averaging=0.9))
    other.load_state(state)
    other.train_epoch()
    for name, tensor in trainer.average.state_dict().items():
        assert torch.equal(tensor, other.average.state_dict()[name]), name
