"""An evaluation put into words: for a reader, and for a file of results."""

import math
import platform
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ramospeech.config.paths import PACKAGE, SHIPPED_MODEL
from ramospeech.data.corpus import Split
from ramospeech.evaluation.error_rates import ErrorCounts, Evaluation

WHAT_COUNTS = [".", ":!benchmarks/*.json", ":!*.md"]  # to git: all but these


def evaluation_facts(
    result: Evaluation, split: Split, model: Path, device: str = "cpu", flags: Sequence[str] = ()
) -> dict[str, Any]:
    """Error rates with all that one must know to quote them; `flags` are the other ones given."""
    return {
        "command": _command(split, model, flags),
        "commit": commit(),
        "hardware": hardware(device),
        "model": model.name,
        "corpus": split.corpus,
        "split": split.name,
        "label_source": result.label_source,
        **_error_facts(result),
        "left_out": len(result.left_out),  # utterances that cannot be read
        **({"left_out_because": [reason for _, reason in sorted(result.left_out.items())]}
           if result.left_out else {}),
        "outside_vocabulary": result.outside_vocabulary,  # utterances
        **({"inside_vocabulary": _error_facts(result.inside)} if result.inside else {}),
    }


def _command(split: Split, model: Path, flags: Sequence[str]) -> str:
    """What to type to see the same again."""
    words = ["ramospeech", "evaluate", "--data_type", split.corpus, "--split", split.name]
    words += [] if model == SHIPPED_MODEL else ["--model", str(model)]
    return shlex.join([*words, *flags])


def _error_facts(result: Evaluation) -> dict[str, Any]:
    return {"utterances": result.utterances,
            "toned_syllables": _count_facts(result.toned),
            "base_syllables": _count_facts(result.base),
            "tone_error_rate": _rounded(result.tone_error_rate)}


def _count_facts(counts: ErrorCounts) -> dict[str, Any]:
    return {"error_rate": _rounded(counts.rate), "reference_length": counts.reference_length,
            "substitutions": counts.substitutions, "insertions": counts.insertions,
            "deletions": counts.deletions}


def _rounded(rate: float) -> float | None:
    """Four digits; nothing where there was nothing to count (JSON has no NaN)."""
    return None if math.isnan(rate) else round(rate, 4)


def evaluation_text(result: Evaluation, split: Split, model: Path, confusions: int = 10) -> str:
    """The same as lines to read, with the tones and the syllables most often confused."""
    lines = [
        (f"{model.name} on {split.corpus} {split.name}: {result.utterances} utterances; "
         f"labels: {result.label_source}"),
        *_left_out_lines(result), *_error_lines(result), *_inside_lines(result),
        "", "tone said, tone heard:", *_tone_table(result),
    ]
    if result.confusions and confusions:
        lines += ["", "most often confused:"]
        for (said, heard), count in result.confusions.most_common(confusions):
            lines.append(f"  {said:>7} heard as {heard:7} {count:4} ×")
    return "\n".join(lines)


def _left_out_lines(result: Evaluation) -> list[str]:
    """Recordings that are in no figure."""
    if not result.left_out:
        return []
    return [f"{len(result.left_out)} more are left out, because they cannot be read:",
            *(f"  {reason}" for _, reason in sorted(result.left_out.items()))]


def _error_lines(result: Evaluation) -> list[str]:
    return [_count_line("toned syllables", result.toned),
            _count_line("base syllables", result.base), _tone_line(result)]


def _inside_lines(result: Evaluation) -> list[str]:
    if result.inside is None:
        return []
    return [(f"{result.outside_vocabulary} utterances hold a syllable outside the model's vocabulary; "
             f"the {result.inside.utterances} others:"),
            *_error_lines(result.inside)]


def _count_line(name: str, counts: ErrorCounts) -> str:
    return (f"{name:16} {counts.rate:6.1%} error: {counts.substitutions} substituted, "
            f"{counts.insertions} inserted, {counts.deletions} deleted of "
            f"{counts.reference_length}")


def _tone_line(result: Evaluation) -> str:
    if math.isnan(result.tone_error_rate):
        return f"{'tones':16}      - no base syllable was right"
    return f"{'tones':16} {result.tone_error_rate:6.1%} wrong where the base syllable is right"


def _tone_table(result: Evaluation) -> list[str]:
    tones = range(1, 6)  # 5 is the neutral tone
    rows = ["  said  heard" + "".join(f"{tone:6}" for tone in tones)]
    for said in tones:
        counts = "".join(f"{result.tone_confusions[said, heard]:6}" for heard in tones)
        rows.append(f"  {said:4}       {counts}")
    return rows


def commit() -> str:
    """The commit of the code that runs, with `+changes` where the tree differs from it in what counts.

    Results and README are written by what is measured, and change nothing in it.
    """
    if not (PACKAGE.parent / ".git").exists():  # installed, perhaps inside some other repository
        return "unknown"
    try:
        name = _git("describe", "--always", "--abbrev=10")
        return name + ("+changes" if _git("diff", "HEAD", "--name-only", "--", *WHAT_COUNTS) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=PACKAGE.parent, capture_output=True, text=True,
                          check=True).stdout.strip()


def hardware(device: str = "cpu") -> str:
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
