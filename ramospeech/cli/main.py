"""The command `ramospeech`."""

import argparse
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ramospeech import __version__
from ramospeech.cli.evaluate import add_evaluate_command
from ramospeech.cli.flags import Commands, Run, command
from ramospeech.cli.speech2text import add_speech_command
from ramospeech.cli.train import add_train_command
from ramospeech.cli.transcribe import add_transcribe_command
from ramospeech.config.numbers import port_number, positive
from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.data.corpora import CORPORA, download, get_corpus, prepare
from ramospeech.utils.files import refuse_unwritable
from ramospeech.utils.logs import LOGGER, log_to_stderr

__all__ = ["build_parser", "guarded", "main"]

EXPECTED_ERRORS = (OSError, ValueError, FloatingPointError)  # RamoSpeechError is a ValueError
EXAMPLE = 40  # letters of a word that are shown
LABELS = "the source of the pinyin, if a corpus has several: thchs has own (the default), pypinyin"

# Commands import torch themselves, so that `--help` answers at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 for an error, 2 for wrong arguments."""
    options = build_parser().parse_args(arguments)
    return guarded(options.run, options)


def guarded(run: Run, options: Namespace) -> int:
    """Return the exit status of `run(options)`; log an expected error as one line."""
    log_to_stderr()
    try:
        return run(options)
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        sys.stdout = None
        return 1
    except EXPECTED_ERRORS as error:
        LOGGER.error("%s", _last_line(error), exc_info=_wants_traceback(options))
        return 1
    except KeyboardInterrupt:
        LOGGER.error("interrupted", exc_info=_wants_traceback(options))
        return 130


def _wants_traceback(options: Namespace) -> bool:
    return options.traceback or os.environ.get("RAMOSPEECH_TRACEBACK", "") not in ("", "0")


def _last_line(error: Exception) -> str:
    """Return the message; a process that loads data puts its traceback before it."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ramospeech", description="Mandarin speech recognition: from a recording to pinyin."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--traceback", action="store_true",
                        help="show the whole traceback of an error; so does RAMOSPEECH_TRACEBACK=1")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_corpora_commands(commands)
    add_train_command(commands)
    add_evaluate_command(commands)
    add_transcribe_command(commands)
    add_speech_command(commands)
    _add_train_lm_command(commands)
    _add_hanzi_command(commands)
    _add_demo_command(commands)
    return parser


# Corpora


def _add_corpora_commands(commands: Commands) -> None:
    command(commands, "corpora", run_corpora, "list the corpora and what is prepared of them")
    fetch = command(commands, "download", run_download,
                     "download a corpus and prepare it; an interrupted download is resumed")
    fetch.add_argument("name", choices=list(CORPORA), help="the corpus")
    fetch.add_argument("--to", type=Path, default=None,
                       help="the target folder, such as an empty mount point; "
                            "default: the data folder")
    fetch.add_argument("--mirror", default=None,
                       help="the mirror of openslr.org: main (the default), us, eu, cn, or a URL")
    fetch.add_argument("--labels", default=None, help=LABELS)
    make = command(commands, "prepare", run_prepare, "write the manifests of a corpus")
    make.add_argument("name", choices=list(CORPORA), help="the corpus")
    make.add_argument("--root", type=Path, default=None, help="the folder of a copy")
    make.add_argument("--labels", default=None, help=LABELS)


def run_corpora(options: Namespace) -> int:
    for name, corpus in CORPORA.items():
        state = "prepared" if corpus.is_prepared() else "not prepared"
        if state == "not prepared" and corpus.read_facts() and not corpus.embedded:
            state = f"not prepared: {corpus.why_not_prepared()}\n{'':24}"
        size = f"a download of {corpus.size / 1e9:.1f} GB; " if corpus.size else ""
        print(f"{name:10} {state:13} {corpus.description}\n{'':24} {size}licence: {corpus.licence}")
    return 0


def run_download(options: Namespace) -> int:
    get_corpus(options.name).resolve_labels(options.labels)  # a wrong choice is found now
    print(f"{options.name}: licence {get_corpus(options.name).licence}", flush=True)
    root = download(options.name, options.to, options.mirror)
    print(f"{options.name} lies in {root}")
    print(prepare(options.name, root, options.labels).summary())
    return 0


def run_prepare(options: Namespace) -> int:
    found = prepare(options.name, options.root, options.labels)
    print(f"{options.name}, recordings in {found.root}\n{found.summary()}")
    return 0


# Language


def _add_train_lm_command(commands: Commands) -> None:
    parser = command(commands, "train-lm", run_train_lm,
                      "train an n-gram language model on the syllables of manifests")
    add = parser.add_argument
    add("manifests", nargs="+", type=Path, metavar="MANIFEST",
        help="a manifest: path, pinyin, hanzi per line")
    add("--output", type=Path, default=Path("language_model.arpa"), help="the file to write")
    add("--order", type=positive, default=2, choices=[1, 2, 3],
        help="the n of the n-grams")


def run_train_lm(options: Namespace) -> int:
    from ramospeech.data.manifest import read_manifest
    from ramospeech.language.arpa import write_arpa
    from ramospeech.language.ngram_estimation import estimate
    from ramospeech.language.vocabulary import Vocabulary

    refuse_unwritable(options.output)
    utterances = [utterance for path in options.manifests for utterance in read_manifest(path)]
    sentences = [utterance.syllables for utterance in utterances]
    model = estimate(sentences, Vocabulary.read(), options.order)
    write_arpa(options.output, model)
    print(f"{options.output}: {len(model.ngrams):,} n-grams up to order {options.order} of "
          f"{len(sentences):,} utterances")
    return 0


def _add_hanzi_command(commands: Commands) -> None:
    parser = command(commands, "pinyin2hanzi", run_pinyin2hanzi,
                      "convert lines of pinyin to hanzi")
    add = parser.add_argument
    add("file", nargs="?", type=Path, metavar="FILE",
        help="lines of pinyin, such as shang4 hai3, shànghǎi or shang4hai3; if no word of a line has a "
             "tone, every tone is considered; words that are not pinyin are copied, and counted at the "
             "end (default: standard input)")
    add("--nbest", type=positive, metavar="N",
        help="print the N best of each line after their probabilities, then an empty line")


def run_pinyin2hanzi(options: Namespace) -> int:
    from ramospeech.language.pinyin_to_hanzi import Converter, read_lines

    converter, odd, example = Converter.load(), 0, ""
    with open(options.file, "rb") if options.file else nullcontext(sys.stdin.buffer) as file:
        for line in read_lines(file, str(options.file or "standard input")):
            words = converter.unrecognised_words(line)
            odd, example = odd + len(words), example or "".join(words[:1])
            if options.nbest is None:
                print(converter.convert(line), flush=True)
                continue
            for candidate in converter.candidates(line, options.nbest):
                print(f"{candidate.probability:.4f}\t{candidate.hanzi}")
            print(flush=True)
    if odd:
        shown = example if len(example) <= EXAMPLE else f"{example[:EXAMPLE]}..."
        print(f"ramospeech: passed through {odd:,} of what was not understood, such as {shown}",
              file=sys.stderr)
    return 0


# The web page


def _add_demo_command(commands: Commands) -> None:
    parser = command(commands, "demo", run_demo, "serve a web page with a microphone (needs the extra demo)")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="the address to bind; browsers give the microphone to pages "
        "from another machine only over https")
    add("--port", type=port_number, default=7860, help="the port to bind")
    add("--model", type=Path, default=SHIPPED_MODEL, help="a model file (.safetensors)")


def run_demo(options: Namespace) -> int:
    from ramospeech.demo.page import serve

    serve(options.host, options.port, options.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
