"""Evaluations as text, and as facts for files of results."""

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

__all__ = ["commit", "evaluation_facts", "evaluation_text", "hardware"]

CODE = [".", ":!benchmarks/*.json", ":!*.md"]  # for git: everything but results and pages


def evaluation_facts(
    result: Evaluation, split: Split, model: Path, device: str = "cpu", flags: Sequence[str] = ()
) -> dict[str, Any]:
    """Return error rates with everything needed to quote them; `flags` go into the command."""
    return {
        "command": _command(split, model, flags),
        "commit": commit(),
        "hardware": hardware(device),
        "model": model.name,
        "corpus": split.corpus,
        "split": split.name,
        "label_source": result.label_source,
        **_error_facts(result),
        "left_out": len(result.left_out),  # unreadable utterances
        **({"left_out_because": [reason for _, reason in sorted(result.left_out.items())]}
           if result.left_out else {}),
        "outside_vocabulary": result.outside_vocabulary,  # utterances
        **({"inside_vocabulary": _error_facts(result.inside)} if result.inside else {}),
    }


def _command(split: Split, model: Path, flags: Sequence[str]) -> str:
    """Return the command that reproduces the evaluation."""
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
    """Round to four digits; None for NaN, which JSON lacks."""
    return None if math.isnan(rate) else round(rate, 4)


def evaluation_text(result: Evaluation, split: Split, model: Path, confusions: int = 10) -> str:
    """Return the same as lines, with the confusions of tones and the most frequent of syllables."""
    lines = [
        (f"{model.name} on {split.corpus} {split.name}: {result.utterances} utterances; "
         f"labels: {result.label_source}"),
        *_left_out_lines(result), *_error_lines(result), *_inside_lines(result),
        "", "tones (rows: reference, columns: hypothesis):", *_tone_table(result),
    ]
    if result.confusions and confusions:
        lines += ["", "most frequent confusions (reference -> hypothesis):"]
        for (reference, hypothesis), count in result.confusions.most_common(confusions):
            lines.append(f"  {reference:>7} -> {hypothesis:7} {count:4} ×")
    return "\n".join(lines)


def _left_out_lines(result: Evaluation) -> list[str]:
    if not result.left_out:
        return []
    return [f"{len(result.left_out)} more are left out: their recordings cannot be read:",
            *(f"  {reason}" for _, reason in sorted(result.left_out.items()))]


def _error_lines(result: Evaluation) -> list[str]:
    return [_count_line("toned syllables", result.toned),
            _count_line("base syllables", result.base), _tone_line(result)]


def _inside_lines(result: Evaluation) -> list[str]:
    if result.inside is None:
        return []
    return [(f"{result.outside_vocabulary} utterances have an out-of-vocabulary syllable; "
             f"the {result.inside.utterances} others:"),
            *_error_lines(result.inside)]


def _count_line(name: str, counts: ErrorCounts) -> str:
    return (f"{name:16} {counts.rate:6.1%} error: {counts.substitutions} substituted, "
            f"{counts.insertions} inserted, {counts.deletions} deleted of "
            f"{counts.reference_length}")


def _tone_line(result: Evaluation) -> str:
    if math.isnan(result.tone_error_rate):
        return f"{'tones':16}      - no base syllable is correct"
    return f"{'tones':16} {result.tone_error_rate:6.1%} wrong if the base syllable is correct"


def _tone_table(result: Evaluation) -> list[str]:
    tones = range(1, 6)  # 5 is the neutral tone
    rows = ["      " + "".join(f"{tone:6}" for tone in tones)]
    for reference in tones:
        counts = "".join(f"{result.tone_confusions[reference, hypothesis]:6}" for hypothesis in tones)
        rows.append(f"  {reference:4}{counts}")
    return rows


def commit() -> str:
    """Return the commit of the running code, with `+changes` if the working tree differs from it.

    Results and pages do not count: the measured code writes them.
    """
    if not (PACKAGE.parent / ".git").exists():  # installed, perhaps inside another repository
        return "unknown"
    try:
        name = _git("describe", "--always", "--abbrev=10")
        return name + ("+changes" if _git("diff", "HEAD", "--name-only", "--", *CODE) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=PACKAGE.parent, capture_output=True, text=True,
                          check=True).stdout.strip()


def hardware(device: str = "cpu") -> str:
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
