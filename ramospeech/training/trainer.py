"""Training: from two splits of a corpus to a model that recognises recordings it has never heard."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from ramospeech.config.settings import Settings
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import Batch
from ramospeech.evaluation.error_rates import Evaluation
from ramospeech.evaluation.evaluate import judge, recognise_split
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.losses.batch import UtteranceError
from ramospeech.losses.registry import loss_function
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.data import TrainingData
from ramospeech.training.distributed import ProcessGroup, average
from ramospeech.training.hooks import hooks_for
from ramospeech.training.schedule import peak_learning_rate, warmup_cosine

__all__ = ["Trainer"]


class Trainer:
    """A model with its optimizer and its data, which it is trained on epoch by epoch.

    `data` tells which utterances were excluded from the start. `left_out` maps the paths of
    recordings that turned out to be unreadable later to the reason, and `refused` counts how often
    an utterance was skipped because it does not fit into memory. `epoch` epochs are done, and as
    many batches of the next one as there are `losses`. In a `group` of several processes each trains
    on its shard of every batch, and all hold the same model after every step.
    """

    def __init__(
        self, train: Split, dev: Split, settings: Settings = Settings(),
        device: str = "cpu", workers: int = 0, vocabulary: Vocabulary | None = None,
        group: ProcessGroup = ProcessGroup(),
    ) -> None:
        self.settings, self.device, self.group = settings, device, group
        self.vocabulary = vocabulary or Vocabulary.read()
        self.data = TrainingData(train, dev, settings, self.vocabulary, group, workers,
                                 pin_memory=torch.device(device).type == "cuda")
        torch.manual_seed(settings.seed)
        self.model = AcousticModel.from_preset(
            settings.preset, len(self.vocabulary), settings.recurrent, settings.loss,
            settings.subsampling).to(device)
        self.loss = loss_function(settings.loss, settings.ace_weight)
        self.hooks = hooks_for(settings, group)
        for hook in self.hooks:
            hook.after_build(self.model, self.vocabulary)
        self.optimizer = AdamW(self.model.parameters(), self.peak_learning_rate,
                               weight_decay=settings.weight_decay)
        self.schedule = LambdaLR(
            self.optimizer, lambda step: warmup_cosine(step, self.total_steps, settings.warmup))
        self.epoch, self.step, self.best_rate = 0, 0, math.inf
        self.losses: list[float] = []
        self.consumed: list[list[int]] = []  # of this epoch: utterances per batch, batches done
        self.refused: Counter[str] = Counter()
        self.left_out: dict[str, str] = {}
        self.seed_dropout()

    @property
    def peak_learning_rate(self) -> float:
        return peak_learning_rate(self.settings, self.group.size)

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * len(self.data.loader)

    @property
    def evaluated_model(self) -> AcousticModel:
        """The model that dev evaluates and that is kept: with EMA, the one of averaged weights."""
        model = self.model
        for hook in self.hooks:
            model = hook.evaluated(model)
        return model

    def seed_dropout(self) -> None:
        """Let each of several processes draw random numbers of its own; the first one's are saved."""
        if self.group.size > 1:
            torch.manual_seed(hash((self.settings.seed, self.step, self.group.rank)) % 2**63)

    def close(self) -> None:
        """Stop the processes that load data; training cannot continue."""
        self.data.close()

    # One step

    def train_batch(self, batch: Batch) -> float:
        """One step of gradient descent; returns the loss before it.

        An utterance that does not fit into memory is skipped, and one that cannot be read is left
        out; if no process has one left, the loss is NaN and no weight changes.
        """
        self.optimizer.zero_grad()
        loss, count = self.compute_gradients(batch)  # by forward_backward(), below
        loss = average(self.group, self.model, loss, count, self.settings.compression)
        clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        for hook in self.hooks:
            hook.after_step(self.model)
        return loss

    def forward_backward(self, batch: Batch, weight: float = 1.0) -> float:
        """Forward pass, loss, backward pass; returns the loss, which is multiplied by `weight`."""
        batch = batch.to(self.device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16,
                            enabled=self.settings.precision == "bfloat16"):
            logits = self.model(batch.features, batch.feature_lengths)
        loss = weight * self._checked_loss(logits, batch)
        loss.backward()
        return loss.item()

    def compute_gradients(self, batch: Batch) -> tuple[float, int]:
        """Run `forward_backward` on a batch, whole or in micro-batches, as a hook decides.

        Returns the mean loss and the number of utterances that it is the mean of. Reports the others.
        """
        self._report_left_out(self.data.train, batch.left_out)
        results = (hook.compute_gradients(self.model, batch, self.forward_backward) for hook in self.hooks)
        gradients = next(result for result in results if result is not None)
        self._report_too_large(gradients.too_large)
        return gradients.loss, gradients.count

    def compute_loss(
        self, logits: Tensor, logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor
    ) -> Tensor:
        """The loss at this step, which may depend on the progress of the training."""
        batch = whole = (logits, logit_lengths, targets, target_lengths)
        progress = self.step / self.total_steps
        for hook in self.hooks:
            batch = hook.before_loss(batch, progress)
        loss = self.loss(*batch)
        for hook in self.hooks:
            loss = hook.after_loss(loss, whole, progress)
        return loss

    def _checked_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Raises FloatingPointError, naming the recordings, if the loss is not finite."""
        lengths = self.model.output_lengths(batch.feature_lengths)
        places: Sequence[int] = range(len(batch.indices))
        reason = "the loss is infinite"
        try:
            loss = self.compute_loss(logits, lengths, batch.targets, batch.target_lengths)
            if torch.isfinite(loss):
                return loss
        except UtteranceError as error:
            places, reason = error.places, f"the loss is undefined ({error.reason})"
        paths = ", ".join(self.data.train.utterances[batch.indices[place]].path for place in places)
        raise FloatingPointError(f"{reason} at step {self.step} on {paths}")

    def _report_too_large(self, indices: list[int]) -> None:
        for index in indices:
            path = self.data.train.utterances[index].path
            self.refused[path] += 1
            tqdm.write(f"  skipped at step {self.step}, does not fit into memory: {path}")

    def _report_left_out(self, split: Split, reasons: dict[int, str]) -> None:
        """Name a recording the first time; its place stays empty in every epoch."""
        for index, reason in reasons.items():
            path = str(split.audio_path(index))
            if path not in self.left_out:
                self.left_out[path] = reason
                tqdm.write(f"  left out: {reason}")

    # One epoch

    def train_epoch(self, after_step: Callable[[], object] = lambda: None) -> float:
        """Train on the batches of the epoch that are left; calls `after_step()` after each.

        Returns the mean loss of all batches of the epoch.
        """
        self.model.train()
        self.resume_epoch()
        bar = tqdm(self.data.loader, desc=f"epoch {self.epoch + 1}/{self.settings.epochs}",
                   initial=len(self.losses), total=len(self.losses) + self.steps_left, leave=False)
        for batch in bar:
            self.losses.append(self.train_batch(batch))
            self.consumed[-1][1] += 1
            self.steps_left -= 1
            bar.set_postfix(loss=f"{self.losses[-1]:.2f}")
            after_step()
        losses = [loss for loss in self.losses if not math.isnan(loss)]
        self._refuse_silence(bool(losses))
        self.epoch, self.losses, self.consumed = self.epoch + 1, [], []
        return sum(losses) / len(losses) if losses else math.nan

    def resume_epoch(self) -> None:
        """Let the loader continue after the batches of this epoch that are done."""
        self.steps_left = self.data.resume_epoch(self.epoch, self.consumed)

    @property
    def epoch_is_done(self) -> bool:
        """Whether all of it was trained on; dev may not have evaluated it."""
        return bool(self.losses) and self.steps_left == 0

    def _refuse_silence(self, learned: bool) -> None:
        """Raise ValueError, in all processes, if no utterance of an epoch could be read."""
        if not learned and self.group.any(bool(self.left_out)):
            reason = next(iter(self.left_out.values()), "see what the other processes report")
            raise ValueError(f"{self.data.train.corpus} {self.data.train.name}: no utterance could be "
                             f"trained on; the first: {reason}")

    # Evaluation

    def evaluate(self, after_each: Callable[[], object] = lambda: None) -> Evaluation:
        """Error rates on the dev split; calls `after_each()` after each utterance.

        Each process recognises its shard; all make the same number of calls. Raises ValueError if no
        recording could be read.
        """
        dev, group = self.data.dev, self.group
        shard = range(group.rank, len(dev), group.size)
        own = replace(dev, utterances=[dev.utterances[index] for index in shard])
        results = {}
        for place, result in recognise_split(self.evaluated_model, self.vocabulary, own):
            results[shard[place]] = result
            after_each()
        if len(shard) < -(-len(dev) // group.size):
            after_each()
        self._report_left_out(own, {
            place: error for place, index in enumerate(shard)
            if (error := results[index].error) and index not in self.data.unreadable_dev})
        shards = group.gather((results, self.left_out))
        for _, left_out in shards:  # what one process has reported the others need not
            self.left_out |= left_out
        everything = [item for of_shard, _ in shards for item in of_shard.items()]
        return judge(everything, self.vocabulary, dev)

    def sample_predictions(self, count: int = 2) -> list[str]:
        """The first utterances of dev: reference and hypothesis."""
        dev = self.data.dev
        few = replace(dev, utterances=dev.utterances[:count])
        results = dict(recognise_split(self.evaluated_model, self.vocabulary, few))
        return [f"{utterance.pinyin} -> {' '.join(results[index].syllables) or '(blank)'}"
                for index, utterance in enumerate(few.utterances) if not results[index].error]
