"""The commands that listen to recordings: transcribe, speech2text, evaluate.

Torch is imported by what needs it, so that `--help` answers at once.
"""

import argparse
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ramospeech.cli_flags import CORPORA, Commands, command, device_name, positive, whole_number
from ramospeech.corpora import open_split
from ramospeech.files import refuse_unwritable, write_text
from ramospeech.paths import SHIPPED_LANGUAGE_MODEL, SHIPPED_MODEL

if TYPE_CHECKING:
    from ramospeech.decoders import Decode, Hypothesis
    from ramospeech.manifest import Utterance
    from ramospeech.pinyin import Inventory
    from ramospeech.recognition import Reading, Transcript
    from ramospeech.speech_to_text import Text

BAR = "{percentage:3.0f}% |{bar}| {n:.0f} of {total:.0f} s of sound [{elapsed} < {remaining}]"
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
    add("--worst", type=positive, default=20, metavar="N",
        help="how many of the worst utterances the page shows")
    add("--trained_on", "--trained-on", nargs="+", default=[], metavar="CORPUS[/SPLIT]",
        help="where the page counts how often a syllable was heard in training; left out: in the "
             "split train of the corpus that the model file names")
    _add_decoder_flags(parser)


def run_evaluate(options: Namespace) -> int:
    from ramospeech.checkpoints import load_model
    from ramospeech.evaluation import best_of_nbest, judge, recognise_split
    from ramospeech.report import evaluation_facts, evaluation_text

    model, inventory, model_facts = load_model(options.model)
    device, split = device_name(options.device), open_split(options.data_type, options.split)
    if options.report:  # what can go wrong goes wrong before the work
        from ramospeech.error_page import count_training, error_page

        refuse_unwritable(options.report)
        training = count_training(model_facts, options.trained_on)
    decode = _decoder(options, model.loss, inventory)
    readings = dict(recognise_split(model.to(device), inventory, split, options.batch_size, decode))
    result = judge(readings.items(), inventory, split)
    readings = {index: reading for index, reading in readings.items() if not reading.error}
    search = _decoder_facts(options)
    flags = [word for name, value in search.items() for word in (f"--{name}", str(value))]
    facts = evaluation_facts(result, split, options.model, device, flags) | search
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


# From recordings to pinyin


def add_transcribe_command(commands: Commands) -> None:
    parser = command(commands, "transcribe", run_transcribe, "write the pinyin of recordings")
    add = parser.add_argument
    add("files", nargs="+", metavar="FILE", help="a recording: WAV, FLAC, OGG or MP3, at any rate")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--batch_size", "--batch-size", type=positive, default=8, help="recordings at once")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--json", action="store_true", help="print one JSON object a line")
    _add_decoder_flags(parser)


def run_transcribe(options: Namespace) -> int:
    from tqdm import tqdm

    from ramospeech.recognition import Recogniser

    recogniser = Recogniser.load(options.model, device_name(options.device))
    recogniser.decode = _decoder(options, recogniser.model.loss, recogniser.inventory)
    transcripts = recogniser.transcribe(options.files, options.batch_size)
    hide_bar = True if len(options.files) == 1 else None  # None: hidden where no one looks
    failures = 0
    for transcript in tqdm(transcripts, total=len(options.files), disable=hide_bar, leave=False):
        failures += transcript.error is not None
        _print_transcript(transcript, options)
    return 1 if failures else 0


def _print_transcript(transcript: "Transcript", options: Namespace) -> None:
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


def _spoken(reading: "Reading", timestamps: bool) -> str:
    """Syllables, each with its second behind an @ where that is wanted."""
    if not timestamps:
        return " ".join(reading.syllables)
    return " ".join(f"{syllable}@{second:.2f}"
                    for syllable, second in zip(reading.syllables, reading.seconds))


# From recordings to hanzi


def add_speech_command(commands: Commands) -> None:
    parser = command(commands, "speech2text", run_speech2text, "write the hanzi of recordings")
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE",
        help="a recording: WAV, FLAC, OGG or MP3, at any rate, of any length")
    add("--corpus", metavar="NAME", help=f"instead of files: {CORPORA.removeprefix('the corpus: ')}")
    add("--split", default="test", help="which list of the corpus")
    add("--index", type=whole_number, nargs="+", metavar="I",
        help="which utterances of the list, counted from 0; printed with reference and error rates")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")
    add("--nbest", type=positive, default=1, metavar="N",
        help="how many sentences to give of each recording, with the score of sound and words")
    add("--batch_size", "--batch-size", type=positive, default=8, help="recordings at once")
    add("--device", choices=["cpu", "cuda"], help="default: a GPU where there is one")
    add("--json", action="store_true", help="print one JSON object a line")


def run_speech2text(options: Namespace) -> int:
    from tqdm import tqdm

    from ramospeech.pieces import LONGEST, whole_seconds
    from ramospeech.speech_to_text import SpeechToText

    files, references = _speech_files(options)
    speech = SpeechToText.load(options.model, device_name(options.device))
    _compile_search()
    total = sum(map(whole_seconds, files))
    hide_bar = True if len(files) == 1 and total <= LONGEST else None  # None: where no one looks
    failures = 0
    with tqdm(total=total, bar_format=BAR, disable=hide_bar, leave=False) as bar:
        texts = speech.transcribe(files, options.batch_size, options.nbest, bar.update)
        for number, (text, reference) in enumerate(zip(texts, references), start=1):
            failures += text.error is not None
            _print_text(number, text, reference, options.json, several=len(files) > 1)
    return 1 if failures else 0


def _speech_files(options: Namespace) -> tuple[list[str | Path], list["Utterance | None"]]:
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


def _print_text(
    number: int, text: "Text", reference: "Utterance | None", as_json: bool, several: bool
) -> None:
    from tqdm import tqdm

    from ramospeech.speech_lines import text_facts, text_lines

    lines = []
    if as_json:
        lines = [json.dumps(text_facts(text, reference), ensure_ascii=False)]
    elif text.hanzi or not text.error:  # what was read before it broke is not lost
        lines = [f"FILE {number}: {text.file}"] if several else []
        lines += text_lines(number, text, reference)
    if lines:
        tqdm.write(_printable("\n".join(lines)))
        sys.stdout.flush()
    if text.error and not as_json:
        tqdm.write(f"ramospeech: {text.error}", file=sys.stderr)


# Decoders


def _add_decoder_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--decoder", choices=["greedy", "prefix"], default="greedy",
        help="the best class of each frame, or a search for the best labelling")
    add("--beam-width", "--beam_width", type=positive, default=30, metavar="N",
        help="how many prefixes the search holds")
    add("--nbest", type=positive, default=1, metavar="N",
        help="how many readings of each recording the search gives, with their scores")
    add("--lm", metavar="FILE", help="a language model for the search (ARPA, of pinyin syllables); "
        "shipped: the one that comes with the project")
    add("--lm-weight", "--lm_weight", type=float, default=LM_WEIGHT, metavar="WEIGHT",
        help="how much the language model counts")
    add("--length-bonus", "--length_bonus", type=float, default=LENGTH_BONUS, metavar="BONUS",
        help="what each syllable adds to the score, where there is a language model")
    add("--timestamps", action="store_true", help="tell when each syllable was recognised")


def _decoder(options: Namespace, loss: str, inventory: "Inventory") -> "Decode":
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
        language = read_arpa(path, inventory)
        for note in language.notes:
            print(f"{path}: {note}", file=sys.stderr)
        settings |= {"language_model": language, "lm_weight": options.lm_weight,
                     "length_bonus": options.length_bonus}
    _compile_search()
    # Of a batch, so a list of lists.
    return lambda log_probs, lengths: cast(
        "list[list[Hypothesis]]", prefix_beam_search(log_probs, lengths, **settings))


def _compile_search() -> None:
    from ramospeech.prefix_beam import warm_up

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
