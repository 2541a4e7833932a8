"""The state of a trainer: saved, restored, sent to other processes; or begun from a model file."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ramospeech.models.checkpoints import CheckpointError, load_model
from ramospeech.training.schedule import jump_to
from ramospeech.training.trainer import Trainer

__all__ = ["broadcast_state", "restore", "start_from", "state_of"]


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that is needed to resume training, as tensors and plain values."""
    state = {
        "settings": asdict(trainer.settings), "syllables": list(trainer.vocabulary.symbols),
        "corpus": trainer.data.train.corpus, "list": trainer.data.checksum,
        "seconds": torch.from_numpy(trainer.data.seconds),
        "plan": trainer.data.sampler.fingerprint(trainer.epoch),
        "epoch": trainer.epoch, "step": trainer.step, "losses": list(trainer.losses),
        "consumed": [list(pair) for pair in trainer.consumed],
        "best_rate": trainer.best_rate, "refused": dict(trainer.refused),
        "left_out": dict(trainer.left_out),
        "model": trainer.model.state_dict(), "optimizer": trainer.optimizer.state_dict(),
        "schedule": trainer.schedule.state_dict(), "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    for hook in trainer.hooks:
        state |= hook.state()
    return state


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Resume from what `state_of` returned. Raises ValueError if it is of another design."""
    if reason := _other_design(trainer, state["settings"], state["syllables"]):
        raise ValueError(f"it holds {reason}")
    for part in ("model", "optimizer", "schedule"):
        getattr(trainer, part).load_state_dict(state[part])
    for hook in trainer.hooks:
        hook.load_state(state)
    trainer.epoch, trainer.best_rate = state["epoch"], state["best_rate"]
    trainer.refused, trainer.left_out = Counter(state["refused"]), dict(state["left_out"])
    _restore_position(trainer, state)
    jump_to(trainer.step, trainer.schedule, trainer.optimizer, trainer.peak_learning_rate,
            trainer.settings.weight_decay)
    torch.set_rng_state(state["random"])
    if len(state["random_cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["random_cuda"])
    trainer.seed_dropout()


def _restore_position(trainer: Trainer, state: dict[str, Any]) -> None:
    """Continue within the epoch; if its batches are now others, begin it again."""
    if state["list"] == trainer.data.checksum:
        trainer.data.replan(state["seconds"].numpy())
    same_plan = state["plan"] == trainer.data.sampler.fingerprint(trainer.epoch)
    trainer.losses = list(state["losses"]) if same_plan else []
    trainer.consumed = [list(pair) for pair in state["consumed"]] if same_plan else []
    trainer.resume_epoch()
    trainer.step = (trainer.epoch + 1) * len(trainer.data.loader) - trainer.steps_left


def broadcast_state(trainer: Trainer) -> None:
    """Let all processes of the trainer's group begin with the state of the first.

    In an elastic job nothing is done here: there it happens whenever a process joins.
    """
    if trainer.group.elastic:
        return
    state = trainer.group.from_first(state_of(trainer) if trainer.group.is_first else None)
    if not trainer.group.is_first:
        restore(trainer, state)


def start_from(trainer: Trainer, path: Path) -> None:
    """Begin with the weights of a model file. Raises CheckpointError if it does not fit."""
    model, vocabulary, facts = load_model(path)
    if reason := _other_design(trainer, facts, vocabulary.symbols):
        raise CheckpointError(f"{path} holds {reason}")
    trainer.model.load_state_dict(model.state_dict())


def _other_design(trainer: Trainer, facts: dict[str, Any], syllables: Any) -> str | None:
    """How the model that these facts describe differs from the trainer's, if it does."""
    settings = trainer.settings
    if facts["preset"] != settings.preset:
        return f"a model '{facts['preset']}', not '{settings.preset}'"
    if facts["recurrent"] != settings.recurrent:
        return f"a model {'with' if facts['recurrent'] else 'without'} an LSTM"
    if facts["subsampling"] != settings.subsampling:
        return f"a model with a subsampling of {facts['subsampling']}"
    if tuple(syllables) != trainer.vocabulary.symbols:
        return "a model with another vocabulary"
    return None
