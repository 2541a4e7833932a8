"""What a neutral tone for a full one should cost: prices tried on dev, test read once.

    pip install '.[language]'
    python benchmarks/neutral_tones.py --root DIR   # Common Voice zh-CN, with dev.tsv and test.tsv

Two things pull at `Weights.neutral`. The lower it is, the more everyday words are found when they are
said with a neutral tone; dev are those that CC-CEDICT lists behind the 400 most frequent, which are
test (data_config/build_neutral_tones.py). The higher, the fewer neutral tones are taken for something
else in sentences with the tones of the dictionary (pypinyin). Chosen is the highest price at which the
words of dev are as good as at any other, within one standard error of their number (Breiman et al.,
1984): what words do not need, sentences are spared. Sentences with Latin letters or digits are left out.
Writes benchmarks/neutral_tones.json; takes a quarter of an hour on an idle core.
"""

import argparse
import csv
import json
import re
import sys
from pathlib import Path

from pinyin_to_hanzi import Sentences, error_rate
from ramospeech.config.paths import DATA_CONFIG
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.simplified import simplify
from ramospeech.language.vocabulary import UNK
from ramospeech.language.word_lattice import Lattice, given
from ramospeech.language.word_model import Weights, WordModel
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
NEVER = 1000.0
PRICES = [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, NEVER]
DEV_WORDS = 1000


def read_sentences(path: Path) -> Sentences:
    """The different sentences of a list of Common Voice, their hanzi and one syllable for each."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = sorted({simplify(row["sentence"]) for row in rows})
    pairs = [(hanzi_to_pinyin(text), re.sub(r"[^\u4e00-\u9fff]", "", text)) for text in texts]
    return [(syllables, hanzi) for syllables, hanzi in pairs
            if UNK not in syllables and len(syllables) == len(hanzi)]


def read_words() -> tuple[dict[str, str], dict[str, str]]:
    """Readings and their words: those of dev, and those of test, which are more frequent."""
    sys.path.insert(0, str(DATA_CONFIG))
    from build_neutral_tones import WORDS, most_frequent

    ranked = list(most_frequent(WORDS + DEV_WORDS).items())
    return dict(ranked[WORDS:]), dict(ranked[:WORDS])


def judge(model: WordModel, price: float, sentences: Sentences, words: dict[str, str]) -> dict:
    priced = WordModel(model.words, model.word_pairs, model.hanzi_pairs, Weights(neutral=price))
    right = sum(Lattice.build(given(reading.split()), priced).best()[0].hanzi == word
                for reading, word in words.items())
    facts = {"price": price, "hanzi_wrong": round(error_rate(priced, sentences), 5),
             "words_wrong": round(1 - right / len(words), 5)}
    print(facts, flush=True)
    return facts


def main(root: Path) -> None:
    started_at, model = commit(), WordModel.load()
    sentences, (words, test_words) = read_sentences(root / "dev.tsv"), read_words()
    dev = [judge(model, price, sentences, words) for price in PRICES]
    price = choose(dev, len(words))
    test_sentences = read_sentences(root / "test.tsv")
    test = [judge(model, value, test_sentences, test_words) for value in (price, NEVER)]
    facts = {"command": "python benchmarks/neutral_tones.py --root DIR", "commit": started_at,
             "hardware": hardware(), "label_source": "pypinyin 0.55", "price": price,
             "dev_sentences": len(sentences), "dev_words": len(words), "dev": dev,
             "test_sentences": len(test_sentences), "test_words": len(test_words), "test": test}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(facts)))


def choose(dev: list[dict], count: int) -> float:
    """The highest price whose share of wrong words is within a standard error of the lowest share."""
    least = min(row["words_wrong"] for row in dev)
    most = least + (least * (1 - least) / count) ** 0.5
    return max(row["price"] for row in dev if row["words_wrong"] <= most)


def table(facts: dict) -> list[str]:
    """Return the table in the README."""
    rows = [f"| {name} | {'never' if row['price'] == NEVER else format(row['price'], 'g')} | "
            f"{row['hanzi_wrong']:.2%} | {1 - row['words_wrong']:.1%} |"
            for name in ("dev", "test") for row in facts[name]]
    return ["| list | price | hanzi wrong, full tones | neutral-tone words right |",
            "| --- | --- | --- | --- |", *rows,
            "", f"By `{facts['command']}` at commit {facts['commit']}."]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, metavar="DIR",
                        help="a copy of Common Voice zh-CN, with dev.tsv and test.tsv")
    main(parser.parse_args().root)
