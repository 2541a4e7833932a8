"""The commands that listen to recordings: transcribe, speech2text, evaluate.

Torch is imported by what needs it, so that `--help` answers at once.
"""

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ramospeech.cli.flags import CORPORA, Commands, command, device_name, positive, whole_number
from ramospeech.config.paths import SHIPPED_LANGUAGE_MODEL, SHIPPED_MODEL
from ramospeech.data.corpora import open_split
from ramospeech.utils.files import refuse_unwritable, write_text

if TYPE_CHECKING:
    from tqdm import tqdm as Bar

    from ramospeech.data.manifest import Utterance
    from ramospeech.decoding.hypothesis import Decode, Hypothesis
    from ramospeech.language.vocabulary import Vocabulary
    from ramospeech.recognition.results import Result

BAR = "{percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s of sound [{elapsed} < {remaining}]"
RECORDING = "a recording: WAV, FLAC, OGG or MP3, at any rate, of any length"
BEAM_WIDTH, WORST = 30, 20
LM_WEIGHT, LENGTH_BONUS = 0.5, 4.0  # of audio-cmn, chosen by dev in benchmarks/language_model.py


def add_evaluate_command(commands: Commands) -> None:
    parser = command(commands, "evaluate", run_evaluate, "measure a model's errors on a corpus")
    add = parser.add_argument
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--data_type", "--data-type", default="mini", help=CORPORA)
    add("--split", default="test", help="which list of the corpus")
    add("--batch_size", "--batch-size", type=positive, default=16, help="utterances at once")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--confusions", type=int, default=10, metavar="N", help="how many confusions to list")
    add("--json", action="store_true", help="print one JSON object, with command and commit")
    add("--report", type=Path, metavar="FILE",
        help="write a page (HTML, all in one file) of the errors: the worst utterances with sound, "
             "spectrogram and alignment; confusions; error by length and by how often a syllable "
             "was heard in training")
    add("--worst", type=positive, metavar="N",
        help=f"how many of the worst utterances the page shows (default: {WORST})")
    add("--trained_on", "--trained-on", nargs="+", metavar="CORPUS[/SPLIT]",
        help="where the page counts how often a syllable was heard in training; left out: in the "
             "split train of the corpus that the model file names")
    _add_decoder_flags(parser)


def run_evaluate(options: Namespace) -> int:
    from ramospeech.cli.output import pinyin_facts, pinyin_lines
    from ramospeech.evaluation.evaluate import oracle_evaluation, judge, recognise_split
    from ramospeech.evaluation.report import evaluation_facts, evaluation_text
    from ramospeech.models.checkpoints import load_model

    _check_search_flags(options)
    model, vocabulary, model_facts = load_model(options.model)
    device, split = device_name(options.device), open_split(options.data_type, options.split)
    if not options.report:
        _refuse({"--worst": options.worst, "--trained_on": options.trained_on}, "--report")
    else:  # what can go wrong goes wrong before the work
        from ramospeech.evaluation.html_report import count_training, error_page

        refuse_unwritable(options.report)
        training = count_training(model_facts, options.trained_on or [])
    decode = _decoder(options, model.loss, vocabulary)
    results = dict(recognise_split(
        model.to(device), vocabulary, split, options.batch_size, decode, options.nbest))
    result = judge(results.items(), vocabulary, split)
    readings = {index: item.best for index, item in results.items() if not item.error}
    search = _decoder_facts(options)
    flags = [word for name, value in search.items() for word in (f"--{name}", str(value))]
    flags += ["--timestamps"] if options.timestamps else []
    facts = evaluation_facts(result, split, options.model, device, flags) | search
    if options.nbest > 1:
        facts["best_of_nbest_error_rate"] = round(oracle_evaluation(results, split), 4)
    if options.timestamps:
        facts["readings"] = [pinyin_facts(item, options.nbest > 1)
                             for _, item in sorted(results.items())]
    if options.report:
        write_text(options.report, error_page(
            facts, result, readings, split, model, vocabulary, training,
            options.worst or WORST))
    if options.json:
        print(_printable(json.dumps(facts, ensure_ascii=False, indent=2)))
    else:
        for _, item in sorted(results.items()) if options.timestamps else ():
            if not item.error:
                print(_printable(next(pinyin_lines(item, True, False))))
        print(f"a model trained on {model_facts.get('corpus', 'an unknown corpus')}:")
        print(evaluation_text(result, split, options.model, options.confusions))
        if options.nbest > 1:
            print(f"\nthe best of each {options.nbest}: {facts['best_of_nbest_error_rate']:.1%} error")
        if options.report:
            print(f"\nthe page of errors is {options.report}")
    return 0


# From recordings to pinyin


def add_transcribe_command(commands: Commands) -> None:
    parser = command(commands, "transcribe", run_transcribe, "write the pinyin of recordings")
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help=RECORDING)
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--batch_size", "--batch-size", type=positive, default=8,
        help="recordings at once; a long one counts as several")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--json", action="store_true", help="print one JSON object a line")
    _add_decoder_flags(parser)


def run_transcribe(options: Namespace) -> int:
    from ramospeech.recognition.recogniser import Recogniser

    _check_search_flags(options)
    recogniser = Recogniser.load(options.model, device_name(options.device))
    recogniser.decode = _decoder(options, recogniser.model.loss, recogniser.vocabulary)
    failures = 0
    with _bar(options.files) as bar:
        for result in recogniser.transcribe(
                options.files, options.batch_size, options.nbest, bar.update):
            failures += result.error is not None
            _print_pinyin(result, options)
    return 1 if failures else 0


def _print_pinyin(result: "Result", options: Namespace) -> None:
    from ramospeech.cli.output import pinyin_facts, pinyin_lines

    with_scores = options.nbest > 1
    if options.json:
        _write_lines([json.dumps(pinyin_facts(result, with_scores), ensure_ascii=False)])
        return
    if result.was_read:
        _write_lines(pinyin_lines(result, options.timestamps, with_scores))
    _write_error(result)


def _bar(files: Sequence[str | Path]) -> "Bar[Any]":
    """How many seconds of sound are done, for work that takes longer than a moment."""
    from tqdm import tqdm

    from ramospeech.audio.segmentation import LONGEST, whole_seconds

    is_seen = sys.stderr.isatty()
    total = sum(map(whole_seconds, files)) if is_seen else 0
    takes_long = len(files) > 1 or total > LONGEST
    return tqdm(total=total, bar_format=BAR, disable=not (is_seen and takes_long), leave=False)


def _write_lines(lines: Iterable[str]) -> None:
    """Through the bar, and at once: who reads may wait for it."""
    from tqdm import tqdm

    tqdm.write(_printable("\n".join(lines)))
    sys.stdout.flush()


def _write_error(result: "Result") -> None:
    from tqdm import tqdm

    if result.error:
        tqdm.write(f"ramospeech: {result.error}", file=sys.stderr)


# From recordings to hanzi


def add_speech_command(commands: Commands) -> None:
    parser = command(commands, "speech2text", run_speech2text, "write the hanzi of recordings")
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help=RECORDING)
    add("--corpus", metavar="NAME", help=f"instead of files: {CORPORA.removeprefix('the corpus: ')}")
    add("--split", help="which list of the corpus (default: test)")
    add("--index", type=whole_number, nargs="+", metavar="I",
        help="which utterances of the list, counted from 0; printed with reference and error rates")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--nbest", type=positive, default=1, metavar="N",
        help="how many sentences to give of each recording, with the score of sound and words")
    add("--batch_size", "--batch-size", type=positive, default=8,
        help="recordings at once; a long one counts as several")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--json", action="store_true", help="print one JSON object a line")


def run_speech2text(options: Namespace) -> int:
    from ramospeech.recognition.speech_to_text import SpeechToText

    files, references = _speech_files(options)
    speech = SpeechToText.load(options.model, device_name(options.device))
    _compile_search()
    failures = 0
    with _bar(files) as bar:
        results = speech.transcribe(files, options.batch_size, options.nbest, bar.update)
        for number, (result, reference) in enumerate(zip(results, references), start=1):
            failures += result.error is not None
            _print_hanzi(number, result, reference, options.json, several=len(files) > 1)
    return 1 if failures else 0


def _speech_files(options: Namespace) -> tuple[list[str | Path], list["Utterance | None"]]:
    """Recordings, and the utterance that each of them is, or None."""
    if not options.corpus:
        _refuse({"--index": options.index, "--split": options.split}, "--corpus")
    if bool(options.files) == bool(options.corpus) or (options.corpus and not options.index):
        raise ValueError("speech2text takes either files, or --corpus with --index")
    if options.files:
        return options.files, [None] * len(options.files)
    split = open_split(options.corpus, options.split or "test")
    for index in options.index:
        if index >= len(split):
            raise ValueError(f"--index {index}: the list {split.name} of {split.corpus} has "
                             f"utterances 0 to {len(split) - 1}")
    return ([split.audio_path(index) for index in options.index],
            [split.utterances[index] for index in options.index])


def _print_hanzi(
    number: int, result: "Result", reference: "Utterance | None", as_json: bool, several: bool
) -> None:
    from ramospeech.cli.output import text_facts, text_lines

    if as_json:
        _write_lines([json.dumps(text_facts(result, reference), ensure_ascii=False)])
        return
    if result.was_read:
        name = [f"FILE {number}: {result.file}"] if several else []
        _write_lines([*name, *text_lines(number, result, reference)])
    _write_error(result)


# Decoders


def _add_decoder_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--decoder", choices=["greedy", "prefix"], default="greedy",
        help="the best class of each frame, or a search for the best labelling")
    add("--beam-width", "--beam_width", type=positive, metavar="N",
        help=f"how many prefixes the search holds (default: {BEAM_WIDTH})")
    add("--nbest", type=positive, default=1, metavar="N",
        help="how many readings of each recording the search gives, with their scores")
    add("--lm", metavar="FILE", help="a language model for the search (ARPA, of pinyin syllables); "
        "shipped: the one that comes with the project")
    add("--lm-weight", "--lm_weight", type=float, metavar="WEIGHT",
        help=f"how much the language model counts (default: {LM_WEIGHT})")
    add("--length-bonus", "--length_bonus", type=float, metavar="BONUS",
        help="what each syllable adds to the score, where there is a language model "
             f"(default: {LENGTH_BONUS})")
    add("--timestamps", action="store_true", help="tell when each syllable was recognised")


def _check_search_flags(options: Namespace) -> None:
    """Fill in what was left out; raise ValueError for what would be passed over without a word."""
    of_model = {"--lm-weight": options.lm_weight, "--length-bonus": options.length_bonus}
    of_search = {"--beam-width": options.beam_width, "--lm": options.lm, **of_model,
                 "--nbest": options.nbest if options.nbest > 1 else None}
    if options.decoder == "greedy":
        _refuse(of_search, "--decoder prefix")
    if not options.lm:
        _refuse(of_model, "--lm")
    options.beam_width = BEAM_WIDTH if options.beam_width is None else options.beam_width
    options.lm_weight = LM_WEIGHT if options.lm_weight is None else options.lm_weight
    options.length_bonus = LENGTH_BONUS if options.length_bonus is None else options.length_bonus


def _refuse(flags: dict[str, Any], condition: str) -> None:
    given = [name for name, value in flags.items() if value is not None]
    if given:
        raise ValueError(f"{' and '.join(given)} can only be used with {condition}")


def _decoder(options: Namespace, loss: str, vocabulary: "Vocabulary") -> "Decode":
    """What turns log-probabilities and lengths into lists of hypotheses."""
    from ramospeech.decoding.greedy import best_paths

    if options.decoder == "greedy":
        return best_paths(loss)
    if loss == "ace":
        raise ValueError("--decoder prefix is for models trained with ctc; this one learned with ace")
    from ramospeech.decoding.prefix_beam import prefix_beam_search
    from ramospeech.language.arpa import read_arpa

    path = SHIPPED_LANGUAGE_MODEL if options.lm == "shipped" else options.lm and Path(options.lm)
    settings = {"beam_width": options.beam_width, "nbest": options.nbest}
    if path:
        language = read_arpa(path, vocabulary)
        for note in language.notes:
            print(f"{path}: {note}", file=sys.stderr)
        settings |= {"language_model": language, "lm_weight": options.lm_weight,
                     "length_bonus": options.length_bonus}
    _compile_search()
    # Of a batch, so a list of lists.
    return lambda log_probs, lengths: cast(
        "list[list[Hypothesis]]", prefix_beam_search(log_probs, lengths, **settings))


def _compile_search() -> None:
    from ramospeech.decoding.prefix_beam import warm_up

    seconds = warm_up()
    if seconds > 5:  # otherwise it was loaded
        print(f"the search was compiled in {seconds:.0f} s; the next start need not", file=sys.stderr)


def _decoder_facts(options: Namespace) -> dict[str, Any]:
    if options.decoder == "greedy":
        return {}
    facts = {"decoder": options.decoder, "beam_width": options.beam_width, "nbest": options.nbest}
    if not options.lm:
        return facts
    return facts | {"lm": options.lm, "lm_weight": options.lm_weight,
                    "length_bonus": options.length_bonus}


def _printable(text: str) -> str:
    """Escapes, which JSON reads back, for what is not UTF-8: an old file name may be in GBK."""
    return text.encode(errors="backslashreplace").decode()
