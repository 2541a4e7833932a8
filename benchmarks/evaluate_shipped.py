"""Judge the shipped model on real speech, and write down what came out.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/evaluate_shipped.py

Writes models/audio-cmn-results.json, which notebook 3 shows, and prints the table of the README.
Dev has chosen the model; test and the second speaker's syllables are for reading once.
"""

import json

from ramospeech.checkpoints import load_model
from ramospeech.corpora import open_split
from ramospeech.evaluation import evaluate
from ramospeech.files import write_text
from ramospeech.paths import SHIPPED_MODEL
from ramospeech.report import evaluation_facts

RESULTS = SHIPPED_MODEL.with_name("audio-cmn-results.json")
SPLITS = {"dev": "words, dev", "test": "words, test", "syllables": "another speaker's syllables"}


def main() -> None:
    model, inventory, _ = load_model()
    results = []
    for name in SPLITS:
        split = open_split("audio-cmn", name)
        results.append(evaluation_facts(evaluate(model, inventory, split), split, SHIPPED_MODEL))
    write_text(RESULTS, json.dumps(results, ensure_ascii=False, indent=2) + "\n")
    print("\n".join(table(results)))


def table(results: list[dict]) -> list[str]:
    """The results as the README shows them."""
    lines = ["| audio-cmn | utterances | toned syllables | base syllables | tones |",
             "| --- | --- | --- | --- | --- |"]
    for facts in results:
        lines.append(_row(SPLITS[facts["split"]], facts))
        if "inside_inventory" in facts:
            lines.append(_row("those inside the inventory", facts["inside_inventory"]))
    return lines


def _row(name: str, facts: dict) -> str:
    rates = (facts["toned_syllables"]["error_rate"], facts["base_syllables"]["error_rate"],
             facts["tone_error_rate"])
    return " | ".join([f"| {name}", str(facts["utterances"]), *map("{:.1%}".format, rates)]) + " |"


if __name__ == "__main__":
    main()
