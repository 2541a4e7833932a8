"""The command `ramospeech`."""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import fields, replace
from pathlib import Path

from ramospeech import __version__
from ramospeech.corpora import (
    ALL, MODULES, choose_labels, download, get_corpus, is_prepared, open_split, prepare,
)
from ramospeech.files import refuse_unwritable, write_text
from ramospeech.paths import SHIPPED_LANGUAGE_MODEL, SHIPPED_MODEL
from ramospeech.settings import LOSSES, PRESETS, Settings

EXPECTED_ERRORS = (OSError, ValueError, FloatingPointError)
GPU_WORKERS = 4
_CORPORA = (f"the corpus: {', '.join(MODULES)}; several joined by +; or {ALL}: the real ones that "
            "are prepared")
_LABELS = "who gives the pinyin, where a corpus has a choice: thchs has own (the default), pypinyin"

LM_WEIGHT, LENGTH_BONUS = 0.5, 3.0  # chosen by dev in benchmarks/language_model.py

# What imports torch is imported inside the command that needs it, so that `--help` answers at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for trouble, 2 for a wrong call."""
    options = build_parser().parse_args(arguments)
    return guarded(options.run, options)


def guarded(run: Callable[..., int], options) -> int:
    """The exit status of `run(options)`; an error that is to be expected becomes one line."""
    try:
        return run(options)
    except BrokenPipeError:  # who reads has seen enough
        sys.stdout = None
        return 1
    except EXPECTED_ERRORS as error:
        print(f"ramospeech: {_last_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ramospeech: interrupted", file=sys.stderr)
        return 130


def _last_line(error: Exception) -> str:
    """Our messages have one line; a process that loads data puts its own traceback before it."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ramospeech", description="Mandarin speech recognition: from a recording to pinyin."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_corpora_commands(commands)
    _add_train_command(commands)
    _add_evaluate_command(commands)
    _add_transcribe_command(commands)
    _add_speech_command(commands)
    _add_train_lm_command(commands)
    _add_hanzi_command(commands)
    _add_demo_command(commands)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Tells defaults, but not that what was left out is left out."""

    def _get_help_string(self, action: argparse.Action) -> str:
        told = action.default is not None and action.default is not False
        return super()._get_help_string(action) if told else action.help


def _command(commands, name: str, run, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".",
        formatter_class=_Help,
    )
    parser.set_defaults(run=run)
    return parser


def _add_corpora_commands(commands) -> None:
    _command(commands, "corpora", run_corpora, "list the corpora and what is prepared of them")
    fetch = _command(commands, "download", run_download,
                     "fetch a corpus and prepare it; what was broken off goes on")
    fetch.add_argument("name", choices=list(MODULES), help="the corpus")
    fetch.add_argument("--to", type=Path, default=None,
                       help="the folder to put it in; default: the data folder")
    fetch.add_argument("--mirror", default=None,
                       help="of openslr.org: main (the default), us, eu, cn, or an address")
    fetch.add_argument("--labels", default=None, help=_LABELS)
    make = _command(commands, "prepare", run_prepare, "write the manifests of a corpus")
    make.add_argument("name", choices=list(MODULES), help="the corpus")
    make.add_argument("--root", type=Path, default=None, help="where a copy of it lies")
    make.add_argument("--labels", default=None, help=_LABELS)


def run_corpora(options) -> int:
    for name in MODULES:
        corpus, state = get_corpus(name), "prepared" if is_prepared(name) else "not prepared"
        size = f"a download of {corpus.size / 1e9:.1f} GB; " if corpus.size else ""
        print(f"{name:10} {state:13} {corpus.description}\n{'':24} {size}licence: {corpus.licence}")
    return 0


def run_download(options) -> int:
    choose_labels(get_corpus(options.name), options.labels)  # a wrong choice is found now
    print(f"{options.name}: licence {get_corpus(options.name).licence}", flush=True)
    root = download(options.name, options.to, options.mirror)
    print(f"{options.name} lies in {root}")
    print(prepare(options.name, root, options.labels).summary())
    return 0


def run_prepare(options) -> int:
    found = prepare(options.name, options.root, options.labels)
    print(f"{options.name}, recordings in {found.root}\n{found.summary()}")
    return 0


def _add_train_command(commands) -> None:
    parser = _command(commands, "train", run_train, "train the acoustic model")
    default = Settings()
    add = parser.add_argument
    add("--data_type", "--data-type", help=f"{_CORPORA} (default: mini)")
    add("--model_path", "--model-path", type=Path, default=Path("runs"),
        help="the folder of all runs")
    add("--model_name", "--model-name", default="dfcnn", help="the folder of this run, inside it")
    add("--gpu_rank", "--gpu-rank", type=int, default=0,
        help="the number of GPUs; each process uses one where there is one, and horovodrun starts "
             "several processes")
    add("--epochs", type=_positive,
        help=f"how often to go through the data, in all (default: {default.epochs})")
    add("--save_step", "--save-step", type=_positive, default=1,
        help="epochs from one save of what dev has judged to the next")
    add("--save_minutes", "--save-minutes", type=_minutes, default=5.0, metavar="MINUTES",
        help="how often to save within an epoch; 0: after every step")
    add("--batch_size", "--batch-size", type=_positive,
        help=f"utterances a step, of each process (default: {default.batch_size})")
    add("--load_model", "--load-model", nargs="?", const=True, default=None, metavar="CHECKPOINT",
        help="go on from the run's checkpoint, or from the one given, at the step where it was "
             "saved; what is not given anew stays as it was")
    add("--start_from", "--start-from", type=Path, metavar="MODEL",
        help="begin a new run with the weights of a model file (.safetensors)")
    add("--preset", choices=list(PRESETS),
        help=f"the size of the model (default: {default.preset})")
    add("--loss", choices=LOSSES, help=f"what training makes small (default: {default.loss}); ace "
        "alone does not see the order of syllables: use it with --no-recurrent")
    add("--ace_weight", "--ace-weight", type=_weight, metavar="LAMBDA",
        help=f"how much ace counts in ctc+ace beside ctc (default: {default.ace_weight})")
    add("--flat_start", "--flat-start", type=_share, metavar="SHARE",
        help="the part of all steps in which ace counts over short pieces, such as 0.3 "
             f"(default: {default.flat_start})")
    add("--sharpness", type=_weight, metavar="WEIGHT",
        help="how much the entropy of the frames counts beside the loss, in the end; for ace, "
             f"such as 0.5 (default: {default.sharpness})")
    add("--no-recurrent", dest="recurrent", action="store_false", default=None,
        help="leave the LSTM out: convolutions alone")
    add("--stride", type=_positive, help="how many neighbouring frames become one output frame; "
        f"for ace, such as 2 (default: {default.stride})")
    add("--learning_rate", "--learning-rate", type=float,
        help="the learning rate at its highest, for one process "
             f"(default: {default.learning_rate})")
    add("--rate_scaling", "--rate-scaling", type=_share, metavar="POWER",
        help="n processes learn at n to this power times the rate; 1 suits plain descent "
             f"(default: {default.rate_scaling})")
    add("--sync_norm", "--sync-norm", action="store_true", default=None,
        help="normalise by what all processes see, not by each one's share of a batch")
    add("--compression", action="store_true", default=None,
        help="let gradients travel between processes in half precision")
    add("--sharing", type=float,
        help="how much syllables learn from those that share a part with them; 0: nothing "
             f"(default: {default.sharing})")
    add("--no-augment", dest="augment", action="store_false", default=None,
        help="neither change the speed nor mask spectrograms")
    add("--disguise", type=_share, nargs="?", const=0.5, metavar="SHARE",
        help="let other speakers in other rooms say this part of the utterances (half of them, "
             f"where no number is given; default: {default.disguise})")
    add("--averaging", type=_share,
        help="judge and keep a running mean of the weights, which keeps this part of itself at "
             f"each step, such as 0.999 (default: {default.averaging}, no mean)")
    add("--seed", type=_whole,
        help=f"of weights, batches and augmentation (default: {default.seed})")
    add("--workers", type=_whole,
        help="processes that load data beside the training, which they change in nothing (default: "
             f"{GPU_WORKERS} for a GPU; none for a CPU, whose cores the model uses already)")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--precision", choices=["float32", "bfloat16"], default=None,
        help="of the network; default: bfloat16 on a GPU that has it, else float32")


def run_train(options) -> int:
    from ramospeech.world import join_world

    with join_world() as world:
        return train(options, world)


def train(options, world) -> int:
    """One process's part of `ramospeech train`, as it was called; returns the exit status."""
    from ramospeech.elastic import fit_elastically

    run = start_run(options, world)
    with closing(run.trainer), _stop_request(world) as request:
        fit = fit_elastically if world.elastic else type(run).fit
        result = fit(run, options.save_step, options.save_minutes, lambda: request.asked)
        if world.is_first:
            _print_result(run, result, options)
    return 0


def start_run(options, world):
    """A Run where `options` say, at the step where it is to go on; the same in every process."""
    from ramospeech.runs import Run
    from ramospeech.training import Trainer

    if options.gpu_rank > world.size and world.is_first:
        print(f"--gpu_rank {options.gpu_rank}: this process trains on one device", file=sys.stderr)
    folder = options.model_path / options.model_name
    checkpoint, settings, corpus = _plan(options, world, folder)
    device = _device(options.device, world.local_rank)
    trainer = Trainer(open_split(corpus, "train"), open_split(corpus, "dev"), settings, device,
                      _workers(options.workers, device), world=world)
    if world.is_first and options.start_from and not checkpoint:
        trainer.start_from(options.start_from)
    if world.is_first:
        _print_plan(trainer, folder)
    run = Run(trainer, folder, facts=_facts(options, trainer.train.corpus))
    if world.is_first and checkpoint:
        run.resume(checkpoint)
        print(f"going on after {_progress(trainer)}")
    if world.is_first and trainer.epoch >= trainer.settings.epochs:
        print(f"{trainer.settings.epochs} epochs are done: nothing is left to train; "
              "say more --epochs")
    if not world.elastic:  # there the elastic state is shared, whenever a process joins
        trainer.receive(world.from_first(trainer.state() if world.is_first else None))
    return run


def _plan(options, world, folder: Path) -> tuple[Path | None, Settings, str]:
    """The checkpoint, the settings and the corpus, as the first process finds them.

    Where processes join later, each finds them by itself, and only the first is refused a run.
    """
    if not world.elastic:
        found = _find_plan(options, folder) if world.is_first else None
        return world.from_first(found)
    if not world.is_first and not options.load_model:
        return None, *_settings(options, None)
    return _find_plan(options, folder)


def _find_plan(options, folder: Path) -> tuple[Path | None, Settings, str]:
    checkpoint = _checkpoint_to_load(folder, options.load_model)
    return checkpoint, *_settings(options, checkpoint)


def _stop_request(world):
    from ramospeech.stopping import StopRequest

    return StopRequest(patience=30 if world.size > 1 or world.elastic else 0)


def _print_result(run, result, options) -> None:
    trainer = run.trainer
    if trainer.refused:
        print(f"{len(trainer.refused)} utterances did not fit into memory, "
              f"{trainer.refused.total()} times in all")
    if result is None:
        how = ", under horovodrun as now" if trainer.world.size > 1 else ""
        print(f"stopped after {_progress(trainer)}; all is saved in {run.checkpoint}. To go on{how}:\n"
              f"  {_command_to_go_on(options)}")
    else:
        print(f"dev syllable error {result.toned.rate:.1%}; the best, {trainer.best_rate:.1%}, "
              f"is {run.folder / 'best.safetensors'}")


def _command_to_go_on(options) -> str:
    """The checkpoint knows the rest: the corpus and the settings."""
    words = ["ramospeech", "train", "--model_path", options.model_path,
             "--model_name", options.model_name, "--load_model"]
    words += ["--start_from", options.start_from] if options.start_from else []
    return shlex.join(map(str, words))


def _facts(options, corpus: str) -> dict:
    """What a model file tells of its training beside the settings."""
    from ramospeech.report import commit

    facts = {"corpus": corpus, "commit": commit()}
    return facts | ({"start_from": options.start_from.name} if options.start_from else {})


def _settings(options, checkpoint: Path | None) -> tuple[Settings, str]:
    """What was given on the command line; the rest as the checkpoint, or the default, has it.

    Settings, and the name of the corpus.
    """
    from ramospeech.runs import held_settings

    base, corpus = held_settings(checkpoint) if checkpoint else (
        Settings(precision=_default_precision(options.device)), "mini"
    )
    given = {item.name: getattr(options, item.name, None) for item in fields(Settings)}
    given = {name: value for name, value in given.items() if value is not None}
    settings = replace(base, **given)
    if "ace_weight" in given and settings.loss != "ctc+ace":
        raise ValueError(f"--ace_weight is for --loss ctc+ace; the loss is {settings.loss}")
    if settings.flat_start and settings.loss != "ace":
        raise ValueError(f"--flat_start is for --loss ace; the loss is {settings.loss}")
    return settings, corpus if options.data_type is None else options.data_type


def _progress(trainer) -> str:
    batches = len(trainer.losses)
    done = f" and {batches} of {batches + trainer.steps_left} batches" if batches else ""
    return f"epoch {trainer.epoch}{done}"


def _device(name: str | None, number: int = 0) -> str:
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch finds no GPU here (see `make check-env`)")
    return f"cuda:{number}" if name == "cuda" and number else name


def _default_precision(device: str | None) -> str:
    import torch

    has_bfloat16 = _device(device) != "cpu" and torch.cuda.is_bf16_supported(False)  # not emulated
    return "bfloat16" if has_bfloat16 else "float32"


def _checkpoint_to_load(folder: Path, load_model: bool | str | None) -> Path | None:
    """Where to go on from, if anywhere. Raises ValueError rather than overwrite a run."""
    own = folder / "checkpoint.pt"
    wanted = own if load_model is True else load_model and Path(load_model)
    if wanted and wanted.resolve() == own.resolve():
        if not own.exists() and folder.exists():
            raise ValueError(f"{own}: no such checkpoint: the run ended before its first step; "
                             "start it without --load_model")
        return own
    if own.exists():
        raise ValueError(f"{folder} holds a run already: go on from it with --load_model, "
                         "or choose another --model_name")
    if (folder / "best.safetensors").exists():  # killed before its first checkpoint
        raise ValueError(f"{folder} holds a model already: delete it, "
                         "or choose another --model_name")
    return wanted or None


def _print_plan(trainer, folder: Path) -> None:
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    print(f"{trainer.train.corpus}: {len(trainer.train)} utterances to train on, "
          f"{len(trainer.dev)} to judge by; labels: {trainer.dev.label_source}")
    for reason in trainer.unusable.values():
        print(f"  left out: {reason}")
    settings = trainer.settings
    weight = f" ({settings.ace_weight:g} times ace)" if settings.loss == "ctc+ace" else ""
    print(f"model '{settings.preset}'{'' if settings.recurrent else ' without an LSTM'}, "
          f"{parameters:,} parameters, on {trainer.device} in {settings.precision}; loss "
          f"{settings.loss}{weight}; {len(trainer.loader)} steps an epoch; into {folder}")


def _add_evaluate_command(commands) -> None:
    parser = _command(commands, "evaluate", run_evaluate, "measure a model's errors on a corpus")
    add = parser.add_argument
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--data_type", "--data-type", default="mini", help=_CORPORA)
    add("--split", default="test", help="which list of the corpus")
    add("--batch_size", "--batch-size", type=_positive, default=16, help="utterances at once")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--confusions", type=int, default=10, metavar="N", help="how many confusions to list")
    add("--json", action="store_true", help="print one JSON object, with command and commit")
    add("--report", type=Path, metavar="FILE",
        help="write a page (HTML, all in one file) of the errors: the worst utterances with sound, "
             "spectrogram and alignment; confusions; error by length and by how often a syllable "
             "was heard in training")
    add("--worst", type=_positive, default=20, metavar="N",
        help="how many of the worst utterances the page shows")
    add("--trained_on", "--trained-on", nargs="+", default=[], metavar="CORPUS[/SPLIT]",
        help="where the page counts how often a syllable was heard in training; left out: in the "
             "split train of the corpus that the model file names")
    _add_decoder_flags(parser)


def run_evaluate(options) -> int:
    from ramospeech.checkpoints import load_model
    from ramospeech.evaluation import best_of_nbest, judge, recognise_split
    from ramospeech.report import evaluation_facts, evaluation_text

    model, inventory, model_facts = load_model(options.model)
    device, split = _device(options.device), open_split(options.data_type, options.split)
    if options.report:  # what can go wrong goes wrong before the work
        from ramospeech.error_page import count_training, error_page

        refuse_unwritable(options.report)
        training = count_training(model_facts, options.trained_on)
    decode = _decoder(options, model.loss, inventory)
    readings = dict(recognise_split(model.to(device), inventory, split, options.batch_size, decode))
    result = judge(readings.items(), inventory, split)
    facts = evaluation_facts(result, split, options.model, device) | _decoder_facts(options)
    if options.nbest > 1:
        facts["best_of_nbest_error_rate"] = round(best_of_nbest(readings, split), 4)
    if options.report:
        write_text(options.report, error_page(
            facts, result, readings, split, model, inventory, training, options.worst))
    if options.json:
        print(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for index, reading in sorted(readings.items()) if options.timestamps else ():
            print(_printable(f"{split.audio_path(index)}\t{_spoken(reading, True)}"))
        print(f"a model trained on {model_facts.get('corpus', 'an unknown corpus')}:")
        print(evaluation_text(result, split, options.model, options.confusions))
        if options.nbest > 1:
            print(f"\nthe best of each {options.nbest}: {facts['best_of_nbest_error_rate']:.1%} error")
        if options.report:
            print(f"\nthe page of errors is {options.report}")
    return 0


def _add_transcribe_command(commands) -> None:
    parser = _command(commands, "transcribe", run_transcribe, "write the pinyin of recordings")
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a recording: WAV, FLAC, OGG or MP3, at any rate")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--batch_size", "--batch-size", type=_positive, default=8, help="recordings at once")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--json", action="store_true", help="print one JSON object a line")
    _add_decoder_flags(parser)


def run_transcribe(options) -> int:
    from tqdm import tqdm

    from ramospeech.recognition import Recogniser

    recogniser = Recogniser.load(options.model, _device(options.device))
    recogniser.decode = _decoder(options, recogniser.model.loss, recogniser.inventory)
    transcripts = recogniser.transcribe(options.files, options.batch_size)
    hide_bar = True if len(options.files) == 1 else None  # None: hidden where no one looks
    failures = 0
    for transcript in tqdm(transcripts, total=len(options.files), disable=hide_bar, leave=False):
        failures += transcript.error is not None
        _print_transcript(transcript, options)
    return 1 if failures else 0


def _print_transcript(transcript, options) -> None:
    from tqdm import tqdm

    if options.json:
        facts = {"file": transcript.file, "pinyin": transcript.pinyin, "seconds": transcript.seconds}
        if options.nbest > 1:
            facts["nbest"] = [{"pinyin": reading.syllables, "seconds": reading.seconds,
                               "score": round(reading.score, 4)} for reading in transcript.readings]
        if transcript.error:
            facts = {"file": transcript.file, "error": transcript.error}
        tqdm.write(_printable(json.dumps(facts, ensure_ascii=False)))
    elif transcript.error:
        tqdm.write(f"ramospeech: {transcript.error}", file=sys.stderr)
    else:
        for reading in transcript.readings:
            score = f"\t{reading.score:.3f}" if options.nbest > 1 else ""
            words = _spoken(reading, options.timestamps)
            tqdm.write(_printable(f"{transcript.file}\t{words}{score}"))


def _spoken(reading, timestamps: bool) -> str:
    """Syllables, each with its second behind an @ where that is wanted."""
    if not timestamps:
        return " ".join(reading.syllables)
    return " ".join(f"{syllable}@{second:.2f}"
                    for syllable, second in zip(reading.syllables, reading.seconds))


# From speech to hanzi


def _add_speech_command(commands) -> None:
    parser = _command(commands, "speech2text", run_speech2text, "write the hanzi of recordings")
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE",
        help="a recording: WAV, FLAC, OGG or MP3, at any rate, of any length")
    add("--corpus", metavar="NAME", help=f"instead of files: {_CORPORA.removeprefix('the corpus: ')}")
    add("--split", default="test", help="which list of the corpus")
    add("--index", type=_whole, nargs="+", metavar="I",
        help="which utterances of the list, counted from 0; printed with reference and error rates")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--nbest", type=_positive, default=1, metavar="N",
        help="how many sentences to give of each recording, with the score of sound and words")
    add("--batch_size", "--batch-size", type=_positive, default=8, help="recordings at once")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--json", action="store_true", help="print one JSON object a line")


def run_speech2text(options) -> int:
    from tqdm import tqdm

    from ramospeech.pieces import LONGEST, whole_seconds
    from ramospeech.speech_to_text import SpeechToText

    files, references = _speech_files(options)
    speech = SpeechToText.load(options.model, _device(options.device))
    _compile_search()
    total = sum(map(whole_seconds, files))
    hide_bar = True if len(files) == 1 and total <= LONGEST else None  # None: where no one looks
    failures = 0
    with tqdm(total=total, unit=" s of sound", disable=hide_bar, leave=False) as bar:
        texts = speech.transcribe(files, options.batch_size, options.nbest, bar.update)
        for number, (text, reference) in enumerate(zip(texts, references), start=1):
            failures += text.error is not None
            _print_text(number, text, reference, options.json, several=len(files) > 1)
    return 1 if failures else 0


def _speech_files(options) -> tuple[list, list]:
    """Recordings, and the utterance that each of them is, or None."""
    if bool(options.files) == bool(options.corpus) or bool(options.corpus) != bool(options.index):
        raise ValueError("speech2text takes either files, or --corpus with --index")
    if options.files:
        return options.files, [None] * len(options.files)
    split = open_split(options.corpus, options.split)
    for index in options.index:
        if index >= len(split):
            raise ValueError(f"--index {index}: the list {split.name} of {split.corpus} has "
                             f"utterances 0 to {len(split) - 1}")
    return ([split.audio_path(index) for index in options.index],
            [split.utterances[index] for index in options.index])


def _print_text(number: int, text, reference, as_json: bool, several: bool) -> None:
    from tqdm import tqdm

    from ramospeech.speech_lines import text_facts, text_lines

    if as_json:
        tqdm.write(_printable(json.dumps(text_facts(text, reference), ensure_ascii=False)))
    elif text.error:
        tqdm.write(f"ramospeech: {text.error}", file=sys.stderr)
    else:
        lines = [f"FILE {number}: {text.file}"] if several else []
        tqdm.write(_printable("\n".join([*lines, *text_lines(number, text, reference)])))
    sys.stdout.flush()


# Decoders and language models


def _add_decoder_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--decoder", choices=["greedy", "prefix"], default="greedy",
        help="the best class of each frame, or a search for the best labelling")
    add("--beam-width", "--beam_width", type=_positive, default=30, metavar="N",
        help="how many prefixes the search holds")
    add("--nbest", type=_positive, default=1, metavar="N",
        help="how many readings of each recording the search gives, with their scores")
    add("--lm", metavar="FILE", help="a language model for the search (ARPA, of pinyin syllables); "
        "shipped: the one that comes with the project")
    add("--lm-weight", "--lm_weight", type=float, default=LM_WEIGHT, metavar="WEIGHT",
        help="how much the language model counts")
    add("--length-bonus", "--length_bonus", type=float, default=LENGTH_BONUS, metavar="BONUS",
        help="what each syllable adds to the score, where there is a language model")
    add("--timestamps", action="store_true", help="tell when each syllable was recognised")


def _decoder(options, loss: str, inventory):
    """What turns log-probabilities and lengths into lists of hypotheses."""
    from ramospeech.decoders import best_paths

    if options.decoder == "greedy":
        if options.lm or options.nbest > 1:
            raise ValueError("--lm and --nbest are for --decoder prefix")
        return best_paths(loss)
    if loss == "ace":
        raise ValueError("--decoder prefix is for models trained with ctc; this one learned with ace")
    from ramospeech.arpa import read_arpa
    from ramospeech.prefix_beam import prefix_beam_search

    path = SHIPPED_LANGUAGE_MODEL if options.lm == "shipped" else options.lm and Path(options.lm)
    settings = {"beam_width": options.beam_width, "nbest": options.nbest}
    if path:
        settings |= {"language_model": read_arpa(path, inventory), "lm_weight": options.lm_weight,
                     "length_bonus": options.length_bonus}
    _compile_search()
    return lambda log_probs, lengths: prefix_beam_search(log_probs, lengths, **settings)


def _compile_search() -> None:
    from ramospeech.prefix_beam import warm_up

    seconds = warm_up()
    if seconds > 5:  # otherwise it was loaded
        print(f"the search was compiled in {seconds:.0f} s; the next start need not", file=sys.stderr)


def _decoder_facts(options) -> dict:
    if options.decoder == "greedy":
        return {}
    facts = {"decoder": options.decoder, "beam_width": options.beam_width}
    if not options.lm:
        return facts
    return facts | {"lm": options.lm, "lm_weight": options.lm_weight,
                    "length_bonus": options.length_bonus}


def _add_train_lm_command(commands) -> None:
    parser = _command(commands, "train-lm", run_train_lm,
                      "make a language model of the syllables of manifests")
    add = parser.add_argument
    add("manifests", nargs="+", type=Path, metavar="MANIFEST", help="path, pinyin, hanzi a line")
    add("--output", type=Path, default=Path("language_model.arpa"), help="the file to write")
    add("--order", type=_positive, default=2, choices=[1, 2, 3],
        help="2: how probable a syllable is after another; 3: after two others")


def run_train_lm(options) -> int:
    from ramospeech.arpa import write_arpa
    from ramospeech.manifest import read_manifest
    from ramospeech.pinyin import Inventory
    from ramospeech.smoothing import estimate

    refuse_unwritable(options.output)
    utterances = [utterance for path in options.manifests for utterance in read_manifest(path)]
    sentences = [utterance.syllables for utterance in utterances]
    model = estimate(sentences, Inventory.read(), options.order)
    write_arpa(options.output, model)
    print(f"{options.output}: {len(model.ngrams):,} n-grams up to order {options.order} of "
          f"{len(sentences):,} utterances")
    return 0


def _add_hanzi_command(commands) -> None:
    parser = _command(commands, "pinyin2hanzi", run_pinyin2hanzi,
                      "write lines of pinyin in hanzi, a line for a line")
    add = parser.add_argument
    add("file", nargs="?", type=Path, metavar="FILE",
        help="lines of toned syllables, such as shang4 hai3 zhi2 wu4 yuan2; left out: what is "
             "typed or piped in; what is no syllable passes through")
    add("--nbest", type=_positive, metavar="N",
        help="the N best of each line, each with its probability before it, then an empty line")


def run_pinyin2hanzi(options) -> int:
    from ramospeech.pinyin_to_hanzi import Converter, read_lines

    converter = Converter.load()
    with open(options.file, "rb") if options.file else nullcontext(sys.stdin.buffer) as file:
        for line in read_lines(file, str(options.file or "standard input")):
            if options.nbest is None:
                print(converter.convert(line), flush=True)
                continue
            for candidate in converter.candidates(line, options.nbest):
                print(f"{candidate.probability:.4f}\t{candidate.hanzi}")
            print(flush=True)
    return 0


def _add_demo_command(commands) -> None:
    parser = _command(commands, "demo", run_demo, "show a page to speak to (needs the extra demo)")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to listen at; from another machine, browsers "
        "give the microphone only to pages that come by https")
    add("--port", type=_port, default=7860, help="the port to listen at")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")


def run_demo(options) -> int:
    from ramospeech.demo import serve

    serve(options.host, options.port, options.model)
    return 0


def _printable(text: str) -> str:
    """Escapes, which JSON reads back, for what is not UTF-8: an old file name may be in GBK."""
    return text.encode(errors="backslashreplace").decode()


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _workers(given: int | None, device: str) -> int:
    if given is not None:
        return given
    return 0 if device == "cpu" else GPU_WORKERS


def _share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return share


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return weight


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not minutes >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return minutes


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
