"""Change one thing at a time, and measure the error rate on words, another speaker and synthetic voices.

    ramospeech prepare audio-cmn --root DIR
    ramospeech prepare spliced
    ramospeech download ttskit
    python benchmarks/trials.py

Each trial continues from the model of one voice (models/one-voice.safetensors) for about 1,350 steps
of 16 utterances, in bfloat16 on one core (six minutes), and is evaluated on splits for choosing, never
on a test split. One trial is trained on recordings of the second speaker: the split `syllables`, on
which the shipped model is evaluated, so the shipped model is never trained on it.

Writes benchmarks/trials.json after each trial; trials that are already in it are not repeated.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.config.settings import Settings
from ramospeech.data.corpora import join_splits, open_split
from ramospeech.data.corpus import Split
from ramospeech.evaluation.evaluate import evaluate
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.training.runs import Run
from ramospeech.training.state import start_from
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import write_text

RESULTS = Path(__file__).with_suffix(".json")
RUNS = Path("runs") / "trials"
START = SHIPPED_MODEL.with_name("one-voice.safetensors")
TEST_DATA = {"words": ("audio-cmn", "dev"), "second speaker": ("audio-cmn", "syllables-dev"),
          "synthetic voices": ("mini", "dev")}
WORDS, SPLICED, SYNTHETIC = "audio-cmn train", "spliced train", "espeak train"
VOICES = "ttskit train"
SECOND = "audio-cmn syllables"
SOME_SYNTHETIC = 4000  # of espeak's 8,000 utterances: as many steps as in the other trials
BASE = Settings(epochs=3, batch_size=16, learning_rate=1e-3, precision="bfloat16")
HALF = {"epochs": 2, "voice_augmentation": 0.5}
TRIALS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "speed and masks": ([WORDS], {}),
    "voice augmentation (all)": ([WORDS], {"voice_augmentation": 1.0}),
    "spliced syllables": ([WORDS, SPLICED], {"epochs": 2}),
    "spliced syllables, voice augmentation (half)": ([WORDS, SPLICED], HALF),
    "synthetic voices, voice augmentation (half)": ([WORDS, SYNTHETIC], HALF),
    "ttskit's voices, voice augmentation (half)": ([WORDS, VOICES], HALF),
    "the second speaker": ([WORDS, SECOND], {}),
    "EMA of the weights": ([WORDS], {"ema_decay": 0.995}),
    "no gradient sharing": ([WORDS], {"gradient_sharing": 0.0}),
}


def training_data(names: list[str]) -> Split:
    splits = {name: known_part(*name.split()) for name in names}
    if SYNTHETIC in splits:
        synthetic = splits[SYNTHETIC]
        splits[SYNTHETIC] = replace(synthetic, utterances=synthetic.utterances[:SOME_SYNTHETIC])
    if VOICES in splits:
        voices = splits[VOICES]
        splits[VOICES] = replace(voices, utterances=voices.utterances[::3])  # the same number
    return join_splits("+".join(names), list(splits.values()))


def known_part(corpus: str, name: str) -> Split:
    """Return a split without utterances that contain out-of-vocabulary syllables."""
    split, vocabulary = open_split(corpus, name), Vocabulary.read()
    return replace(split, utterances=[
        utterance for utterance in split.utterances
        if all(syllable in vocabulary for syllable in utterance.syllables)])


def judge_start() -> dict:
    """Evaluate the model that all trials start from."""
    trainer = Trainer(training_data([WORDS]), open_split("audio-cmn", "dev"), BASE)
    start_from(trainer, START)
    return facts_of("nothing: the model of one voice", trainer)


def run_trial(name: str) -> dict:
    splits, changes = TRIALS[name]
    settings = replace(BASE, **changes)
    trainer = Trainer(training_data(splits), open_split("audio-cmn", "dev"), settings)
    start_from(trainer, START)
    Run(trainer, RUNS / name.replace(" ", "-")).fit()
    return facts_of(name, trainer) | {"trained_on": splits, "changes": changes}


def facts_of(trial: str, trainer: Trainer) -> dict:
    errors = {name: judge(trainer, known_part(*split)) for name, split in TEST_DATA.items()}
    return {"name": trial, "steps": trainer.step, "commit": commit(), "hardware": hardware(),
            "errors": errors}


def judge(trainer: Trainer, split: Split) -> dict:
    result = evaluate(trainer.evaluated_model, trainer.vocabulary, split)
    return {"utterances": len(split), "toned": round(result.toned.rate, 4),
            "base": round(result.base.rate, 4), "tones": round(result.tone_error_rate, 4)}


def table(results: list[dict]) -> list[str]:
    lines = ["| trial | steps | " + " | ".join(TEST_DATA) + " |", "| --- | --- " + "| --- " * 3 + "|"]
    for result in results:
        rates = (f"{result['errors'][name]['toned']:.1%}" for name in TEST_DATA)
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
