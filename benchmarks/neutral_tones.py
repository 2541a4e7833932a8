"""Choose the penalty of a neutral tone in place of a full one: tuned on dev, evaluated once on test.

    pip install '.[language]'
    python benchmarks/neutral_tones.py --root DIR   # Common Voice zh-CN, with dev.tsv and test.tsv

`Weights.neutral` is a compromise. The lower it is, the more everyday words are found when they are
pronounced with a neutral tone: the 400 most frequent that CC-CEDICT lists are the test words, the next
1,000 the dev words (data_config/build_neutral_tones.py). The higher it is, the fewer neutral tones are
mistaken in sentences with the dictionary's tones (pypinyin). The script chooses the highest penalty at
which the dev words are as good as at any other, within one standard error (Breiman et al., 1984), so
that sentences do not pay for what words do not need. Sentences with Latin letters or digits are
excluded. Writes benchmarks/neutral_tones.json; takes a quarter of an hour on an idle core.
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
from ramospeech.language.word_lattice import Lattice, certain_sets
from ramospeech.language.word_model import Weights, WordModel
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
NEVER = 1000.0
PENALTIES = [2.0, 3.0, 4.0, 5.0, 6.0, 8.0, NEVER]
DEV_WORDS = 1000


def read_sentences(path: Path) -> Sentences:
    """Return the distinct sentences of a Common Voice list: syllables, and as many hanzi."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        texts = sorted({simplify(row["sentence"]) for row in rows})
    pairs = [(hanzi_to_pinyin(text), re.sub(r"[^\u4e00-\u9fff]", "", text)) for text in texts]
    return [(syllables, hanzi) for syllables, hanzi in pairs
            if UNK not in syllables and len(syllables) == len(hanzi)]


def read_words() -> tuple[dict[str, str], dict[str, str]]:
    """Return words by pronunciation: those of dev, and those of test, which are more frequent."""
    sys.path.insert(0, str(DATA_CONFIG))
    from build_neutral_tones import WORDS, most_frequent

    ranked = list(most_frequent(WORDS + DEV_WORDS).items())
    return dict(ranked[WORDS:]), dict(ranked[:WORDS])


def judge(model: WordModel, penalty: float, sentences: Sentences, words: dict[str, str]) -> dict:
    penalised = WordModel(model.words, model.word_pairs, model.hanzi_pairs, Weights(neutral_penalty=penalty))
    right = sum(Lattice.build(certain_sets(pronunciation.split()), penalised).best()[0].hanzi == word
                for pronunciation, word in words.items())
    facts = {"penalty": penalty, "hanzi_wrong": round(error_rate(penalised, sentences), 5),
             "words_wrong": round(1 - right / len(words), 5)}
    print(facts, flush=True)
    return facts


def main(root: Path) -> None:
    started_at, model = commit(), WordModel.load()
    sentences, (words, test_words) = read_sentences(root / "dev.tsv"), read_words()
    dev = [judge(model, penalty, sentences, words) for penalty in PENALTIES]
    penalty = choose(dev, len(words))
    test_sentences = read_sentences(root / "test.tsv")
    test = [judge(model, value, test_sentences, test_words) for value in (penalty, NEVER)]
    facts = {"command": "python benchmarks/neutral_tones.py --root DIR", "commit": started_at,
             "hardware": hardware(), "label_source": "pypinyin 0.55", "penalty": penalty,
             "dev_sentences": len(sentences), "dev_words": len(words), "dev": dev,
             "test_sentences": len(test_sentences), "test_words": len(test_words), "test": test}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(facts)))


def choose(dev: list[dict], count: int) -> float:
    """Return the highest penalty whose error rate is within one standard error of the lowest."""
    least = min(row["words_wrong"] for row in dev)
    most = least + (least * (1 - least) / count) ** 0.5
    return max(row["penalty"] for row in dev if row["words_wrong"] <= most)


def table(facts: dict) -> list[str]:
    """Return the results as a Markdown table."""
    rows = [f"| {name} | {'never' if row['penalty'] == NEVER else format(row['penalty'], 'g')} | "
            f"{row['hanzi_wrong']:.2%} | {1 - row['words_wrong']:.1%} |"
            for name in ("dev", "test") for row in facts[name]]
    return ["| list | penalty | hanzi wrong, full tones | neutral-tone words right |",
            "| --- | --- | --- | --- |", *rows,
            "", f"By `{facts['command']}` at commit {facts['commit']}."]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, metavar="DIR",
                        help="a copy of Common Voice zh-CN, with dev.tsv and test.tsv")
    main(parser.parse_args().root)
