"""Compare CTC and ACE on speech: error rates on unseen voices, and the cost of the losses.

    python benchmarks/losses.py

Trains the lesson preset without its LSTM on `mini`, with an output frame every 160 ms, for the same
number of steps with each loss, from three seeds; with several weights of ACE added to CTC; and, with a
frame every 80 ms, CTC, and ACE as in its paper. After every epoch it records the CPU seconds of the
training so far, on one thread, and the error rate on dev; after the last epoch also that on test. The
voices of both are in no other list. All choices were made on dev.

Writes benchmarks/losses.json after each run; runs that are already in it are not repeated. Then runs
benchmarks/loss_cost.py, which measures the losses alone.
"""

import json
import time
from collections import Counter
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from statistics import mean

import loss_cost
import torch

from ramospeech.config.settings import Settings
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import SpeechDataset
from ramospeech.evaluation.error_rates import ErrorCounts
from ramospeech.evaluation.evaluate import recognise_split
from ramospeech.evaluation.report import commit, hardware
from ramospeech.recognition.recogniser import OUTPUT_SECONDS
from ramospeech.recognition.results import Transcript
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
SEEDS = (1, 2, 3)
EXAMPLE = 0  # which utterance of test has its posteriors kept
BASE = Settings(recurrent=False, subsampling=2, epochs=6, batch_size=4, learning_rate=4e-3)
CHOSEN = {"uniform_segmentation": 0.3, "entropy_weight": 0.5}
CHANGES: dict[str, dict[str, Any]] = {
    "CTC": {"loss": "ctc"},
    "ACE": {"loss": "ace"} | CHOSEN,
    "CTC + 0.01 ACE": {"loss": "ctc+ace", "ace_weight": 0.01},
    "CTC + 0.1 ACE": {"loss": "ctc+ace", "ace_weight": 0.1},
    "CTC + 1 ACE": {"loss": "ctc+ace", "ace_weight": 1.0},
    "CTC + 10 ACE": {"loss": "ctc+ace", "ace_weight": 10.0},
    "CTC, all frames": {"loss": "ctc", "subsampling": 1},
    "ACE as printed, all frames": {"loss": "ace", "subsampling": 1},
    "ACE as printed, all frames, LSTM": {"loss": "ace", "subsampling": 1, "recurrent": True},
}
COMPARED = ("CTC", "ACE", "CTC + 0.1 ACE")  # from every seed, the others from the first


def plan() -> list[tuple[str, int, Settings]]:
    """Name, seed and settings of every run."""
    pairs = [(name, SEEDS[0]) for name in CHANGES]
    pairs += [(name, seed) for name in COMPARED for seed in SEEDS[1:]]
    return [(name, seed, replace(BASE, seed=seed, **CHANGES[name])) for name, seed in pairs]


def run(name: str, seed: int, settings: Settings) -> dict:
    trainer = Trainer(open_split("mini", "train"), open_split("mini", "dev"), settings)
    epochs, seconds = [], 0.0
    while trainer.epoch < settings.epochs:
        started = time.process_time()
        trainer.train_epoch()
        seconds += time.process_time() - started
        epochs.append({"steps": trainer.step, "seconds": round(seconds, 1),
                       "dev": round(trainer.evaluate().toned.rate, 4)})
        print(f"{name}, seed {seed}: {epochs[-1]}", flush=True)
    return {"name": name, "seed": seed, "settings": asdict(settings), "commit": commit(),
            "hardware": hardware(), "epochs": epochs, "test": errors_on_test(trainer),
            "posteriors": posteriors(trainer)}


def errors_on_test(trainer: Trainer) -> dict[str, float | int]:
    """Of the syllables: the rate; the kinds; the rate if order, or doubled frames, did not count."""
    test = open_split("mini", "test")
    hypotheses = {index: result.best for index, result in
                recognise_split(trainer.evaluated_model, trainer.vocabulary, test)}
    toned = count_errors(test, hypotheses)
    single = {index: without_doubles(hypothesis, trainer.settings.subsampling)
              for index, hypothesis in hypotheses.items()}
    return {"rate": round(toned.rate, 4), "syllables": toned.reference_length,
            "substitutions": toned.substitutions, "insertions": toned.insertions,
            "deletions": toned.deletions,
            "in any order": round(error_in_any_order(test, hypotheses), 4),
            "doubles merged": round(count_errors(test, single).rate, 4)}


def count_errors(split: Split, hypotheses: dict[int, Transcript]) -> ErrorCounts:
    counts = ErrorCounts()
    for index, hypothesis in hypotheses.items():
        counts.add(split.utterances[index].syllables, hypothesis.syllables)
    return counts


def without_doubles(hypothesis: Transcript, subsampling: int = 1) -> Transcript:
    """Merge equal syllables in neighbouring frames, as CTC's decoder does and ACE's must not."""
    pairs = list(zip(hypothesis.syllables, hypothesis.seconds))
    kept = pairs[:1] + [(syllable, time) for (before, last), (syllable, time) in pairwise(pairs)
                        if syllable != before or time - last > 1.5 * subsampling * OUTPUT_SECONDS]
    return Transcript(tuple(syllable for syllable, _ in kept), tuple(time for _, time in kept))


def error_in_any_order(split: Split, hypotheses: dict[int, Transcript]) -> float:
    """Error rate regardless of order; a substitution is one error."""
    errors = total = 0
    for index, hypothesis in hypotheses.items():
        found, reference = Counter(hypothesis.syllables), Counter(split.utterances[index].syllables)
        errors += max((found - reference).total(), (reference - found).total())
        total += reference.total()
    return errors / total


@torch.inference_mode()
def posteriors(trainer: Trainer) -> dict:
    """The posteriors of the blank and of the reference syllables, frame by frame, in one utterance."""
    test = open_split("mini", "test")
    example = SpeechDataset(test, trainer.vocabulary)[0, EXAMPLE]
    classes = [0, *dict.fromkeys(example.target.tolist())]
    y = trainer.evaluated_model.eval()(example.features[None])[0].softmax(dim=-1)  # (T, classes)
    return {"reference": test.utterances[EXAMPLE].pinyin,
            "classes": [trainer.vocabulary.symbols[label] for label in classes],
            "softmax": [[round(value, 3) for value in row] for row in y[:, classes].tolist()]}


def table(runs: list[dict]) -> list[str]:
    """The errors after the last step, as the README shows them: their mean, and each seed's."""
    lines = ["| loss | error on dev | error on test | CPU seconds |", "| --- | --- | --- | --- |"]
    for name in dict.fromkeys(run["name"] for run in runs):
        own = [run for run in runs if run["name"] == name]
        rates = ([run["epochs"][-1]["dev"] for run in own], [run["test"]["rate"] for run in own])
        seconds = mean(run["epochs"][-1]["seconds"] for run in own)
        lines.append(f"| {name} | {' | '.join(map(_rates, rates))} | {seconds:.0f} |")
    return lines


def _rates(rates: list[float]) -> str:
    each = ", ".join(f"{100 * rate:.1f}" for rate in rates)
    return f"{mean(rates):.1%}" + (f" ({each})" if len(rates) > 1 else "")


def load() -> list[dict]:
    return json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else []


def main() -> None:
    runs = load()
    for name, seed, settings in plan():
        if (name, seed) not in [(item["name"], item["seed"]) for item in runs]:
            runs.append(run(name, seed, settings))
            write_text(OUTPUT, json.dumps(runs, ensure_ascii=False, indent=1) + "\n")
    print("\n".join(table(runs)))
    loss_cost.main()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
