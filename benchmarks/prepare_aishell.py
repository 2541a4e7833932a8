"""How long preparing `aishell` takes on a tree as large as AISHELL, compared with disk access alone.

    python benchmarks/prepare_aishell.py [FOLDER]

In FOLDER (default: the folder for temporary files) it makes 141,925 empty recordings and a
transcript of frequent words, prepares them, and deletes everything. Disk access alone: listing the
folders, reading the transcript, and writing the manifests' bytes.
"""

import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jieba

from ramospeech.data.corpora import prepare
from ramospeech.data.recipes.aishell import TRANSCRIPT
from ramospeech.evaluation.report import commit, hardware
from ramospeech.utils.files import write_text

RECORDINGS = {"train": 120_423, "dev": 14_326, "test": 7_176}  # 325 of train have no transcript
TRANSCRIPTS = 141_600


def main(parent: str | None = None) -> None:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        os.environ["RAMOSPEECH_DATA"] = str(Path(folder) / "data")
        root = Path(folder) / "data_aishell"
        make_tree(root)
        os.sync()
        whole = seconds(lambda: print(prepare("aishell", root).summary()))
        bare = seconds(lambda: only_the_disk(root, Path(folder) / "data" / "aishell"))
    per_second = sum(RECORDINGS.values()) / whole
    print(f"prepare          {whole:6.2f} s, {per_second:,.0f} recordings per second")
    print(f"disk access alone {bare:6.2f} s, {whole / bare:.1f} times as fast")
    print(f"commit {commit()}, {hardware()}")


def make_tree(root: Path) -> None:
    """350 recordings per speaker, in AISHELL's layout."""
    names = []
    for split, count in RECORDINGS.items():
        for number in range(count):
            speaker = f"S{number // 350:03}{len(split)}"
            if number % 350 == 0:
                (root / "wav" / split / speaker).mkdir(parents=True)
            names.append(f"BAC009{speaker}W{number:06}")
            os.close(os.open(root / "wav" / split / speaker / f"{names[-1]}.wav", os.O_CREAT))
    texts = sentences(TRANSCRIPTS)
    lines = [f"{name} {text}\n" for name, text in zip(reversed(names), texts)]
    write_text(root / TRANSCRIPT, "".join(lines))


def sentences(count: int) -> list[str]:
    """Random words of jieba's dictionary, by frequency; about fourteen hanzi per sentence."""
    path = Path(jieba.__file__).with_name("dict.txt")
    entries = [line.split(" ") for line in path.read_text(encoding="utf-8").splitlines()]
    words = {word: int(frequency) for word, frequency, _ in entries if min(word) >= "一"}
    weights, draw = list(itertools.accumulate(words.values())), random.Random(0)
    drawn = list(words)
    return [" ".join(draw.choices(drawn, cum_weights=weights, k=8)) for _ in range(count)]


def only_the_disk(root: Path, manifests: Path) -> None:
    for folder, _, _ in os.walk(root):
        os.listdir(folder)
    (root / TRANSCRIPT).read_bytes()
    for path in manifests.glob("*.txt"):
        path.with_suffix(".copy").write_bytes(path.read_bytes())


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
