"""Output of results: lines of pinyin, the format of 2019, or JSON."""

from collections.abc import Iterator
from typing import Any

from ramospeech.data.manifest import Utterance, spoken_characters
from ramospeech.evaluation.error_rates import syllable_error_rate
from ramospeech.language.simplified import simplify
from ramospeech.recognition.results import Result, Transcript

__all__ = ["error_rates", "pinyin_facts", "pinyin_lines", "text_facts", "text_lines"]


def text_lines(number: int, result: Result, reference: Utterance | None = None) -> Iterator[str]:
    """Yield the lines of 2019's format, with the reference and the n best if there are any.

    SENT is the syllables, PRED the hanzi, SCORE ln P(hanzi | syllables), AVG SCORE the score per token,
    PPL exp(-AVG SCORE). The joint score of sound and words is in brackets.
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
        for transcript in result.transcripts:
            yield f"[{_four(transcript.score)}] {' '.join(transcript.tokens)}"


def text_facts(result: Result, reference: Utterance | None = None) -> dict[str, Any]:
    """Return the same for JSON, with the times and the first pass; for a damaged file, with the error."""
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
    """Yield the file and its syllables, one line per transcript."""
    for transcript in result.transcripts:
        score = f"\t{transcript.score:.3f}" if with_scores else ""
        yield f"{result.file}\t{_syllables(transcript, with_seconds)}{score}"


def pinyin_facts(result: Result, with_scores: bool) -> dict[str, Any]:
    """Return the same for JSON, always with the times in seconds."""
    facts = _file_facts(result)
    if not result.was_read:
        return facts
    facts |= _syllable_facts(result.best)
    if with_scores:
        facts["nbest"] = [_syllable_facts(transcript) | {"score": round(transcript.score, 4)}
                          for transcript in result.transcripts]
    return facts


def error_rates(transcript: Transcript, reference: Utterance) -> dict[str, float]:
    """Return the error rates of toned syllables, and of hanzi if the reference has them.

    Punctuation and traditional characters are not errors.
    """
    rates = {"syllable_error": syllable_error_rate([reference.syllables], [list(transcript.syllables)])}
    if hanzi := spoken_characters(simplify(reference.hanzi)):
        rates["hanzi_error"] = syllable_error_rate([list(hanzi)], [list(transcript.tokens)])
    return rates


def _syllables(transcript: Transcript, with_seconds: bool) -> str:
    """Return the syllables, with `@` and the second after each if `with_seconds`."""
    if not with_seconds:
        return " ".join(transcript.syllables)
    return " ".join(f"{syllable}@{second:.2f}"
                    for syllable, second in zip(transcript.syllables, transcript.seconds))


def _file_facts(result: Result) -> dict[str, Any]:
    return {"file": result.file} | ({"error": result.error} if result.error else {})


def _syllable_facts(transcript: Transcript) -> dict[str, Any]:
    return {"pinyin": list(transcript.syllables), "seconds": list(transcript.seconds)}


def _sentence_facts(transcript: Transcript) -> dict[str, Any]:
    numbers = {"score": transcript.log_prob, "average": transcript.average,
               "perplexity": transcript.perplexity, "joint": transcript.score}
    return {"hanzi": transcript.hanzi, **_syllable_facts(transcript),
            **{name: round(number, 4) + 0.0 for name, number in numbers.items()}}


def _four(number: float) -> str:
    """Format with four decimals, and zero without a minus sign."""
    return f"{round(number, 4) + 0.0:.4f}"
