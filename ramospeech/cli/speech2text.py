"""The command `ramospeech speech2text`: recordings to hanzi."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ramospeech.cli.decoder import compile_search
from ramospeech.cli.flags import CORPORA, Commands, command, device_name, refuse_flags
from ramospeech.cli.recordings import add_recording_flags, print_error, print_lines, progress_bar
from ramospeech.config.numbers import positive, whole_number
from ramospeech.data.corpora import open_split

if TYPE_CHECKING:
    from ramospeech.data.manifest import Utterance
    from ramospeech.recognition.results import Result

__all__ = ["add_speech_command"]


def add_speech_command(commands: Commands) -> None:
    parser = command(commands, "speech2text", run_speech2text, "write the hanzi of recordings")
    add_recording_flags(parser, "*")
    add = parser.add_argument
    add("--corpus", metavar="NAME", help=f"instead of files: {CORPORA.removeprefix('the corpus: ')}")
    add("--split", help="the split of the corpus (default: test)")
    add("--index", type=whole_number, nargs="+", metavar="I",
        help="which utterances of the split, counted from 0; printed with reference and error rates")
    add("--nbest", type=positive, default=1, metavar="N",
        help="how many sentences to print per recording, with the joint score of sound and words")


def run_speech2text(options: Namespace) -> int:
    from ramospeech.recognition.speech_to_text import SpeechToText

    files, references = _files(options)
    speech = SpeechToText.load(options.model, device_name(options.device))
    compile_search()
    failures = 0
    with progress_bar(files) as bar:
        results = speech.transcribe(files, options.batch_size, options.nbest, bar.update)
        for number, (result, reference) in enumerate(zip(results, references), start=1):
            failures += result.error is not None
            _print_hanzi(number, result, reference, options.json, several=len(files) > 1)
    return 1 if failures else 0


def _files(options: Namespace) -> tuple[list[str | Path], list["Utterance | None"]]:
    """Return the recordings, and for each its utterance in the corpus, or None."""
    if not options.corpus:
        refuse_flags({"--index": options.index, "--split": options.split}, "--corpus")
    if bool(options.files) == bool(options.corpus) or (options.corpus and not options.index):
        raise ValueError("speech2text takes either files, or --corpus with --index")
    if options.files:
        return options.files, [None] * len(options.files)
    split = open_split(options.corpus, options.split or "test")
    for index in options.index:
        if index >= len(split):
            raise ValueError(f"--index {index}: the split {split.name} of {split.corpus} has "
                             f"utterances 0 to {len(split) - 1}")
    return ([split.audio_path(index) for index in options.index],
            [split.utterances[index] for index in options.index])


def _print_hanzi(
    number: int, result: "Result", reference: "Utterance | None", as_json: bool, several: bool
) -> None:
    from ramospeech.cli.output import text_facts, text_lines

    if as_json:
        print_lines([json.dumps(text_facts(result, reference), ensure_ascii=False)])
        return
    if result.was_read:
        name = [f"FILE {number}: {result.file}"] if several else []
        print_lines([*name, *text_lines(number, result, reference)])
    print_error(result)
