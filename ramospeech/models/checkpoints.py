"""Save and load checkpoints, for resuming training, and model files, for recognition."""

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


__all__ = ["CheckpointError", "load_checkpoint", "load_model", "save_checkpoint", "save_model"]


class CheckpointError(RamoSpeechError):
    """A file that is not a checkpoint or model; the message names the file and the reason."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a dictionary of tensors and plain values atomically."""
    write_atomically(path, lambda draft: torch.save(state, draft), outlast_power_cuts=True)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without executing code from the file. Raises CheckpointError."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise TypeError(f"it contains a {type(state).__name__}")
        return state
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except UnpicklingError:  # torch's message would suggest running the code in the file
        raise CheckpointError(f"{path}: not a checkpoint (more than tensors and values)") from None
    except Exception as error:  # noqa: BLE001 torch raises many kinds for foreign files
        raise CheckpointError(f"{path}: not a checkpoint ({brief(error)})") from None


def save_model(path: Path, model: AcousticModel, vocabulary: Vocabulary, facts: dict[str, Any]) -> None:
    """Write the weights in half precision, with the metadata that recognition needs.

    `facts` must contain the model's `preset` and may contain more; all of it is saved as metadata,
    together with the model's `loss` (which determines the decoder), `subsampling` and `recurrent`.
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
    """Return the model of a file, in float32 and eval mode, its vocabulary and its metadata.

    Raises CheckpointError.
    """
    try:
        with open(path, "rb"):  # safetensors reports an unreadable file as missing
            return _read_model(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such model") from None
    except (safetensors.SafetensorError, OSError, RuntimeError, LookupError, TypeError,
            ValueError) as error:
        raise CheckpointError(f"{path}: not a RamoSpeech model in "
                              f"safetensors format ({brief(error)})") from None


def _read_model(path: Path) -> tuple[AcousticModel, Vocabulary, dict[str, Any]]:
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: _widen(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 not a dict
    facts = json.loads(metadata["ramospeech"])
    vocabulary = Vocabulary(tuple(metadata["syllables"].split(" ")))
    model = AcousticModel.from_preset(facts["preset"], len(vocabulary), facts["recurrent"],
                                      facts["loss"], facts["subsampling"])
    model.load_state_dict(tensors)
    return model.eval(), vocabulary, facts


def _widen(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
