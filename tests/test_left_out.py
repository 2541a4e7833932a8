"""Recordings that cannot be used: named once, counted, left out, and the others are used."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_cli import model_file, ramospeech  # noqa: F401 (fixtures)
from test_distributed import HOROVODRUN, built, run
from test_trainer import SETTINGS, same, weights
from test_process_group import in_threads, steady, trainer_of  # noqa: F401 (a fixture)

from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import SpeechDataset
from ramospeech.data.manifest import Utterance
from ramospeech.evaluation.evaluate import evaluate
from ramospeech.models.checkpoints import load_checkpoint, load_model
from ramospeech.training.runs import Run
from ramospeech.training.state import restore, state_of
from ramospeech.training.trainer import Trainer

RATE = 16_000


def silence(path: Path) -> None:
    soundfile.write(path, np.zeros(RATE), RATE)


def cut_inside(path: Path) -> None:
    """A FLAC file whose header tells nothing of the damage, under a name that ends in .wav."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, RATE)
    soundfile.write(path, noise, RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[:10_000])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


BROKEN: dict[str, Callable[[Path], None]] = {
    "silent": silence, "cut inside": cut_inside, "cut": cut, "empty": empty, "missing": Path.unlink}
MET = ("silent", "cut inside")  # the header does not tell


def spoil(split: Split, places: dict[int, Callable[[Path], None]]) -> None:
    for index, change in places.items():
        change(split.audio_path(index))


@pytest.fixture
def own_mini(small_mini, tmp_path, monkeypatch) -> Path:
    """A copy of the small corpus, to spoil."""
    folder = tmp_path / "own"
    shutil.copytree(small_mini, folder)
    facts = folder / "mini" / "corpus.json"
    facts.write_text(facts.read_text().replace(str(small_mini), str(folder)))
    monkeypatch.setenv("RAMOSPEECH_DATA", str(folder))
    return folder


@pytest.fixture
def train(own_mini) -> Split:
    return open_split("mini", "train")


@pytest.fixture
def dev(own_mini) -> Split:
    return open_split("mini", "dev")


@pytest.fixture
def all_kinds(train) -> list[str]:
    """One recording of each kind, at the places 2 to 6; their file names."""
    spoil(train, dict(enumerate(BROKEN.values(), start=2)))
    return [str(train.audio_path(index)) for index in range(2, 7)]


def without(split: Split, places) -> Split:
    return replace(split, utterances=[utterance for index, utterance in enumerate(split.utterances)
                                      if index not in places])


# Training


@pytest.mark.parametrize("workers", [0, 2])
def test_each_is_named_once_and_the_others_are_trained_on(train, dev, all_kinds, capsys, workers):
    trainer = Trainer(train, dev, replace(SETTINGS, batch_size=2), workers=workers)
    assert len(trainer.data.train) == 9 and sorted(trainer.data.unusable) == [4, 5, 6]
    seen = []
    train_batch = trainer.train_batch
    trainer.train_batch = lambda batch: seen.append(batch.indices) or train_batch(batch)
    with closing(trainer):
        for _ in range(2):
            assert math.isfinite(trainer.train_epoch())
    usable = {utterance.path for index, utterance in enumerate(train.utterances) if not 2 <= index <= 6}
    paths = [trainer.data.train.utterances[index].path for batch in seen for index in batch]
    assert set(paths) == usable and len(paths) == 2 * len(usable)
    assert sorted(trainer.left_out) == sorted(all_kinds[:2])
    said = capsys.readouterr().out
    assert [said.count(f"left out: {name}: ") for name in all_kinds] == [1, 1, 0, 0, 0]


def test_what_is_left_out_changes_nothing_for_the_others(train, dev):
    """A step on a batch with a silent one in it is the step on the batch without it."""
    results = []
    for spoilt in (False, True):
        split = train if not spoilt else replace(
            train, utterances=[*train.utterances[:4], Utterance("silent.wav", "ma1", "")])
        silence(train.root / "silent.wav")
        trainer = Trainer(split if spoilt else replace(train, utterances=train.utterances[:4]),
                          dev, replace(SETTINGS, batch_size=5))
        trainer.model.train()
        batch = trainer.data.loader.collate_fn(trainer.data.loader.dataset.__getitems__(
            [(0, index) for index in range(len(split) if spoilt else 4)]))
        results.append((trainer.train_batch(batch), weights(trainer)))
    assert same(*results)


def test_a_batch_of_which_nothing_is_left_moves_no_weight(train, dev):
    spoil(train, {0: silence})
    trainer = Trainer(train, dev, replace(SETTINGS, batch_size=1))
    for batch in trainer.data.loader:
        if batch.indices:
            trainer.train_batch(batch)
        else:
            before = weights(trainer)
            assert math.isnan(trainer.train_batch(batch)) and same(before, weights(trainer))
    assert list(trainer.left_out.values()) == [f"{train.audio_path(0)}: silent"]


@pytest.mark.parametrize("workers", [0, 2])
def test_stopping_and_resuming_equals_never_stopping(train, dev, all_kinds, tmp_path, workers):
    spoil(dev, {1: silence, 2: Path.unlink})
    whole = Run(Trainer(train, dev, SETTINGS), tmp_path / "whole")
    whole.fit()
    steps = whole.trainer.step
    assert steps == 2 * 3  # nine utterances
    for start in range(steps + 1):
        run = Run(Trainer(train, dev, SETTINGS, workers=workers), tmp_path / "run")
        if start > 0:
            run.resume()
        assert run.trainer.step == start
        with closing(run.trainer):
            run.fit(stop=lambda run=run, start=start: run.trainer.step > start)
    assert same(load_checkpoint(whole.checkpoint), load_checkpoint(run.checkpoint))
    assert len(whole.trainer.left_out) == 3


def test_what_breaks_in_mid_epoch_keeps_its_place_on_resuming(train, dev, tmp_path):
    """The header would tell now; but the batches are those of the beginning."""
    def broken_after_one_step(trainer: Trainer) -> None:
        if trainer.step == 1:
            last = trainer.data.loader.batch_sampler.plan(0)[-1][0]
            Path.unlink(trainer.data.train.audio_path(last))
            dataset = trainer.data.loader.dataset
            assert isinstance(dataset, SpeechDataset)
            dataset._waveforms.clear()

    first = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    assert first.fit(stop=lambda: first.trainer.step == 1) is None
    whole = Run(Trainer(train, dev, SETTINGS), tmp_path / "whole")
    whole.fit(stop=lambda: broken_after_one_step(whole.trainer))
    again = Run(Trainer(train, dev, SETTINGS), tmp_path / "run")
    assert len(again.trainer.data.train) == 11
    again.resume()
    assert len(again.trainer.data.train) == 12 and again.trainer.step == 1
    again.fit()
    assert len(again.trainer.left_out) == 1
    assert same(load_checkpoint(whole.checkpoint), load_checkpoint(again.checkpoint))


def test_what_was_repaired_is_included_on_resuming(train, dev, tmp_path):
    path = train.audio_path(3)
    sound = path.read_bytes()
    path.unlink()
    run = Run(Trainer(train, dev, SETTINGS), tmp_path)
    run.fit(stop=lambda: run.trainer.step == 1)
    path.write_bytes(sound)
    again = Run(Trainer(train, dev, SETTINGS), tmp_path)
    again.resume()
    assert len(again.trainer.data.train) == 12 and again.trainer.losses == []  # the epoch begins anew
    again.fit()
    assert again.trainer.step == 6 and not again.trainer.left_out


def test_lengths_of_another_list_are_not_taken(train, dev):
    state = state_of(Trainer(train, dev, SETTINGS))
    other = replace(train, utterances=train.utterances[::-1])
    spoil(train, {0: Path.unlink})
    trainer = Trainer(other, dev, SETTINGS)
    restore(trainer, state)
    assert len(trainer.data.train) == 11


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["train", "dev"])
def test_nothing_that_can_be_used_is_an_error(train, dev, name, kind):
    split = {"train": train, "dev": dev}[name]
    spoil(split, dict.fromkeys(range(len(split)), BROKEN[kind]))
    with pytest.raises(ValueError, match=rf"mini {name}: no .*; the first: .*\.wav: ") as caught:
        trainer = Trainer(train, dev, SETTINGS)
        assert kind in MET
        trainer.train_epoch()
        trainer.evaluate()
    assert "\n" not in str(caught.value)


# Several processes


@pytest.mark.parametrize("change", [{}, {"sync_norm": True}])
@pytest.mark.parametrize("size, batch_size", [(2, 1), (3, 2)])
def test_processes_with_uneven_shards_learn_what_one_would(
    train, dev, all_kinds, one_thread, steady, size, batch_size, change  # noqa: F811
):
    """A share may become empty, and with a batch of one or two all of them at once."""
    settings = replace(SETTINGS, batch_size=batch_size, rate_scaling=0.0, gradient_sharing=0.0, **change)

    def learn(group):
        trainer = trainer_of(group, train, dev, settings)
        return [trainer.train_epoch() for _ in range(2)], trainer, trainer.evaluate()

    results = in_threads(size, learn)
    alone = Trainer(train, dev, replace(settings, batch_size=size * batch_size))
    losses = [alone.train_epoch() for _ in range(2)]
    for found, trainer, result in results:
        assert found == pytest.approx(losses, rel=1e-4)
        assert same(weights(trainer), weights(results[0][1])) and trainer.step == alone.step
        assert trainer.left_out.keys() == alone.left_out.keys()  # after an evaluation all know
        assert result.utterances == len(dev)


@pytest.mark.parametrize("sync_norm", [False, True])
def test_a_step_without_any_utterance_moves_no_weight(train, dev, one_thread, sync_norm):
    spoil(train, {0: silence, 1: cut_inside})
    settings = replace(SETTINGS, batch_size=1, sync_norm=sync_norm)

    def step(group):
        trainer = trainer_of(group, train, dev, settings)
        dataset, before = trainer.data.loader.dataset, weights(trainer)
        batch = trainer.data.loader.collate_fn(dataset.__getitems__([(0, group.rank)]))
        assert batch.left_out and math.isnan(trainer.train_batch(batch))
        assert same(before, weights(trainer))
        good = trainer.data.loader.collate_fn(dataset.__getitems__([(0, 2 + group.rank)]))
        assert math.isfinite(trainer.train_batch(good))  # and it goes on
        return weights(trainer)

    first, second = in_threads(2, step)
    assert same(first, second)


def test_all_plan_with_what_the_first_can_read(train, dev, one_thread):
    """On another machine recordings are missing: its process leaves them out when they are met."""
    missing = replace(train, root=train.root.with_name("elsewhere"))
    shutil.copytree(train.root, missing.root)
    spoil(missing, dict.fromkeys(range(6), Path.unlink))

    def learn(group):
        trainer = trainer_of(group, missing if group.rank else train, dev, SETTINGS)
        assert len(trainer.data.train) == 12
        losses = [trainer.train_epoch() for _ in range(2)]
        trainer.evaluate()
        return losses, trainer

    (losses, first), (others, second) = in_threads(2, learn)
    assert losses == others and same(weights(first), weights(second))
    assert first.left_out and first.left_out.keys() == second.left_out.keys()
    assert first.left_out.keys() <= {str(missing.audio_path(index)) for index in range(6)}


@built
def test_two_processes_of_horovod(own_mini, train, dev, all_kinds, tmp_path):
    """A batch is one utterance of each: one has nothing to do at times, once both."""
    spoil(dev, {1: silence, 2: Path.unlink})
    command = [HOROVODRUN, "-np", 2, "-H", "localhost:2", sys.executable, "-m", "ramospeech.cli.main",
               "train", "--model_path", tmp_path, "--batch_size", 1]
    done = run(*command, "--epochs", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in [*all_kinds, *(str(dev.audio_path(index)) for index in (1, 2))]:
        assert done.stdout.count(f"left out: {name}: ") == 1
    state = load_checkpoint(tmp_path / "dfcnn" / "checkpoint.pt")
    assert (state["epoch"], state["step"], len(state["left_out"])) == (2, 2 * 5, 3)
    done = run(*command, "--epochs", 3, "--load_model")
    assert done.returncode == 0 and "resuming after epoch 2" in done.stdout
    assert "2 of 4 left out" in done.stdout


# Evaluation


def test_an_evaluation_reports_what_it_left_out(dev, train):
    model, vocabulary, _ = load_model()
    expected = evaluate(model, vocabulary, without(dev, (0, 2)))
    spoil(dev, {0: silence, 2: Path.unlink})
    result = evaluate(model, vocabulary, dev)
    assert sorted(result.left_out) == [0, 2] and result.utterances == 2
    result.left_out = {}
    assert result == expected


def test_training_reports_how_many_of_dev_are_left_out(train, dev, tmp_path, capsys):
    spoil(dev, {0: silence, 2: Path.unlink})
    run = Run(Trainer(train, dev, SETTINGS), tmp_path)
    result = run.fit()
    said = capsys.readouterr().out
    assert result.utterances == 2 and sorted(result.left_out) == [0, 2]
    assert said.count(", 2 of 4 left out\n") == 2  # epochs
    assert said.count("left out: ") == 1 and f"left out: {dev.audio_path(0)}: silent" in said
    assert said.count(" -> ") == 2  # of the first two one is heard, in two epochs


# The commands


def test_train_and_resume(ramospeech, train, dev, all_kinds):  # noqa: F811
    spoil(dev, {1: silence, 3: empty})
    status, out, err = ramospeech("train", "--epochs", 1, "--batch_size", 4)
    assert (status, err) == (0, [])
    assert out[0].startswith("mini: 9 utterances to train on, 3 to evaluate on; ")
    assert out[1] == "3 of train left out:" and out[5] == "1 of dev left out:"
    for name in [*all_kinds, str(dev.audio_path(1)), str(dev.audio_path(3))]:
        assert sum(line.startswith(f"  left out: {name}: ") for line in out) == 1
    assert "3 recordings could not be read and were left out" in out
    status, out, err = ramospeech("train", "--epochs", 2, "--load_model")
    assert (status, err) == (0, []) and "resuming after epoch 1" in out


def test_evaluate_in_words_in_numbers_and_as_a_page(ramospeech, model_file, dev):  # noqa: F811
    spoil(dev, {1: silence, 3: Path.unlink})
    command = ["evaluate", "--split", "dev", "--model", model_file]
    status, out, err = ramospeech(*command)
    assert (status, err) == (0, []) and " on mini dev: 2 utterances; " in out[1]
    names = [str(dev.audio_path(index)) for index in (1, 3)]
    assert out[2:5] == ["2 more are left out: their recordings cannot be read:",
                        f"  {names[0]}: silent", f"  {names[1]}: no such file"]
    status, out, err = ramospeech(*command, "--json", "--report", "page.html", "--worst", 4)
    facts = json.loads("\n".join(out))
    assert (status, err) == (0, [])
    assert (facts["utterances"], facts["left_out"]) == (2, 2)
    assert facts["left_out_because"] == [f"{names[0]}: silent", f"{names[1]}: no such file"]
    page = Path("page.html").read_text()
    assert "2 more that cannot be read" in page and all(f"<li>{name}: " in page for name in names)


def test_evaluate_if_nothing_can_be_read(ramospeech, model_file, dev):  # noqa: F811
    spoil(dev, {0: silence, 1: silence, 2: cut_inside, 3: Path.unlink})
    status, out, err = ramospeech("evaluate", "--split", "dev", "--model", model_file)
    assert (status, out, len(err)) == (1, [], 1)
    assert f"mini dev: no recording can be read; the first: {dev.audio_path(0)}: silent" in err[0]
