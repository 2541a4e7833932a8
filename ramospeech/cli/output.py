"""What the commands print of a recording: pinyin, the lines of 2019, or JSON."""

from collections.abc import Iterator
from typing import Any

from ramospeech.data.manifest import Utterance, spoken_characters
from ramospeech.evaluation.error_rates import syllable_error_rate
from ramospeech.language.simplified import simplify
from ramospeech.recognition.results import Result, Transcript


def text_lines(number: int, result: Result, reference: Utterance | None = None) -> Iterator[str]:
    """As 2019 printed it, with the reference where there is one, and all sentences if several.

    SENT are the syllables, PRED the hanzi, SCORE is ln P(hanzi | syllables), AVG the score a token,
    PPL exp(-AVG). In brackets stands the score of sound and words together.
    """
    best = result.best
    yield f"Prediction using {result.elapsed:.5f}s"
    yield f"SENT {number}: {list(best.syllables)}"
    if reference:
        yield f"REF SENT {number}: {reference.syllables}"
    yield f"PRED {number}: {' '.join(best.tokens)}"
    if reference and reference.hanzi:
        yield f"REF {number}: {' '.join(reference.hanzi)}"
    yield f"PRED SCORE: {_four(best.log_prob)}"
    yield f"PRED AVG SCORE: {_four(best.average)}, PRED PPL: {_four(best.perplexity)}"
    if reference:
        yield ", ".join(f"{name.replace('_', ' ').upper()}: {rate:.1%}"
                        for name, rate in error_rates(best, reference).items())
    if len(result.transcripts) > 1:
        yield "BEST HYP:"
        for reading in result.transcripts:
            yield f"[{_four(reading.score)}] {' '.join(reading.tokens)}"


def text_facts(result: Result, reference: Utterance | None = None) -> dict[str, Any]:
    """The same for JSON, with the seconds of the syllables and what was heard at first.

    Of what is broken, the reason, and what was read before it broke.
    """
    facts = _file_facts(result)
    if not result.was_read:
        return facts
    best, *others = map(_sentence_facts, result.transcripts)
    facts |= {**best, "first_pass": list(result.first_pass.syllables), "elapsed": round(result.elapsed, 5)}
    if others:
        facts["nbest"] = [best, *others]
    if reference:
        facts["reference"] = {"hanzi": reference.hanzi, "pinyin": reference.syllables}
        facts |= {name: round(rate, 4)
                  for name, rate in error_rates(result.best, reference).items()}
    return facts


def pinyin_lines(result: Result, with_seconds: bool, with_scores: bool) -> Iterator[str]:
    """The file and its syllables, a line for each reading."""
    for reading in result.transcripts:
        score = f"\t{reading.score:.3f}" if with_scores else ""
        yield f"{result.file}\t{_spoken(reading, with_seconds)}{score}"


def pinyin_facts(result: Result, with_scores: bool) -> dict[str, Any]:
    """The same for JSON, always with the seconds."""
    facts = _file_facts(result)
    if not result.was_read:
        return facts
    facts |= _syllable_facts(result.best)
    if with_scores:
        facts["nbest"] = [_syllable_facts(reading) | {"score": round(reading.score, 4)}
                          for reading in result.transcripts]
    return facts


def error_rates(reading: Transcript, reference: Utterance) -> dict[str, float]:
    """Of toned syllables, and of hanzi where the reference has them; neither punctuation
    is an error, nor traditional writing."""
    rates = {"syllable_error": syllable_error_rate([reference.syllables], [list(reading.syllables)])}
    if hanzi := spoken_characters(simplify(reference.hanzi)):
        rates["hanzi_error"] = syllable_error_rate([list(hanzi)], [list(reading.tokens)])
    return rates


def _spoken(reading: Transcript, with_seconds: bool) -> str:
    """Syllables, each with its second behind an @ where that is wanted."""
    if not with_seconds:
        return " ".join(reading.syllables)
    return " ".join(f"{syllable}@{second:.2f}"
                    for syllable, second in zip(reading.syllables, reading.seconds))


def _file_facts(result: Result) -> dict[str, Any]:
    return {"file": result.file} | ({"error": result.error} if result.error else {})


def _syllable_facts(reading: Transcript) -> dict[str, Any]:
    return {"pinyin": list(reading.syllables), "seconds": list(reading.seconds)}


def _sentence_facts(reading: Transcript) -> dict[str, Any]:
    numbers = {"score": reading.log_prob, "average": reading.average,
               "perplexity": reading.perplexity, "joint": reading.score}
    return {"hanzi": reading.hanzi, **_syllable_facts(reading),
            **{name: round(number, 4) + 0.0 for name, number in numbers.items()}}


def _four(number: float) -> str:
    """Four decimals, and no minus before a zero."""
    return f"{round(number, 4) + 0.0:.4f}"
