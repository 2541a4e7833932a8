"""How fast a manifest as long as AISHELL's is read, compared with only splitting its lines.

    python benchmarks/read_manifest.py
"""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ramospeech.data.manifest import Utterance, read_manifest, write_manifest
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.vocabulary import Vocabulary

LINES, SYLLABLES, RUNS = 120_098, 14, 5  # as AISHELL's training list


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        write_manifest(path, utterances())
        whole, plain = best(lambda: read_manifest(path)), best(lambda: split_lines(path))
    print(f"read_manifest   {whole:5.2f} s, {LINES / whole:9,.0f} lines per second")
    print(f"plain splitting {plain:5.2f} s; read_manifest takes {whole / plain:.1f} times as long")
    print(f"{LINES:,} lines, the best of {RUNS} runs; commit {commit()}, {hardware()}")


def utterances() -> list[Utterance]:
    """Paths like AISHELL's, and random syllables of the vocabulary."""
    draw = random.Random(0)
    symbols = Vocabulary.read().symbols[2:]
    return [
        Utterance(f"wav/train/S{number // 350:04}/BAC009S{number // 350:04}W{number:06}.wav",
                  " ".join(draw.choices(symbols, k=SYLLABLES)), "字" * SYLLABLES)
        for number in range(LINES)
    ]


def split_lines(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]


def best(run: Callable[[], object]) -> float:
    """The least CPU time of several runs, in seconds."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
