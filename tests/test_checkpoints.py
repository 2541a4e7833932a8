"""Checkpoints and model files: written atomically, and never executed."""

import json
import os
import pickle
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.config.settings import LOSSES, Settings
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.models.checkpoints import (
    CheckpointError, load_checkpoint, load_model, save_checkpoint, save_model,
)
from ramospeech.models.dfcnn import AcousticModel

VOCABULARY = Vocabulary((PAD, UNK, "ma1", "ma3", "lv4"))
FACTS = {"preset": "lesson", "corpus": "mini", "label_source": "pypinyin, 拼音", "epoch": 3}
DESIGN = {"preset": "lesson", "loss": "ctc", "recurrent": True, "subsampling": 1}


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    torch.manual_seed(1)
    model = AcousticModel.from_preset("lesson", len(VOCABULARY))
    model(torch.randn(2, 80, 200))  # in training mode: batch normalisation sees something
    return model


@pytest.fixture
def model_file(model, tmp_path) -> Path:
    save_model(tmp_path / "some" / "model.safetensors", model, VOCABULARY, FACTS)
    return tmp_path / "some" / "model.safetensors"


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    state = {"epoch": 3, "rate": 0.25, "names": ["a", "b"], "model": {"w": torch.randn(3, 4)},
             "random": torch.get_rng_state(), "best": float("inf")}
    save_checkpoint(tmp_path / "deep" / "checkpoint.pt", state)
    loaded = load_checkpoint(tmp_path / "deep" / "checkpoint.pt")
    assert torch.equal(loaded.pop("random"), state.pop("random"))
    assert torch.equal(loaded["model"].pop("w"), state["model"].pop("w"))
    assert loaded == state


def test_a_writer_that_fails_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(OSError, match="checkpoint.pt: cannot be written"):
        save_checkpoint(path, {"epoch": 2, "unwritable": lambda: None})
    assert os.listdir(tmp_path) == ["checkpoint.pt"]
    assert load_checkpoint(path) == {"epoch": 1}


def test_a_model_file_that_cannot_be_written_leaves_the_old_one(model, model_file):
    before = model_file.read_bytes()
    with pytest.raises(TypeError):
        save_model(model_file, model, VOCABULARY, FACTS | {"unwritable": {1, 2}})
    assert os.listdir(model_file.parent) == [model_file.name]
    assert model_file.read_bytes() == before


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("save", [torch.save, lambda state, path: path.write_bytes(
    pickle.dumps(state, protocol=2))])
def test_code_in_a_checkpoint_is_not_run(tmp_path, save):
    path, trace = tmp_path / "foreign.pt", tmp_path / "trace"
    save({"model": Code(f"touch {trace}")}, path)
    with pytest.raises(CheckpointError, match="foreign.pt: not a checkpoint") as caught:
        load_checkpoint(path)
    assert not trace.exists()
    assert "weights_only" not in str(caught.value)  # does not suggest running it anyway


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", None])
def test_other_files_raise(tmp_path, content):
    path = tmp_path / "broken.pt"
    save_checkpoint(path, {"w": torch.zeros(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(CheckpointError, match="broken.pt: not a checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_is_a_dictionary(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(CheckpointError, match="tensor.pt: not a checkpoint .*Tensor"):
        load_checkpoint(tmp_path / "tensor.pt")


@pytest.mark.parametrize("load", [load_checkpoint, load_model])
def test_missing_files_and_folders_are_named(tmp_path, load):
    with pytest.raises(CheckpointError, match="nothing: no such"):
        load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=f"{tmp_path.name}: not a"):
        load(tmp_path)


def test_a_model_file_gives_the_same_model_in_half_precision(model, model_file):
    loaded, vocabulary, facts = load_model(model_file)
    assert vocabulary == VOCABULARY
    assert facts == FACTS | {"loss": "ctc", "recurrent": True, "subsampling": 1}
    assert not loaded.training
    features = torch.randn(2, 80, 200)
    with torch.inference_mode():
        expected, found = model.eval()(features), loaded(features)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert (found - expected).abs().max() < 0.01 * expected.abs().max()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("recurrent, subsampling", [(True, 1), (False, 1), (False, 2)])
def test_a_model_file_states_loss_and_architecture(tmp_path, loss, recurrent, subsampling):
    """The attributes of the model override the metadata passed in."""
    path = tmp_path / "model.safetensors"
    model = AcousticModel.from_preset("lesson", len(VOCABULARY), recurrent, loss, subsampling)
    save_model(path, model, VOCABULARY, FACTS | {"loss": "ctc", "recurrent": True})
    loaded, _, facts = load_model(path)
    assert (loaded.loss, loaded.recurrent, loaded.subsampling) == (loss, recurrent, subsampling)
    assert (facts["loss"], facts["recurrent"], facts["subsampling"]) == (loss, recurrent, subsampling)
    assert loaded.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("missing", ["preset", "loss", "recurrent", "subsampling"])
def test_a_model_file_without_one_of_these_facts_is_refused(model_file, missing):
    facts = load_model(model_file)[2]
    del facts[missing]
    with pytest.raises(CheckpointError, match=missing):
        load_model(rewritten(model_file, ramospeech=json.dumps(facts)))


@pytest.mark.parametrize("name", ["audio-cmn", "one-voice"])
def test_a_shipped_model_names_todays_settings(name):
    facts = load_model(SHIPPED_MODEL.with_name(f"{name}.safetensors"))[2]
    others = {"corpus", "commit", "epoch", "dev_syllable_error_rate", "label_source"}
    assert facts.keys() - others <= {field.name for field in fields(Settings)}


def test_a_model_file_is_half_the_size(model, model_file):
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    assert model_file.stat().st_size < 2 * numbers + 20_000


def rewritten(path: Path, drop_tensor: str = "", **metadata: str | None) -> Path:
    """The model file with other metadata, or without one of its tensors."""
    import safetensors

    with safetensors.safe_open(path, framework="pt") as file:
        facts = file.metadata() | metadata
    tensors = {name: tensor for name, tensor in load_file(path).items() if name != drop_tensor}
    save_file(tensors, path, {key: value for key, value in facts.items() if value is not None})
    return path


@pytest.mark.parametrize("change", [
    {"ramospeech": None},  # a foreign file
    {"ramospeech": "not json"},
    {"ramospeech": "[1, 2]"},
    {"ramospeech": "{}"},  # no preset
    {"ramospeech": json.dumps(DESIGN | {"preset": "huge"})},
    {"ramospeech": json.dumps(DESIGN | {"preset": "full"})},  # not the preset of the weights
    {"ramospeech": json.dumps(DESIGN | {"recurrent": False})},  # the weights are recurrent
    {"ramospeech": json.dumps(DESIGN | {"loss": "transducer"})},
    {"syllables": None},
    {"syllables": "ma1 ma3"},
    {"syllables": f"{PAD} {UNK} ma1"},  # fewer than the weights have
    {"drop_tensor": "fc3.weight"},
])
def test_another_kind_of_model_file_raises(model_file, change):
    with pytest.raises(CheckpointError, match="model.safetensors: not a RamoSpeech model") as e:
        load_model(rewritten(model_file, **change))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_model_file_raises(model_file, keep):
    model_file.write_bytes(model_file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="model.safetensors: not a RamoSpeech model"):
        load_model(model_file)
