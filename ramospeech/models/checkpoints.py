"""Models on disk: checkpoints to go on training from, and small files to recognise with."""

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.utils.errors import RamoSpeechError
from ramospeech.utils.files import brief, write_atomically


class CheckpointError(RamoSpeechError):
    """A file that holds no model of ours; the message names it and says what is wrong."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values; the file appears whole or not at all."""
    write_atomically(path, lambda draft: torch.save(state, draft), outlast_power_cuts=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; nothing in the file is executed. Raises CheckpointError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it holds a {type(state).__name__}")
        return state
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except UnpicklingError:  # torch would advise to run whatever the file says
        raise CheckpointError(f"{path}: not a checkpoint (not just tensors and values)") from None
    except Exception as error:  # noqa: BLE001 torch raises many kinds for files it did not write
        raise CheckpointError(f"{path}: not a checkpoint ({brief(error)})") from None


def save_model(path: Path, model: AcousticModel, vocabulary: Vocabulary, facts: dict[str, Any]) -> None:
    """Write just the weights, in half precision, with what recognition needs to know.

    `facts` must hold the `preset` of the model; whatever else it holds is kept beside the weights,
    with the model's `loss`, which decides how it is decoded, its `subsampling`, and whether it is
    `recurrent`.
    """
    facts = facts | {"loss": model.loss, "recurrent": model.recurrent, "subsampling": model.subsampling}
    tensors = {name: _halve(tensor) for name, tensor in model.state_dict().items()}
    metadata = {"ramospeech": json.dumps(facts), "syllables": " ".join(vocabulary.symbols)}
    write_atomically(path, lambda draft: save_file(tensors, draft, metadata),
                     outlast_power_cuts=True)


def _halve(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() else tensor


def load_model(path: Path = SHIPPED_MODEL) -> tuple[AcousticModel, Vocabulary, dict[str, Any]]:
    """Read a model file: the model in float32 and eval mode, its classes, and its facts.

    Raises CheckpointError.
    """
    try:
        with open(path, "rb"):  # safetensors calls a file that it may not read missing
            return _read_model(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such model") from None
    except (safetensors.SafetensorError, OSError, RuntimeError, LookupError, TypeError,
            ValueError) as error:
        raise CheckpointError(f"{path}: not a model of RamoSpeech, a "
                              f".safetensors file ({brief(error)})") from None


def _read_model(path: Path) -> tuple[AcousticModel, Vocabulary, dict[str, Any]]:
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: _widen(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 no dict
    facts = json.loads(metadata["ramospeech"])
    vocabulary = Vocabulary(tuple(metadata["syllables"].split(" ")))
    # Older files say none of it: theirs are recurrent models of full rate, trained with CTC.
    design = {"recurrent": True, "loss": "ctc", "subsampling": 1} | facts
    model = AcousticModel.from_preset(facts["preset"], len(vocabulary), design["recurrent"],
                                      design["loss"], design["subsampling"])
    model.load_state_dict(tensors)
    return model.eval(), vocabulary, facts


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
