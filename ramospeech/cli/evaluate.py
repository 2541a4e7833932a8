"""The command `ramospeech evaluate`: error rates of a model on a split of a corpus."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ramospeech.cli.decoder import add_decoder_flags, build_decoder, check_decoder_flags, decoder_facts
from ramospeech.cli.flags import CORPORA, Commands, add_model_flags, command, device_name, refuse_flags
from ramospeech.cli.recordings import printable
from ramospeech.config.numbers import positive
from ramospeech.data.corpora import open_split
from ramospeech.utils.files import refuse_unwritable, write_text

if TYPE_CHECKING:
    from ramospeech.data.corpus import Split
    from ramospeech.evaluation.error_rates import Evaluation
    from ramospeech.evaluation.html_report import Training
    from ramospeech.recognition.results import Result

__all__ = ["add_evaluate_command"]

WORST = 20


def add_evaluate_command(commands: Commands) -> None:
    parser = command(commands, "evaluate", run_evaluate, "measure the error rates of a model on a corpus")
    add = parser.add_argument
    add_model_flags(parser)
    add("--data_type", "--data-type", default="mini", help=CORPORA)
    add("--split", default="test", help="the split of the corpus")
    add("--batch_size", "--batch-size", type=positive, default=16, help="utterances per batch")
    add("--confusions", type=int, default=10, metavar="N", help="how many confusions to list")
    add("--json", action="store_true", help="print one JSON object, with command and commit")
    add("--report", type=Path, metavar="FILE",
        help="write an error analysis (a single HTML file): the worst utterances with sound, "
             "spectrogram and alignment; confusions; error rate by length and by the syllable's "
             "frequency in training")
    add("--worst", type=positive, metavar="N",
        help=f"how many of the worst utterances the error analysis shows (default: {WORST})")
    add("--trained_on", "--trained-on", nargs="+", metavar="CORPUS[/SPLIT]",
        help="where the error analysis counts the syllables of training (default: the split train of "
             "the corpus that the model file names)")
    add_decoder_flags(parser)


def run_evaluate(options: Namespace) -> int:
    from ramospeech.evaluation.evaluate import judge, recognise_split
    from ramospeech.models.checkpoints import load_model

    check_decoder_flags(options)
    model, vocabulary, model_facts = load_model(options.model)
    device, split = device_name(options.device), open_split(options.data_type, options.split)
    training = _count_training(options, model_facts)
    decode = build_decoder(options, model.loss, vocabulary)
    results = dict(recognise_split(
        model.to(device), vocabulary, split, options.batch_size, decode, options.nbest))
    evaluation = judge(results.items(), vocabulary, split)
    facts = _facts(options, evaluation, results, split, device)
    if training:
        from ramospeech.evaluation.html_report import error_page

        best = {index: item.best for index, item in results.items() if not item.error}
        write_text(options.report, error_page(
            facts, evaluation, best, split, model, vocabulary, training, options.worst or WORST))
    if options.json:
        print(printable(json.dumps(facts, ensure_ascii=False, indent=2)))
    else:
        if options.timestamps:
            _print_transcripts(results)
        print(f"a model trained on {model_facts.get('corpus', 'an unknown corpus')}:")
        _print_evaluation(options, evaluation, split, facts)
    return 0


def _count_training(options: Namespace, model_facts: dict[str, Any]) -> "Training | None":
    """Prepare the error analysis, if one is wanted: its errors must come before the work."""
    if not options.report:
        refuse_flags({"--worst": options.worst, "--trained_on": options.trained_on}, "--report")
        return None
    from ramospeech.evaluation.html_report import count_training

    refuse_unwritable(options.report)
    return count_training(model_facts, options.trained_on or [])


def _facts(
    options: Namespace, evaluation: "Evaluation", results: dict[int, "Result"], split: "Split", device: str
) -> dict[str, Any]:
    from ramospeech.cli.output import pinyin_facts
    from ramospeech.evaluation.evaluate import oracle_error_rate
    from ramospeech.evaluation.report import evaluation_facts

    search = decoder_facts(options)
    flags = [word for name, value in search.items() for word in (f"--{name}", str(value))]
    flags += ["--timestamps"] if options.timestamps else []
    facts = evaluation_facts(evaluation, split, options.model, device, flags) | search
    if options.nbest > 1:
        facts["oracle_error_rate"] = round(oracle_error_rate(results, split), 4)
    if options.timestamps:
        facts["transcripts"] = [pinyin_facts(item, options.nbest > 1)
                                for _, item in sorted(results.items())]
    return facts


def _print_transcripts(results: dict[int, "Result"]) -> None:
    from ramospeech.cli.output import pinyin_lines

    for _, item in sorted(results.items()):
        if not item.error:
            print(printable(next(pinyin_lines(item, True, False))))


def _print_evaluation(
    options: Namespace, evaluation: "Evaluation", split: "Split", facts: dict[str, Any]
) -> None:
    from ramospeech.evaluation.report import evaluation_text

    print(evaluation_text(evaluation, split, options.model, options.confusions))
    if options.nbest > 1:
        print(f"\noracle error rate of the {options.nbest} best: {facts['oracle_error_rate']:.1%}")
    if options.report:
        print(f"\nthe error analysis is {options.report}")
