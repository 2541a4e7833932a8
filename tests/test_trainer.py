"""Training on twelve utterances: does it learn, is it reproducible, does it resume."""

import copy
import math
from contextlib import closing
from dataclasses import replace

import pytest
import torch

from ramospeech.config.settings import Settings
from ramospeech.data.corpus import Split
from ramospeech.data.manifest import Utterance
from ramospeech.evaluation.error_rates import ErrorCounts, Evaluation
from ramospeech.evaluation.evaluate import evaluate, recognise_split
from ramospeech.losses.ace import ace_loss
from ramospeech.losses.ctc import ctc_loss
from ramospeech.models.checkpoints import CheckpointError, save_model
from ramospeech.training.state import restore, start_from, state_of
from ramospeech.training.trainer import Trainer

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
    assert trainer.epoch == 6 and trainer.step == 6 * len(trainer.data.loader) == trainer.total_steps


@pytest.mark.parametrize("change", [
    {}, {"augment": False}, {"gradient_sharing": 0.0}, {"precision": "bfloat16"}, {"preset": "full"},
    {"loss": "ace", "recurrent": False}, {"loss": "ctc+ace"}, {"subsampling": 2},
])
def test_one_step_moves_every_weight(train, dev, change):
    trainer = Trainer(few(train, 4), dev, replace(SETTINGS, **change))
    before = weights(trainer)
    trainer.model.train()
    assert math.isfinite(trainer.train_batch(next(iter(trainer.data.loader))))
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


def test_every_step_advances_the_schedule(train, dev):
    trainer = Trainer(train, dev, SETTINGS)
    trainer.train_epoch()
    assert trainer.schedule.last_epoch == trainer.step == len(trainer.data.loader)


def test_long_gradients_are_clipped(train, dev):
    trainer = Trainer(few(train, 4), dev, replace(SETTINGS, clip_norm=1e-3))
    trainer.train_batch(next(iter(trainer.data.loader)))
    norms = torch.stack([p.grad.norm() for p in trainer.model.parameters()])
    assert norms.norm() == pytest.approx(1e-3, rel=0.01)


# What cannot be trained on


def with_too_many_syllables(split: Split) -> Split:
    first = split.utterances[0]
    crowded = Utterance(first.path, " ".join(["wu3"] * 40), "")
    return replace(split, utterances=[crowded, *split.utterances[1:]])


def test_unusable_utterances_are_reported_and_left_out(train, dev):
    trainer = Trainer(with_too_many_syllables(train), dev, SETTINGS)
    assert list(trainer.data.unusable) == [0]
    assert "40 syllables need 79 output frames" in trainer.data.unusable[0]
    assert train.utterances[0].path in trainer.data.unusable[0]
    paths = {trainer.data.train.utterances[i].path for batch in trainer.data.loader for i in batch.indices}
    assert paths == {utterance.path for utterance in train.utterances[1:]}
    assert math.isfinite(trainer.train_epoch())


def test_the_fastest_augmentation_counts(train, dev):
    """What fits at its own speed but not when it is sped up is unusable only with augmentation."""
    plain = Trainer(train, dev, replace(SETTINGS, augment=False))
    frames = plain.data.loader.dataset[0, 0].features.shape[0] // 8
    syllables = (["wu3", "san1"] * frames)[:frames]  # as many as there are output frames
    tight = Utterance(train.utterances[0].path, " ".join(syllables), "")
    split = replace(train, utterances=[tight, *train.utterances[1:]])
    assert list(Trainer(split, dev, replace(SETTINGS, augment=False)).data.unusable) == []
    assert list(Trainer(split, dev, SETTINGS).data.unusable) == [0]


def test_nothing_to_train_on_is_an_error(train, dev):
    with pytest.raises(ValueError, match="mini train: no utterance can be trained on"):
        Trainer(few(with_too_many_syllables(train), 1), dev, SETTINGS)


def test_a_loss_that_is_not_finite_names_the_utterances(train, dev):
    trainer = Trainer(train, dev, SETTINGS)
    batch = next(iter(trainer.data.loader))
    torch.nn.init.constant_(trainer.model.fc3.bias, math.nan)
    before = weights(trainer)
    with pytest.raises(FloatingPointError) as caught:
        trainer.train_batch(batch)
    for index in batch.indices:
        assert train.utterances[index].path in str(caught.value)
    assert torch.equal(trainer.model.fc1.weight, before["fc1.weight"])  # no step was taken


@pytest.mark.parametrize("loss, weight", [("ctc", 7.0), ("ace", 7.0), ("ctc+ace", 7.0)])
def test_the_loss_is_the_one_that_was_chosen(train, dev, loss, weight):
    trainer = Trainer(few(train, 4), dev, replace(SETTINGS, loss=loss, ace_weight=weight))
    batch, model = next(iter(trainer.data.loader)), trainer.model.eval()
    arguments = (model(batch.features, batch.feature_lengths),
                 model.output_lengths(batch.feature_lengths), batch.targets, batch.target_lengths)
    expected = {"ctc": ctc_loss(*arguments), "ace": ace_loss(*arguments),
                "ctc+ace": ctc_loss(*arguments) + weight * ace_loss(*arguments)}[loss]
    assert model.loss == loss
    assert trainer.forward_backward(batch) == pytest.approx(expected.item(), rel=1e-5)


def test_ace_takes_what_ctc_cannot_align(train, dev):
    """Equal syllables, as many as there are output frames: CTC would need blanks between them."""
    plain = replace(SETTINGS, augment=False)
    frames = Trainer(train, dev, plain).data.loader.dataset[0, 0].features.shape[0] // 8
    crowded = Utterance(train.utterances[0].path, " ".join(["wu3"] * frames), "")
    split = replace(train, utterances=[crowded, *train.utterances[1:]])
    for loss, unusable in (("ctc", [0]), ("ctc+ace", [0]), ("ace", [])):
        assert list(Trainer(split, dev, replace(plain, loss=loss)).data.unusable) == unusable


@pytest.mark.parametrize("change, words", [
    ({"recurrent": False}, "a model without an LSTM"),
    ({"recurrent": False, "loss": "ace"}, "a model without an LSTM"),
    ({"subsampling": 2}, "a model with a subsampling of 2"),
])
def test_a_state_of_another_design_is_refused(train, dev, tmp_path, change, words):
    one, other = Trainer(train, dev, SETTINGS), Trainer(train, dev, replace(SETTINGS, **change))
    with pytest.raises(ValueError, match=words):
        restore(one, state_of(other))
    save_model(tmp_path / "model.safetensors", other.model, other.vocabulary, {"preset": "lesson"})
    with pytest.raises(CheckpointError, match=words):
        start_from(one, tmp_path / "model.safetensors")


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
    readings = [dict(recognise_split(trainer.model, trainer.vocabulary, dev, batch_size))
                for batch_size in (1, 3, 16)]
    assert readings[0] == readings[1] == readings[2]
    assert sorted(readings[0]) == list(range(len(dev)))
    assert all(reading.syllables for reading in readings[0].values())
    rates = [evaluate(trainer.model, trainer.vocabulary, dev, size).toned.rate for size in (1, 16)]
    assert rates[0] == rates[1]


def test_a_run_can_start_from_a_model_file(train, dev, tmp_path):
    trained = Trainer(train, dev, SETTINGS)
    trained.train_epoch()
    file = tmp_path / "model.safetensors"
    save_model(file, trained.model, trained.vocabulary, {"preset": "lesson"})
    started = Trainer(train, dev, replace(SETTINGS, ema_decay=0.9))
    start_from(started, file)
    weights = trained.model.state_dict()
    for name, tensor in started.model.state_dict().items():
        assert torch.allclose(tensor, weights[name], rtol=1e-3, atol=1e-4), name
    assert started.step == 0 and started.epoch == 0
    with pytest.raises(CheckpointError, match="model 'lesson', not 'full'"):
        start_from(Trainer(train, dev, replace(SETTINGS, preset="full")), file)


def test_the_ema_follows_the_weights(train, dev):
    """Against the formula, step by step; batch statistics are averaged too."""
    trainer = Trainer(train, dev, replace(SETTINGS, ema_decay=0.75))
    mean = None
    for batch in list(trainer.data.loader)[:3]:
        trainer.train_batch(batch)
        now = {name: tensor.double() for name, tensor in trainer.model.state_dict().items()}
        mean = now if mean is None else {
            name: 0.75 * mean[name] + 0.25 * now[name] for name in now}
    for name, tensor in trainer.evaluated_model.state_dict().items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor.double(), mean[name], rtol=1e-4, atol=1e-6), name
    assert trainer.evaluated_model is not trainer.model


def test_the_ema_is_resumed(train, dev):
    trainer = Trainer(train, dev, replace(SETTINGS, ema_decay=0.9))
    trainer.train_epoch()
    state = copy.deepcopy(state_of(trainer))
    trainer.train_epoch()
    other = Trainer(train, dev, replace(SETTINGS, ema_decay=0.9))
    restore(other, state)
    other.train_epoch()
    for name, tensor in state_of(trainer)["ema"].items():
        assert torch.equal(tensor, state_of(other)["ema"][name]), name
