"""Evaluate the shipped model on voices and words that it was not trained on.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/evaluate_shipped.py

Writes models/audio-cmn-results.json, which notebook 3 shows, and prints the table of the README.
The model was chosen on dev; the other lists are evaluated only once.
"""

import json

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.data.corpora import open_split
from ramospeech.evaluation.evaluate import evaluate
from ramospeech.evaluation.report import evaluation_facts
from ramospeech.models.checkpoints import load_model
from ramospeech.utils.files import write_text

RESULTS = SHIPPED_MODEL.with_name("audio-cmn-results.json")
LISTS = {
    ("audio-cmn", "dev"): "held-out words, dev",
    ("audio-cmn", "test"): "held-out words, test",
    ("audio-cmn", "syllables"): "another speaker's syllables",
    ("mini", "test"): "phrases by unheard synthetic voices",
}


def main() -> None:
    model, vocabulary, _ = load_model()
    results = []
    for corpus, name in LISTS:
        split = open_split(corpus, name)
        results.append(evaluation_facts(evaluate(model, vocabulary, split), split, SHIPPED_MODEL))
    write_text(RESULTS, json.dumps(results, ensure_ascii=False, indent=2) + "\n")
    print("\n".join(table(results)))


def table(results: list[dict]) -> list[str]:
    """Return the table in the README."""
    lines = ["| test data | utterances | toned syllables | base syllables | tones |",
             "| --- | --- | --- | --- | --- |"]
    for facts in results:
        lines.append(_row(LISTS[facts["corpus"], facts["split"]], facts))
        if "inside_vocabulary" in facts:
            lines.append(_row("those inside the vocabulary", facts["inside_vocabulary"]))
    return lines


def _row(name: str, facts: dict) -> str:
    rates = (facts["toned_syllables"]["error_rate"], facts["base_syllables"]["error_rate"],
             facts["tone_error_rate"])
    return " | ".join([f"| {name}", str(facts["utterances"]), *map("{:.1%}".format, rates)]) + " |"


if __name__ == "__main__":
    main()
