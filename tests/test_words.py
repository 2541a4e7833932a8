"""Words that were replaced may not come back; docs/style.md has the glossary."""

import json
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
REPLACED = {  # a pattern, in any case, and what to write instead
    r"inventor(y|ies)": "vocabulary",
    r"flat[ _-]?start(s|ed|ing)?\b": "uniform segmentation",
    r"disguis(e|es|ed|ing)\b": "voice augmentation",
    r"aggregations?\b(?! cross-entropy)": "ACE (aggregation cross-entropy)",
    r"breakdowns?\b": "error analysis",
    r"\bstopping\.py|import stopping": "signal handling",
    r"sharpness|sharper frames": "entropy weight",
    r"(?<!hello, )\bworlds?\b": "process group",
    r"\bstrides?\b(?!=)": "frame subsampling",
    r"high(est)? (rate of learning|learning rate)": "peak learning rate",
    r"\bmean of the weights": "exponential moving average (EMA) of the weights",
    r"page of errors|error page": "HTML report",
    r"(samples|frames|times|lines|steps|recordings|utterances|bytes|audio|often) a second\b": "per second",
}


def sources() -> dict[str, str]:
    """Name and text of the code, the notebooks' cells and the documentation."""
    patterns = ("ramospeech/**/*.py", "ramospeech/**/*.html", "tools/*.py", "docs/*.py", "docs/*.md",
                "benchmarks/*.py", "data_config/*.py", "README.md", "NOTICE", "Makefile")
    paths = [path for pattern in patterns for path in sorted(REPOSITORY.glob(pattern))]
    texts = {str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8") for path in paths}
    for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts[f"notebooks/{path.name}"] = "\n".join("".join(cell["source"]) for cell in cells)
    return texts


@pytest.mark.parametrize("pattern", REPLACED)
def test_a_replaced_word_is_gone(pattern):
    found = [f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}, write {REPLACED[pattern]}"
             for name, text in sources().items() for match in re.finditer(pattern, text, re.I)]
    assert not found, "\n".join(["", *found])
