"""Compare training steps with glibc's default memory management and with GLIBC_TUNABLES.

    python benchmarks/allocator.py

By default glibc returns large tensors to the system after every use, and allocates them again page by
page. The tunables (glibc 2.35 and later, so Linux only) keep allocated memory, in large pages. They
must be set when Python starts, so each variant runs in its own processes, which take turns.
Prints a table and writes benchmarks/allocator.json.
"""

import json
import os
import statistics
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from loader import STEPS, train_on
from ramospeech.config.settings import Settings
from ramospeech.data.corpora import open_split
from ramospeech.evaluation.report import commit, hardware
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
KEPT = 2**34  # bytes: more than any tensor
TUNABLES = ("glibc.malloc.hugetlb=1"
            f":glibc.malloc.mmap_threshold={KEPT}:glibc.malloc.trim_threshold={KEPT}")
ROUNDS = 5


def main() -> None:
    rows = []
    for preset in STEPS:
        rounds = [(in_process(preset, ""), in_process(preset, TUNABLES)) for _ in range(ROUNDS)]
        plain, kept = (statistics.median(times) for times in zip(*rounds))
        ratio = statistics.median(first / second for first, second in rounds)
        rows.append({"preset": preset, "plain": round(plain, 2), "tunables": round(kept, 2),
                     "ratio": round(ratio, 2)})
    facts = {"command": "python benchmarks/allocator.py", "commit": commit(),
             "hardware": hardware(), "tunables": TUNABLES, "rows": rows}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(facts)))


def in_process(preset: str, tunables: str) -> float:
    command = [sys.executable, __file__, preset]
    done = subprocess.run(command, env=os.environ | {"GLIBC_TUNABLES": tunables},
                          stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def measure(preset: str) -> float:
    """Return the seconds per step, on batches of `mini` in memory."""
    split, settings = open_split("mini", "train"), Settings(preset=preset)
    few = replace(split, utterances=split.utterances[:STEPS[preset] * settings.batch_size])
    with closing(Trainer(few, few, settings, "cpu", workers=0)) as trainer:
        trainer.model.train()
        held = list(trainer.data.loader)
        train_on(trainer, held)  # warm-up for each shape
        return train_on(trainer, held) / len(held)


def table(facts: dict) -> list[str]:
    rows = [f"| {row['preset']} | {row['plain']} s | {row['tunables']} s | {row['ratio']:.2f} |"
            for row in facts["rows"]]
    return ["| preset | a step | with the tunables | ratio |", "| --- | --- | --- | --- |", *rows,
            "", f"By `{facts['command']}` at commit {facts['commit']}"]


if __name__ == "__main__":
    if sys.argv[1:]:
        print(measure(sys.argv[1]))
    else:
        main()
