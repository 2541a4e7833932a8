"""A training run in a folder: the files it writes there, and how it resumes from them."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from ramospeech.config.settings import Settings
from ramospeech.evaluation.error_rates import Evaluation
from ramospeech.models.checkpoints import CheckpointError, load_checkpoint, save_checkpoint, save_model
from ramospeech.training.state import restore, state_of
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import MEGABYTE, brief, check_room, remove_drafts

__all__ = ["Run", "held_settings"]


def held_settings(path: Path) -> tuple[Settings, str]:
    """The settings and the corpus of the run that wrote a checkpoint. Raises CheckpointError."""
    try:
        state = load_checkpoint(path)
        return Settings(**state["settings"]), state["corpus"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: no settings of a run in it ({brief(error)})") from None


class _Stopped(Exception):
    """The run was asked to stop; everything it did is saved."""


class Run:
    """A training run in a folder of its own.

    The folder holds `checkpoint.pt`, from which the run resumes, `best.safetensors`, the model of the
    epoch with the lowest error on dev, and `tensorboard/`, the curves.
    """

    def __init__(self, trainer: Trainer, folder: Path, facts: dict[str, Any] | None = None) -> None:
        self.trainer, self.folder, self.facts = trainer, folder, facts or {}
        self.checkpoint = folder / "checkpoint.pt"

    def resume(self, path: Path | None = None) -> None:
        """Resume from the run's own checkpoint, or from another. Raises CheckpointError."""
        path = path or self.checkpoint
        state = load_checkpoint(path)
        try:
            restore(self.trainer, state)
        except (LookupError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} does not fit ({brief(error)})") from None
        if path != self.checkpoint:
            self.trainer.best_rate = math.inf  # the best model of another run is in its own folder

    def fit(
        self, save_step: int = 1, save_minutes: float = 5.0,
        stop: Callable[[], bool] = lambda: False, commit: Callable[[], object] = lambda: None,
    ) -> Evaluation | None:
        """Train up to the last epoch; returns dev's errors, or None if `stop()` ended it early.

        Saves before the first step, every `save_minutes`, at the end of an epoch before dev is
        evaluated, and after the evaluation every `save_step` epochs. A run that resumes from any of
        these checkpoints ends with the same result as one without a break. Raises OSError, before
        training if the folder has no room for the files of the run, and later if a file cannot be
        written.

        Of several processes the first writes, and all stop if one of them is asked to. `commit()`
        is called after every step.
        """
        if self.trainer.group.is_first:
            self._check_folder()
        self.save()
        try:
            return self._train(save_step, 60 * save_minutes, stop, commit)
        except _Stopped:
            return None

    def _check_folder(self) -> None:
        """Each file needs room twice: for the old version and the draft of the new one."""
        best = self.folder / "best.safetensors"
        for path in (self.checkpoint, best):
            remove_drafts(path)
        weights = sum(tensor.nbytes for tensor in self.trainer.model.state_dict().values())
        size = 4 * weights + MEGABYTE  # AdamW has two numbers per weight; perhaps there is an EMA
        present = sum(path.stat().st_size for path in (self.checkpoint, best) if path.exists())
        check_room(self.checkpoint, size, needed=max(size, 2 * size + weights - present))

    def save(self) -> None:
        """Write the checkpoint. Raises OSError."""
        if self.trainer.group.is_first:
            save_checkpoint(self.checkpoint, state_of(self.trainer))
        self._saved_at = time.monotonic()

    def _train(
        self, save_step: int, save_seconds: float, stop: Callable[[], bool],
        commit: Callable[[], object],
    ) -> Evaluation:
        trainer, result = self.trainer, None

        def after_step() -> None:
            stopping = trainer.group.any(stop())
            if trainer.epoch_is_done or stopping or time.monotonic() - self._saved_at >= save_seconds:
                self.save()
            if stopping:
                raise _Stopped
            commit()

        def stop_early() -> None:
            if trainer.group.any(stop()):
                raise _Stopped

        with self._board() as board:
            while trainer.epoch < trainer.settings.epochs:
                loss = trainer.train_epoch(after_step)
                result = trainer.evaluate(stop_early)  # the epoch is saved already
                if board is not None:
                    self._report(board, loss, result)
                self._keep_if_best(result)
                if trainer.epoch % save_step == 0 or trainer.epoch == trainer.settings.epochs:
                    self.save()
        if result is None:  # no epoch was left to train
            result = trainer.evaluate(stop_early)
            self._keep_if_best(result)
        return result

    def _board(self) -> SummaryWriter | nullcontext[None]:
        """Curves, without the points after the step to resume from: they will come again."""
        if not self.trainer.group.is_first:
            return nullcontext()
        evaluated = not self.trainer.losses
        return SummaryWriter(self.folder / "tensorboard", purge_step=self.trainer.step + evaluated)

    def _report(self, board: SummaryWriter, loss: float, result: Evaluation) -> None:
        trainer = self.trainer
        board.add_scalar("loss/train", loss, trainer.step)
        board.add_scalar("syllable_error_rate/dev", result.toned.rate, trainer.step)
        board.add_scalar("learning_rate", trainer.schedule.get_last_lr()[0], trainer.step)
        left_out = f", {len(result.left_out)} of {len(trainer.data.dev)} left out" if result.left_out else ""
        tqdm.write(f"epoch {trainer.epoch:4}  loss {loss:7.3f}  "
                   f"dev syllable error {result.toned.rate:6.1%}{left_out}")
        for line in trainer.sample_predictions():
            tqdm.write(f"            {line}")

    def _keep_if_best(self, result: Evaluation) -> None:
        trainer = self.trainer
        if result.toned.rate < trainer.best_rate:
            trainer.best_rate = result.toned.rate
            facts = self.facts | asdict(trainer.settings) | {
                "epoch": trainer.epoch, "dev_syllable_error_rate": trainer.best_rate,
                "label_source": trainer.data.dev.label_source,
            }
            if trainer.group.is_first:
                save_model(self.folder / "best.safetensors", trainer.evaluated_model,
                           trainer.vocabulary, facts)
