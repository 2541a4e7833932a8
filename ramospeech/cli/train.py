"""The command `ramospeech train`.

Functions import torch themselves, so that `--help` answers at once.
"""

import shlex
import sys
from argparse import Namespace
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ramospeech.cli.flags import CORPORA, Commands, command, device_name
from ramospeech.cli.setting_flags import add_setting_flags, given_settings
from ramospeech.config.numbers import in_minutes, positive, whole_number
from ramospeech.config.settings import Settings
from ramospeech.data.corpora import open_split

if TYPE_CHECKING:
    from ramospeech.evaluation.error_rates import Evaluation
    from ramospeech.training.distributed import ProcessGroup
    from ramospeech.training.runs import Run
    from ramospeech.training.trainer import Trainer
    from ramospeech.utils.signal_handling import StopRequest

__all__ = ["add_train_command", "fit_run", "run_train", "start_run"]

GPU_WORKERS = 4


def add_train_command(commands: Commands) -> None:
    parser = command(commands, "train", run_train, "train the acoustic model")
    add = parser.add_argument
    add("--data_type", "--data-type", help=f"{CORPORA} (default: mini)")
    add("--model_path", "--model-path", type=Path, default=Path("runs"),
        help="the folder of all runs")
    add("--model_name", "--model-name", default="dfcnn", help="the folder of this run, inside it")
    add("--gpu_rank", "--gpu-rank", type=int, default=0,
        help="the number of GPUs; each process uses one if there is one, and horovodrun starts "
             "several processes")
    add("--save_step", "--save-step", type=positive, default=1,
        help="how many epochs from one checkpoint with dev results to the next")
    add("--save_minutes", "--save-minutes", type=in_minutes, default=5.0, metavar="MINUTES",
        help="how often to save a checkpoint within an epoch; 0: after every step")
    add("--load_model", "--load-model", nargs="?", const=True, default=None, metavar="CHECKPOINT",
        help="resume from the run's checkpoint, or from the one given, at the step where it was "
             "saved")
    add("--start_from", "--start-from", type=Path, metavar="MODEL",
        help="fine-tune: start a new run with the weights of a model file (.safetensors)")
    add("--workers", type=whole_number,
        help="processes that load data; they do not change the results (default: "
             f"{GPU_WORKERS} for a GPU; none for a CPU, whose cores the model uses already)")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU if there is one")
    add_setting_flags(parser)


def run_train(options: Namespace) -> int:
    """Run the command, in one process or, under `horovodrun`, in each of several."""
    from ramospeech.training.distributed import join_process_group
    from ramospeech.training.state import broadcast_state

    with join_process_group() as group:
        run = start_run(options, group)
        broadcast_state(run.trainer)
        return fit_run(run, options)


def fit_run(run: "Run", options: Namespace) -> int:
    """Train until the last epoch or a signal, and report; return the exit status."""
    from ramospeech.training.elastic import fit_elastically

    group = run.trainer.group
    with closing(run.trainer), _stop_request(group) as request:
        fit = fit_elastically if group.elastic else type(run).fit
        result = fit(run, options.save_step, options.save_minutes, lambda: request.asked)
        if group.is_first:
            _print_result(run, result, options)
    return 0


def start_run(
    options: Namespace, group: "ProcessGroup", trainer_type: "type[Trainer] | None" = None
) -> "Run":
    """Return a Run with `options`; the first process resumes from the checkpoint, if there is one.

    `trainer_type` replaces the class of the trainer.
    """
    from ramospeech.training.runs import Run
    from ramospeech.training.state import start_from
    from ramospeech.training.trainer import Trainer

    if options.gpu_rank > group.size and group.is_first:
        print(f"--gpu_rank {options.gpu_rank}: this process trains on one device", file=sys.stderr)
    folder = options.model_path / options.model_name
    checkpoint, settings, corpus = _plan(options, group, folder)
    device = device_name(options.device, group.local_rank)
    trainer = (trainer_type or Trainer)(
        open_split(corpus, "train"), open_split(corpus, "dev"), settings, device,
        _workers(options.workers, device), group=group)
    if group.is_first and options.start_from and not checkpoint:
        start_from(trainer, options.start_from)
    if group.is_first:
        _print_plan(trainer, folder)
    run = Run(trainer, folder, facts=_facts(options, trainer.data.train.corpus))
    if group.is_first and checkpoint:
        run.resume(checkpoint)
        print(f"resuming after {_progress(trainer)}")
    if group.is_first and trainer.epoch >= trainer.settings.epochs:
        print(f"{trainer.settings.epochs} epochs are done: nothing is left to train; "
              "raise --epochs")
    return run


def _plan(
    options: Namespace, group: "ProcessGroup", folder: Path
) -> tuple[Path | None, Settings, str]:
    """Return checkpoint, settings and corpus, as the first process finds them.

    If processes may join later, each finds them by itself, and only the first checks for old runs.
    """
    if not group.elastic:
        found = _find_plan(options, folder) if group.is_first else None
        return group.from_first(found)
    if not group.is_first and not options.load_model:
        return None, *_settings(options, None)
    return _find_plan(options, folder)


def _find_plan(options: Namespace, folder: Path) -> tuple[Path | None, Settings, str]:
    checkpoint = _checkpoint_to_load(folder, options.load_model)
    return checkpoint, *_settings(options, checkpoint)


def _settings(options: Namespace, checkpoint: Path | None) -> tuple[Settings, str]:
    """Return the settings and the name of the corpus.

    The command line takes precedence over the checkpoint, and that over the defaults.
    """
    from ramospeech.training.runs import held_settings

    base, corpus = held_settings(checkpoint) if checkpoint else (
        Settings(precision=_default_precision(options.device)), "mini"
    )
    given = given_settings(options)
    settings = replace(base, **given)
    if "ace_weight" in given and settings.loss != "ctc+ace":
        raise ValueError(f"--ace_weight is for --loss ctc+ace; the loss is {settings.loss}")
    if settings.uniform_segmentation and settings.loss != "ace":
        hint = "" if "uniform_segmentation" in given else "; add --uniform_segmentation 0"
        raise ValueError(f"--uniform_segmentation is for --loss ace; the loss is {settings.loss}{hint}")
    return settings, corpus if options.data_type is None else options.data_type


def _checkpoint_to_load(folder: Path, load_model: bool | str | None) -> Path | None:
    """Return the checkpoint to resume from, if any. Raises ValueError rather than overwrite a run."""
    own = folder / "checkpoint.pt"
    wanted = own if load_model is True else load_model and Path(load_model)
    if wanted and wanted.resolve() == own.resolve():
        if not own.exists() and folder.exists():
            raise ValueError(f"{own}: no such checkpoint: the run ended before its first step; "
                             "start it without --load_model")
        return own
    if own.exists():
        raise ValueError(f"{folder} already contains a run: resume it with --load_model, "
                         "or choose another --model_name")
    if (folder / "best.safetensors").exists():  # killed before its first checkpoint
        raise ValueError(f"{folder} already contains a model: delete it, "
                         "or choose another --model_name")
    return wanted or None


def _default_precision(device: str | None) -> str:
    import torch

    has_bfloat16 = device_name(device) != "cpu" and torch.cuda.is_bf16_supported(False)  # not emulated
    return "bfloat16" if has_bfloat16 else "float32"


def _workers(given: int | None, device: str) -> int:
    if given is not None:
        return given
    return 0 if device == "cpu" else GPU_WORKERS


def _facts(options: Namespace, corpus: str) -> dict[str, Any]:
    """Return what model files say about their training, besides the settings."""
    from ramospeech.evaluation.report import commit

    facts = {"corpus": corpus, "commit": commit()}
    return facts | ({"start_from": options.start_from.name} if options.start_from else {})


def _stop_request(group: "ProcessGroup") -> "StopRequest":
    from ramospeech.utils.signal_handling import StopRequest

    return StopRequest(patience=30 if group.size > 1 or group.elastic else 0)


def _print_plan(trainer: "Trainer", folder: Path) -> None:
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    print(f"{trainer.data.train.corpus}: {len(trainer.data.train)} utterances to train on, "
          f"{len(trainer.data.dev) - len(trainer.data.unreadable_dev)} to evaluate on; "
          f"labels: {trainer.data.dev.label_source}")
    data = trainer.data
    for split, reasons in ((data.train, data.unusable), (data.dev, data.unreadable_dev)):
        if reasons:
            print(f"{len(reasons)} of {split.name} left out:")
        for reason in reasons.values():
            print(f"  left out: {reason}")
    settings = trainer.settings
    weight = f" ({settings.ace_weight:g} times ace)" if settings.loss == "ctc+ace" else ""
    print(f"model '{settings.preset}'{'' if settings.recurrent else ' without an LSTM'}, "
          f"{parameters:,} parameters, on {trainer.device} in {settings.precision}; loss "
          f"{settings.loss}{weight}; {len(trainer.data.loader)} steps per epoch; output: {folder}")


def _print_result(run: "Run", result: "Evaluation | None", options: Namespace) -> None:
    trainer = run.trainer
    if trainer.refused:
        print(f"{len(trainer.refused)} utterances did not fit into memory, "
              f"{trainer.refused.total()} times in total")
    if trainer.left_out:
        print(f"{len(trainer.left_out)} recordings could not be read and were left out")
    if result is None:
        how = ", under horovodrun as now" if trainer.group.size > 1 else ""
        print(f"stopped after {_progress(trainer)}; saved in {run.checkpoint}. To resume{how}:\n"
              f"  {_command_to_resume(options)}")
    else:
        print(f"dev syllable error {result.toned.rate:.1%}; the best, {trainer.best_rate:.1%}, "
              f"is {run.folder / 'best.safetensors'}")


def _command_to_resume(options: Namespace) -> str:
    """Return the command that resumes; corpus and settings are in the checkpoint."""
    words = ["ramospeech", "train", "--model_path", options.model_path,
             "--model_name", options.model_name, "--load_model"]
    words += ["--start_from", options.start_from] if options.start_from else []
    return shlex.join(map(str, words))


def _progress(trainer: "Trainer") -> str:
    batches = len(trainer.losses)
    done = f" and {batches} of {batches + trainer.steps_left} batches" if batches else ""
    return f"epoch {trainer.epoch}{done}"
