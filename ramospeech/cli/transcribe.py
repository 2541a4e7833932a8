"""The command `ramospeech transcribe`: recordings to pinyin."""

import json
from argparse import Namespace
from typing import TYPE_CHECKING

from ramospeech.cli.decoder import add_decoder_flags, build_decoder, check_decoder_flags
from ramospeech.cli.flags import Commands, command, device_name
from ramospeech.cli.recordings import add_recording_flags, print_error, print_lines, progress_bar

if TYPE_CHECKING:
    from ramospeech.recognition.results import Result

__all__ = ["add_transcribe_command"]


def add_transcribe_command(commands: Commands) -> None:
    parser = command(commands, "transcribe", run_transcribe, "write the pinyin of recordings")
    add_recording_flags(parser, "+")
    add_decoder_flags(parser)


def run_transcribe(options: Namespace) -> int:
    from ramospeech.recognition.recogniser import Recogniser

    check_decoder_flags(options)
    recogniser = Recogniser.load(options.model, device_name(options.device))
    recogniser.decode = build_decoder(options, recogniser.model.loss, recogniser.vocabulary)
    failures = 0
    with progress_bar(options.files) as bar:
        for result in recogniser.transcribe(
                options.files, options.batch_size, options.nbest, bar.update):
            failures += result.error is not None
            _print_pinyin(result, options)
    return 1 if failures else 0


def _print_pinyin(result: "Result", options: Namespace) -> None:
    from ramospeech.cli.output import pinyin_facts, pinyin_lines

    with_scores = options.nbest > 1
    if options.json:
        print_lines([json.dumps(pinyin_facts(result, with_scores), ensure_ascii=False)])
        return
    if result.was_read:
        print_lines(pinyin_lines(result, options.timestamps, with_scores))
    print_error(result)
