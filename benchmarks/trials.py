"""One change at a time: what each does to the error on words, on another speaker, on robots.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/trials.py

Each trial goes on from the model of one voice (models/one-voice.safetensors) for about the same
number of steps, in bfloat16 on one core (seven minutes), and is judged on splits for choosing: no
test split is read. Writes
benchmarks/trials.json after each trial; those that are in it already are not run again.
"""

import json
from dataclasses import replace
from pathlib import Path

import torch

from ramospeech.corpora import open_split
from ramospeech.evaluation import evaluate
from ramospeech.files import write_text
from ramospeech.paths import SHIPPED_MODEL
from ramospeech.report import commit, hardware
from ramospeech.runs import Run
from ramospeech.settings import Settings
from ramospeech.training import Trainer

RESULTS = Path(__file__).with_suffix(".json")
RUNS = Path("runs") / "trials"
START = SHIPPED_MODEL.with_name("one-voice.safetensors")
JUDGES = {"words": ("audio-cmn", "dev"), "second speaker": ("audio-cmn", "syllables-dev"),
          "robots": ("mini", "dev")}
WORDS, BOTH = "audio-cmn", "audio-cmn+espeak"  # 448 and 948 steps an epoch
BASE = Settings(epochs=4, batch_size=16, learning_rate=1e-3, precision="bfloat16")
TRIALS = {
    "as before: speed and masks": (WORDS, {}),
    "disguise": (WORDS, {"disguise": True}),
    "espeak's voices": (BOTH, {"epochs": 2}),
    "disguise, espeak's voices": (BOTH, {"epochs": 2, "disguise": True}),
    "disguise, espeak's voices, mean of the weights": (
        BOTH, {"epochs": 2, "disguise": True, "averaging": 0.998}),
}


def judge_start() -> dict:
    """The model that all trials go on from."""
    trainer = Trainer(open_split(WORDS, "train"), open_split(WORDS, "dev"), BASE)
    trainer.start_from(START)
    return facts_of("nothing: the model of one voice", trainer)


def run_trial(name: str) -> dict:
    corpus, changes = TRIALS[name]
    settings = replace(BASE, **changes)
    trainer = Trainer(open_split(corpus, "train"), open_split(corpus, "dev"), settings)
    trainer.start_from(START)
    Run(trainer, RUNS / name.replace(" ", "-")).fit()
    return facts_of(name, trainer) | {"corpus": corpus, "changes": changes}


def facts_of(name: str, trainer: Trainer) -> dict:
    errors = {judge: evaluate_where_known(trainer, *split) for judge, split in JUDGES.items()}
    return {"name": name, "steps": trainer.step, "commit": commit(), "hardware": hardware(),
            "errors": errors}


def evaluate_where_known(trainer: Trainer, corpus: str, name: str) -> dict:
    """Error rates on the utterances whose syllables are all among the classes."""
    split = open_split(corpus, name)
    known = [u for u in split.utterances if all(s in trainer.inventory for s in u.syllables)]
    split.utterances[:] = known
    result = evaluate(trainer.judged_model, trainer.inventory, split)
    return {"utterances": len(known), "toned": round(result.toned.rate, 4),
            "base": round(result.base.rate, 4), "tones": round(result.tone_error_rate, 4)}


def table(results: list[dict]) -> list[str]:
    lines = ["| trial | steps | " + " | ".join(JUDGES) + " |", "| --- | --- " + "| --- " * 3 + "|"]
    for result in results:
        rates = (f"{result['errors'][judge]['toned']:.1%}" for judge in JUDGES)
        lines.append(f"| {result['name']} | {result['steps']:,} | {' | '.join(rates)} |")
    return lines


def main() -> None:
    results = (json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists()
               else [judge_start()])
    for name in TRIALS:
        if name not in [result["name"] for result in results]:
            results.append(run_trial(name))
            write_text(RESULTS, json.dumps(results, ensure_ascii=False, indent=2) + "\n")
    print("\n".join(table(results)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
