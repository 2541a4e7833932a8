"""What `speech2text` prints of a recording: the lines of 2019, or JSON."""

from collections.abc import Iterator
from typing import Any

from ramospeech.manifest import Utterance
from ramospeech.metrics import syllable_error_rate
from ramospeech.simplified import simplify
from ramospeech.speech_to_text import Sentence, Text


def text_lines(number: int, text: Text, reference: Utterance | None = None) -> Iterator[str]:
    """As 2019 printed it, with the reference where there is one, and all sentences if several.

    SENT are the syllables, PRED the hanzi, SCORE is ln P(hanzi | syllables), AVG the score a token,
    PPL exp(-AVG). In brackets stands the score of sound and words together.
    """
    best = text.best
    yield f"Prediction using {text.elapsed:.5f}s"
    yield f"SENT {number}: {list(best.syllables)}"
    if reference:
        yield f"REF SENT {number}: {reference.syllables}"
    yield f"PRED {number}: {' '.join(best.tokens)}"
    if reference and reference.hanzi:
        yield f"REF {number}: {' '.join(reference.hanzi)}"
    yield f"PRED SCORE: {_four(best.score)}"
    yield f"PRED AVG SCORE: {_four(best.average)}, PRED PPL: {_four(best.perplexity)}"
    if reference:
        yield ", ".join(f"{name.replace('_', ' ').upper()}: {rate:.1%}"
                        for name, rate in error_rates(best, reference).items())
    if len(text.sentences) > 1:
        yield "BEST HYP:"
        for sentence in text.sentences:
            yield f"[{_four(sentence.joint)}] {' '.join(sentence.tokens)}"


def text_facts(text: Text, reference: Utterance | None = None) -> dict[str, Any]:
    """The same for JSON, with the seconds of the syllables and what was heard at first.

    Of what is broken, the reason, and what was read before it broke.
    """
    error = {"error": text.error} if text.error else {}
    if error and not text.hanzi:
        return {"file": text.file, **error}
    best, *others = map(_sentence_facts, text.sentences)
    facts = {"file": text.file, **error, **best, "heard": text.heard.syllables,
             "elapsed": round(text.elapsed, 5)}
    if others:
        facts["nbest"] = [best, *others]
    if reference:
        facts["reference"] = {"hanzi": reference.hanzi, "pinyin": reference.syllables}
        facts |= {name: round(rate, 4)
                  for name, rate in error_rates(text.best, reference).items()}
    return facts


def error_rates(sentence: Sentence, reference: Utterance) -> dict[str, float]:
    """Of toned syllables, and of hanzi where the reference has them, in either writing."""
    rates = {"syllable_error": syllable_error_rate([reference.syllables], [list(sentence.syllables)])}
    if reference.hanzi:
        hanzi = simplify(reference.hanzi)
        rates["hanzi_error"] = syllable_error_rate([list(hanzi)], [list(sentence.tokens)])
    return rates


def _sentence_facts(sentence: Sentence) -> dict[str, Any]:
    numbers = {"score": sentence.score, "average": sentence.average,
               "perplexity": sentence.perplexity, "joint": sentence.joint}
    return {"hanzi": sentence.hanzi, "pinyin": list(sentence.syllables),
            "seconds": list(sentence.seconds),
            **{name: round(number, 4) + 0.0 for name, number in numbers.items()}}


def _four(number: float) -> str:
    """Four decimals, and no minus before a zero."""
    return f"{round(number, 4) + 0.0:.4f}"
