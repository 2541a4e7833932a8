"""The flags that choose a decoder, for `transcribe` and `evaluate`."""

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ramospeech.cli.flags import refuse_flags
from ramospeech.config.numbers import positive
from ramospeech.config.paths import SHIPPED_LANGUAGE_MODEL
from ramospeech.utils.logs import LOGGER

if TYPE_CHECKING:
    from ramospeech.decoding.hypothesis import Decode, Hypothesis
    from ramospeech.language.vocabulary import Vocabulary

__all__ = ["add_decoder_flags", "build_decoder", "check_decoder_flags", "compile_search", "decoder_facts"]

DEFAULTS = {"beam_width": 30, "lm_weight": 0.5, "length_bonus": 4.0}  # the latter two tuned on dev of
# audio-cmn by benchmarks/language_model.py


def add_decoder_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--decoder", choices=["greedy", "prefix"], default="greedy",
        help="greedy: the best class of each frame; prefix: prefix beam search")
    add("--beam-width", "--beam_width", type=positive, metavar="N",
        help=f"how many prefixes the beam search keeps (default: {DEFAULTS['beam_width']})")
    add("--nbest", type=positive, default=1, metavar="N",
        help="how many hypotheses the beam search returns per recording, with their scores")
    add("--lm", metavar="FILE", help="a language model for the beam search (ARPA, of pinyin syllables); "
        "shipped: the one that comes with the project")
    add("--lm-weight", "--lm_weight", type=float, metavar="WEIGHT",
        help=f"the weight of the language model (default: {DEFAULTS['lm_weight']})")
    add("--length-bonus", "--length_bonus", type=float, metavar="BONUS",
        help="added to the score per syllable, if there is a language model "
             f"(default: {DEFAULTS['length_bonus']})")
    add("--timestamps", action="store_true", help="print when each syllable was recognised")


def check_decoder_flags(options: Namespace) -> None:
    """Fill in the defaults. Raises ValueError for flags that would be ignored silently."""
    of_model = {"--lm-weight": options.lm_weight, "--length-bonus": options.length_bonus}
    of_search = {"--beam-width": options.beam_width, "--lm": options.lm, **of_model,
                 "--nbest": options.nbest if options.nbest > 1 else None}
    if options.decoder == "greedy":
        refuse_flags(of_search, "--decoder prefix")
    if not options.lm:
        refuse_flags(of_model, "--lm")
    for name, default in DEFAULTS.items():
        if getattr(options, name) is None:
            setattr(options, name, default)


def build_decoder(options: Namespace, loss: str, vocabulary: "Vocabulary") -> "Decode":
    """Return the function from log-probabilities and lengths to hypotheses.

    Raises ValueError if the model, trained with `loss`, cannot be decoded so.
    """
    from ramospeech.decoding.greedy import greedy_decoder

    if options.decoder == "greedy":
        return greedy_decoder(loss)
    if loss == "ace":
        raise ValueError("--decoder prefix is for models trained with ctc; this one was trained with ace")
    from ramospeech.decoding.prefix_beam import prefix_beam_search

    settings: dict[str, Any] = {"beam_width": options.beam_width, "nbest": options.nbest}
    if options.lm:
        settings |= {"language_model": _read_language_model(options.lm, vocabulary),
                     "lm_weight": options.lm_weight, "length_bonus": options.length_bonus}
    compile_search()
    # For a batch, a list of lists.
    return lambda log_probs, lengths: cast(
        "list[list[Hypothesis]]", prefix_beam_search(log_probs, lengths, **settings))


def _read_language_model(name: str, vocabulary: "Vocabulary") -> Any:
    from ramospeech.language.arpa import read_arpa

    path = SHIPPED_LANGUAGE_MODEL if name == "shipped" else Path(name)
    language = read_arpa(path, vocabulary)
    for note in language.notes:
        LOGGER.warning("%s: %s", path, note)
    return language


def compile_search() -> None:
    """Compile the beam search, or load it from the cache."""
    from ramospeech.decoding.prefix_beam import warm_up

    seconds = warm_up()
    if seconds > 5:  # it was not in the cache
        LOGGER.info("compiled the beam search in %.0f s; it is cached for the next start", seconds)


def decoder_facts(options: Namespace) -> dict[str, Any]:
    """Return the flags of the decoder, as far as they have an effect."""
    if options.decoder == "greedy":
        return {}
    names = ["decoder", "beam_width", "nbest", *(["lm", "lm_weight", "length_bonus"] if options.lm else [])]
    return {name: getattr(options, name) for name in names}
