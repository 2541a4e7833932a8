"""Training: from two splits of a corpus to a model that recognises what it never heard."""

import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from ramospeech.audio.augment import SPEEDS
from ramospeech.config.settings import Settings
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import Batch, SpeechDataset, make_loader
from ramospeech.data.sampler import BucketSampler
from ramospeech.data.usable import find_unreadable, find_unusable, measure_seconds
from ramospeech.evaluation.error_rates import Evaluation
from ramospeech.evaluation.evaluate import judge, recognise_split
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.losses.ace import mean_entropy
from ramospeech.losses.batch import UtteranceError
from ramospeech.losses.registry import loss_function
from ramospeech.models.checkpoints import CheckpointError, load_model
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.distributed import ProcessGroup, average
from ramospeech.training.gradient_sharing import share_between_syllables
from ramospeech.training.out_of_memory import in_pieces
from ramospeech.training.sync_batch_norm import accompany, synchronise
from ramospeech.training.uniform_segmentation import cut_evenly


class Trainer:
    """A model with its optimizer and its data, which it trains on epoch by epoch.

    `unusable` tells which utterances of the training split were left out from the start, and why,
    `unreadable_dev` those of dev; `left_out` which recordings, by their paths, turned out to be
    unreadable later, and `refused` counts how often an utterance was passed over that does not fit
    into memory. `epoch` epochs are done,
    and of the next one as many batches as there are `losses`. With a `group` of several processes,
    each has its share of every batch, and all hold the same model after every step.
    """

    def __init__(
        self, train: Split, dev: Split, settings: Settings = Settings(),
        device: str = "cpu", workers: int = 0, vocabulary: Vocabulary | None = None,
        group: ProcessGroup = ProcessGroup(),
    ) -> None:
        self.group = group
        self.dev, self.settings, self.device = dev, settings, device
        self.vocabulary = vocabulary or Vocabulary.read()
        torch.manual_seed(settings.seed)
        self.model = AcousticModel.from_preset(
            settings.preset, len(self.vocabulary), settings.recurrent, settings.loss,
            settings.subsampling)
        self.loss = loss_function(settings.loss, settings.ace_weight)
        share_between_syllables(self.model.fc3, self.vocabulary, settings.gradient_sharing)
        self.model.to(device)
        self.average = _average_of(self.model, settings.ema_decay)
        if settings.sync_norm:
            synchronise(self.model, group)
        self._given, self._workers = train, workers
        self._choose_data(measure_seconds(train))
        self._choose_dev()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), self.top_rate, weight_decay=settings.weight_decay
        )
        self.schedule = LambdaLR(self.optimizer, lambda step: self._rate_factor(step))
        self.epoch, self.step, self.best_rate = 0, 0, math.inf
        self.losses: list[float] = []
        self.dealt: list[list[int]] = []  # of this epoch: utterances a batch, batches done
        self.refused: Counter[str] = Counter()
        self.left_out: dict[str, str] = {}
        self._draw_apart()

    @property
    def judged_model(self) -> AcousticModel:
        """What dev judges and what is kept: the mean of the last steps' weights, if there is one."""
        # An AveragedModel does not say that its module is a copy of the model.
        return cast(AcousticModel, self.average.module) if self.average else self.model

    def _choose_data(self, seconds: np.ndarray) -> None:
        """Plan to train on what is usable, given the length of each recording (0: unreadable)."""
        train, self._seconds = self._given, seconds
        fastest = max(SPEEDS) if self.settings.augment else 1.0
        self.unusable = find_unusable(
            train, seconds, self.vocabulary, fastest, self.settings.loss, self.settings.subsampling)
        usable = [index for index in range(len(train)) if index not in self.unusable]
        if not usable:
            raise ValueError(f"{train.corpus} {train.name}: no utterance can be trained on; "
                             f"the first: {self.unusable[0]}")
        self.train = replace(train, utterances=[train.utterances[index] for index in usable])
        dataset = SpeechDataset(
            self.train, self.vocabulary, self.settings.augment, self.settings.seed,
            self.settings.voice_augmentation, self.settings.subsampling,
        )
        self.loader = make_loader(
            dataset, seconds[usable], self.settings.batch_size, shuffle=True, workers=self._workers,
            pin_memory=torch.device(self.device).type == "cuda", group=self.group,
        )

    def _choose_dev(self) -> None:
        self.unreadable_dev = find_unreadable(self.dev, measure_seconds(self.dev))
        if len(self.unreadable_dev) == len(self.dev):
            raise ValueError(f"{self.dev.corpus} {self.dev.name}: no recording can be judged by; "
                             f"the first: {self.unreadable_dev[0]}")

    def start_from(self, path: Path) -> None:
        """Begin with the weights of a model file. Raises CheckpointError where it does not fit."""
        model, vocabulary, facts = load_model(path)
        if facts["preset"] != self.settings.preset:
            raise CheckpointError(
                f"{path} is a model '{facts['preset']}', not '{self.settings.preset}'")
        if model.recurrent != self.settings.recurrent:
            raise CheckpointError(f"{path} is a model {_with_lstm(model.recurrent)}")
        if model.subsampling != self.settings.subsampling:
            raise CheckpointError(f"{path} is a model of subsampling {model.subsampling}")
        if vocabulary.symbols != self.vocabulary.symbols:
            raise CheckpointError(f"{path} was trained with another list of syllables")
        self.model.load_state_dict(model.state_dict())

    def close(self) -> None:
        """End the processes that load data; no more can be trained."""
        del self.loader

    @property
    def top_rate(self) -> float:
        """The highest learning rate: higher for the larger batches of several processes.

        By default by the square root of their number, as suits Adam (Malladi et al., NeurIPS 2022).
        """
        return self.settings.learning_rate * self.group.size ** self.settings.rate_scaling

    @property
    def total_steps(self) -> int:
        return self.settings.epochs * len(self.loader)

    def _rate_factor(self, step: int) -> float:
        """The learning rate at a step: up in a straight line, then down along half a cosine."""
        rising = max(1, round(self.settings.warmup * self.total_steps))
        if step < rising:
            return (step + 1) / rising
        falling = max(1, self.total_steps - rising)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / falling)))

    def train_batch(self, batch: Batch) -> float:
        """One step of gradient descent; returns the loss before it.

        A batch that does not fit into memory goes in pieces, whose gradients add up to those of the
        whole (but batch normalisation sees a piece at a time). An utterance that does not even fit
        alone is passed over, and one that cannot be read is left out; where none is left in any
        process, the loss is NaN, and no weight moves.
        """
        self._report_left_out(self.train, batch.left_out)
        if self.settings.sync_norm and self.group.size > 1:
            loss = self._gradients_in_step(batch)
        else:
            parts, refused = in_pieces(batch, self.add_gradients, begin=self.optimizer.zero_grad)
            self._report_refused(refused)
            loss = self._average(parts)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        if self.average:
            self.average.update_parameters(self.model)
        self.step += 1
        return loss

    def _average(self, parts: list[tuple[Batch, float]]) -> float:
        """The mean gradients over all processes instead of this one's; returns the mean loss."""
        loss = sum(loss for _, loss in parts) if parts else math.nan
        count = sum(len(piece.indices) for piece, _ in parts)
        return average(self.group, self.model, loss, count, self.settings.compression)

    def _gradients_in_step(self, batch: Batch) -> float:
        """With synchronised normalisation: all go forward together, in one piece, equally padded."""
        self.optimizer.zero_grad()
        count = len(batch.indices)
        total = int(self.group.sum([torch.tensor(count)], "utterances")[0])
        if not total:
            return math.nan
        behind = self.group.max(batch.features.shape[1], "frames") - batch.features.shape[1]
        loss = 0.0
        if count:
            padded = replace(batch, features=F.pad(batch.features, (0, 0, 0, behind)))
            loss = self.add_gradients(padded, share=self.group.size * count / total)
        else:
            accompany(self.model)
        return average(self.group, self.model, loss, 1, self.settings.compression)

    def add_gradients(self, batch: Batch, share: float = 1.0) -> float:
        """Forward and backward; the batch counts for `share`. Returns that share of its loss."""
        batch = batch.to(self.device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16,
                            enabled=self.settings.precision == "bfloat16"):
            logits = self.model(batch.features, batch.feature_lengths)
        loss = share * self._mean_loss(logits, batch)
        loss.backward()
        return loss.item()

    def _mean_loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Raises FloatingPointError, naming the recordings, where the loss is no finite number."""
        lengths = self.model.output_lengths(batch.feature_lengths)
        places: Sequence[int] = range(len(batch.indices))
        reason = "the loss is infinite"
        try:
            loss = self.loss_of(logits, lengths, batch.targets, batch.target_lengths)
            if torch.isfinite(loss):
                return loss
        except UtteranceError as error:
            places, reason = error.places, f"the loss is undefined ({error.reason})"
        paths = ", ".join(self.train.utterances[batch.indices[place]].path for place in places)
        raise FloatingPointError(f"{reason} at step {self.step} on {paths}")

    def loss_of(self, *batch: Tensor) -> Tensor:
        """The loss at this step: first over uniform segments, later whole; the entropy weight rises."""
        settings, progress = self.settings, self.step / self.total_steps
        is_start = progress < settings.uniform_segmentation
        loss = self.loss(*(cut_evenly(*batch) if is_start else batch))
        if settings.entropy_weight == 0:
            return loss
        return loss + settings.entropy_weight * progress * mean_entropy(*batch[:2])

    def _report_refused(self, indices: list[int]) -> None:
        for index in indices:
            path = self.train.utterances[index].path
            self.refused[path] += 1
            tqdm.write(f"  passed over at step {self.step}, does not fit into memory: {path}")

    def _report_left_out(self, split: Split, reasons: dict[int, str]) -> None:
        """Name a recording the first time; its place stays empty in every epoch."""
        for index, reason in reasons.items():
            path = str(split.audio_path(index))
            if path not in self.left_out:
                self.left_out[path] = reason
                tqdm.write(f"  left out: {reason}")

    def train_epoch(self, after_step: Callable[[], object] = lambda: None) -> float:
        """Train on every utterance once, or on those left of the epoch; calls `after_step()` each
        time. Returns the mean loss of the epoch's batches.
        """
        self.model.train()
        self._deal()
        bar = tqdm(self.loader, desc=f"epoch {self.epoch + 1}/{self.settings.epochs}",
                   initial=len(self.losses), total=len(self.losses) + self.steps_left, leave=False)
        for batch in bar:
            self.losses.append(self.train_batch(batch))
            self.dealt[-1][1] += 1
            self.steps_left -= 1
            bar.set_postfix(loss=f"{self.losses[-1]:.2f}")
            after_step()
        losses = [loss for loss in self.losses if not math.isnan(loss)]
        self._refuse_silence(bool(losses))
        self.epoch, self.losses, self.dealt = self.epoch + 1, [], []
        return sum(losses) / len(losses) if losses else math.nan

    def _refuse_silence(self, learned: bool) -> None:
        """Raise ValueError where nothing of an epoch could be read; all processes do, or none."""
        if not learned and self.group.any(bool(self.left_out)):
            reason = next(iter(self.left_out.values()), "see what the other processes say")
            raise ValueError(f"{self.train.corpus} {self.train.name}: no utterance could be "
                             f"trained on; the first: {reason}")

    @property
    def _sampler(self) -> BucketSampler:
        assert isinstance(self.loader.batch_sampler, BucketSampler)
        return self.loader.batch_sampler

    def _deal(self) -> None:
        """Let the loader begin behind what is done of this epoch."""
        sampler = self._sampler
        if not self.dealt or self.dealt[-1][0] != sampler.whole_size:
            self.dealt.append([sampler.whole_size, 0])
        sampler.dealt = [(size, count) for size, count in self.dealt[:-1]]
        sampler.start = self.dealt[-1][1]
        sampler.epoch = self.epoch
        self.steps_left = len(sampler.plan(self.epoch)) - sampler.start

    @property
    def epoch_is_done(self) -> bool:
        """All of it was trained on; it may be that dev has not judged it."""
        return bool(self.losses) and self.steps_left == 0

    def evaluate(self, after_each: Callable[[], object] = lambda: None) -> Evaluation:
        """Error rates on the dev split; calls `after_each()` after each utterance.

        Each process reads its share; as often as any of them, all call `after_each()`. Raises
        ValueError where no recording could be read.
        """
        share = range(self.group.rank, len(self.dev), self.group.size)
        own = replace(self.dev, utterances=[self.dev.utterances[index] for index in share])
        readings = {}
        for place, reading in recognise_split(self.judged_model, self.vocabulary, own):
            readings[share[place]] = reading
            after_each()
        if len(share) < -(-len(self.dev) // self.group.size):
            after_each()
        self._report_left_out(own, {
            place: error for place, index in enumerate(share)
            if (error := readings[index].error) and index not in self.unreadable_dev})
        parts = self.group.gather((readings, self.left_out))
        for _, left_out in parts:  # what one process has named the others need not
            self.left_out |= left_out
        of_all = [item for part, _ in parts for item in part.items()]
        return judge(of_all, self.vocabulary, self.dev)

    def sample_predictions(self, count: int = 2) -> list[str]:
        """What the model makes of the first utterances of dev, beside what was said."""
        few = replace(self.dev, utterances=self.dev.utterances[:count])
        readings = dict(recognise_split(self.judged_model, self.vocabulary, few))
        return [f"{utterance.pinyin} -> {' '.join(readings[index].syllables) or '(blank)'}"
                for index, utterance in enumerate(few.utterances) if not readings[index].error]

    def state(self) -> dict[str, Any]:
        """All that is needed to go on from here, as tensors and plain values."""
        return {
            "settings": asdict(self.settings), "syllables": list(self.vocabulary.symbols),
            "corpus": self.train.corpus, "epoch": self.epoch, "step": self.step,
            "losses": list(self.losses), "dealt": [list(pair) for pair in self.dealt],
            "plan": self._fingerprint(),
            "list": _list_number(self._given), "seconds": torch.from_numpy(self._seconds),
            "best_rate": self.best_rate, "refused": dict(self.refused),
            "left_out": dict(self.left_out),
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(), "random": torch.get_rng_state(),
            "average": self.average.state_dict() if self.average else None,
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave. Raises ValueError where it is of another design."""
        state = {"losses": [], "plan": None, "refused": {}, "left_out": {}} | state  # once it lacked them
        held, syllables = {"recurrent": True, "subsampling": 1} | state["settings"], tuple(state["syllables"])
        if held["preset"] != self.settings.preset:
            raise ValueError(f"it holds the model '{held['preset']}', not '{self.settings.preset}'")
        if held["recurrent"] != self.settings.recurrent:
            raise ValueError(f"it holds a model {_with_lstm(held['recurrent'])}")
        if held["subsampling"] != self.settings.subsampling:
            raise ValueError(f"it holds a model of subsampling {held['subsampling']}")
        if syllables != self.vocabulary.symbols:
            raise ValueError("it was trained with another list of syllables")
        self.model.load_state_dict(state["model"])
        if self.average:
            _load_average(self.average, state)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.best_rate = state["epoch"], state["best_rate"]
        self._take_lengths(state)
        # Where the batches are others than those that were counted, the epoch begins anew.
        same_plan = state["plan"] == self._fingerprint()
        self.losses = list(state["losses"]) if same_plan else []
        alone = [[self.settings.batch_size, len(self.losses)]]  # once there was but one process
        self.dealt = [list(pair) for pair in state.get("dealt", alone)] if same_plan else []
        self.refused, self.left_out = Counter(state["refused"]), dict(state["left_out"])
        self._deal()
        self.step = (self.epoch + 1) * len(self.loader) - self.steps_left
        self._apply_settings()
        torch.set_rng_state(state["random"])
        if len(state["random_cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["random_cuda"])
        self._draw_apart()

    def _take_lengths(self, state: dict[str, Any]) -> None:
        """Plan with what was readable when the run began: a recording that broke since then keeps
        its place, which is empty, and the batches are those that were counted. What was mended
        since then is taken in. All processes plan with what the first can read.
        """
        if state.get("list") != _list_number(self._given):
            return  # another list
        seconds = state["seconds"].numpy()
        if self.group.is_first:
            seconds = np.where(self._seconds == 0, seconds, self._seconds)
        if not np.array_equal(seconds, self._seconds):
            self._choose_data(seconds)

    def _draw_apart(self) -> None:
        """Several processes draw their own numbers, for dropout; the first one's are saved."""
        if self.group.size > 1:
            torch.manual_seed(hash((self.settings.seed, self.step, self.group.rank)) % 2**63)

    def receive(self, state: dict[str, Any]) -> None:
        """Go on from the first process's `state()`, as all others do."""
        if not self.group.is_first:
            self.load_state(state)

    def _fingerprint(self) -> int:
        return self._sampler.fingerprint(self.epoch)

    def _apply_settings(self) -> None:
        """Let these settings rule from here on, not those that the optimizer's state holds."""
        self.schedule.base_lrs = [self.top_rate]
        self.schedule.last_epoch = self.step
        for group in self.optimizer.param_groups:
            group["initial_lr"] = self.top_rate
            group["lr"] = self.top_rate * self._rate_factor(self.step)
            group["weight_decay"] = self.settings.weight_decay


def _list_number(split: Split) -> int:
    """A number that is another for another list of recordings."""
    return zlib.crc32("\n".join(utterance.path for utterance in split.utterances).encode())


def _with_lstm(recurrent: bool) -> str:
    return "with an LSTM" if recurrent else "without an LSTM"


def _average_of(model: AcousticModel, decay: float) -> AveragedModel | None:
    """A second set of weights that follows the first: each step it keeps `decay` of what it is."""
    if decay == 0:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _load_average(average: AveragedModel, state: dict[str, Any]) -> None:
    """The mean of the run so far; one that had none begins with its weights."""
    if state.get("average"):
        average.load_state_dict(state["average"])
    else:
        average.module.load_state_dict(state["model"])
