"""Measure whether training waits for data, compared with the same batches in memory.

    python benchmarks/loader.py [CORPUS]

Prints a table and writes benchmarks/loader.json: seconds of audio per second that are trained on
from batches in memory (only forward pass, backward pass and step), and from the recordings (decoded in
an earlier epoch). Both take turns, so that other load on the machine affects both. A ratio of 1 means
that training never waits for data.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from ramospeech.config.settings import Settings
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import Batch
from ramospeech.evaluation.report import commit, hardware
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
STEPS = {"lesson": 20, "full": 4}
WORKERS = (0, 1, 2)
ROUNDS = 3


def main(corpus: str) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    command = f"python benchmarks/loader.py {corpus}"
    rows: list[dict] = []
    facts = {"command": command, "commit": commit(), "hardware": hardware(device),
             "cores": os.cpu_count(), "load_before": os.getloadavg()[0], "rows": rows}
    print(*heading(facts), sep="\n", flush=True)
    for preset in STEPS:
        for workers in WORKERS:
            rows.append(measure(open_split(corpus, "train"), preset, workers, device))
            print(row(rows[-1]), flush=True)
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")


def measure(split: Split, preset: str, workers: int, device: str) -> dict:
    settings = Settings(preset=preset)
    few = replace(split, utterances=split.utterances[:STEPS[preset] * settings.batch_size])
    with closing(Trainer(few, few, settings, device, workers)) as trainer:
        trainer.model.train()
        held = list(trainer.data.loader)
        train_on(trainer, held)  # warm-up for each shape
        rounds = [(train_on(trainer, held), train_on(trainer, trainer.data.loader))
                  for _ in tqdm(range(ROUNDS), desc=f"{preset}, {workers} workers", leave=False)]
    memory, loader = (statistics.median(times) for times in zip(*rounds))
    audio = sum(int(batch.feature_lengths.sum()) for batch in held) / 100  # seconds
    return {"preset": preset, "workers": workers, "from_memory": round(audio / memory, 1),
            "from_loader": round(audio / loader, 1),
            "ratio": round(statistics.median(bare / fed for bare, fed in rounds), 3)}


def train_on(trainer: Trainer, batches: Iterable[Batch]) -> float:
    """Return the time in seconds."""
    started = time.perf_counter()
    for batch in batches:
        trainer.train_batch(batch)
    return time.perf_counter() - started


def heading(facts: dict) -> list[str]:
    """Return the head of the table; speeds are seconds of audio per second."""
    return [(f"{facts['command']} at commit {facts['commit']}, {facts['hardware']} of "
             f"{facts['cores']} cores, load before it {facts['load_before']:.1f}"), "",
            "| preset | workers | from memory | from recordings | ratio |",
            "| --- | --- | --- | --- | --- |"]


def row(facts: dict) -> str:
    return (f"| {facts['preset']} | {facts['workers']} | {facts['from_memory']} s/s | "
            f"{facts['from_loader']} s/s | {facts['ratio']:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["mini"])
