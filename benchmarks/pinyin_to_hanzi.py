"""Measure how many hanzi are wrong if the pinyin is correct.

    python benchmarks/pinyin_to_hanzi.py aishell thchs   # the test lists of prepared corpora
    python benchmarks/pinyin_to_hanzi.py TEXT            # a text file of hanzi, one sentence per line
    python benchmarks/pinyin_to_hanzi.py --tune          # weights on held-out sentences (slow)

Each sentence counts once. Excluded are the sentences in `pinyin_to_hanzi_seen.txt`, which were seen
while the method was chosen, and those with Latin letters. The pinyin is pypinyin's, or the corpus's
own. For comparison, the words are also evaluated alone, without bigrams. Writes
benchmarks/pinyin_to_hanzi.json, with the CPU seconds (on one thread) that loading and a sentence take,
and the memory of the tables.
"""

import argparse
import json
import resource
import sys
import time
from itertools import product
from pathlib import Path

from ramospeech.config.paths import DATA_CONFIG
from ramospeech.data.corpora import CORPORA, open_split
from ramospeech.evaluation.error_rates import ErrorCounts
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.simplified import simplify
from ramospeech.language.vocabulary import UNK
from ramospeech.language.word_lattice import Lattice, certain_sets
from ramospeech.language.word_model import Weights, WordModel
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
SEEN = Path(__file__).with_name("pinyin_to_hanzi_seen.txt")  # names of recordings
Sentences = list[tuple[list[str], str]]  # syllables and hanzi
HELD_OUT = 500


def read_sentences(name: str) -> tuple[Sentences, str]:
    """Return the unseen sentences of a corpus's test list, or the lines of a file, that have one syllable
    per hanzi; and the source of the syllables."""
    if name in CORPORA:
        test = open_split(name, "test")
        names, label_source = set(SEEN.read_text(encoding="utf-8").split()), test.label_source
        seen = {item.hanzi for item in test.utterances if Path(item.path).stem in names}
        pairs = [(item.syllables, item.hanzi) for item in test.utterances if item.hanzi not in seen]
    else:
        lines, label_source = Path(name).read_text(encoding="utf-8").split(), "pypinyin 0.55"
        pairs = [(hanzi_to_pinyin(line), line) for line in lines]
    distinct = {simplify(hanzi): syllables for syllables, hanzi in pairs}
    sentences = [(syllables, hanzi) for hanzi, syllables in distinct.items()
                 if UNK not in syllables and len(syllables) == len(hanzi)]
    return sentences, label_source


def error_rate(model: WordModel, sentences: Sentences) -> float:
    counts = ErrorCounts()
    for syllables, hanzi in sentences:
        counts.add(hanzi, Lattice.build(certain_sets(syllables), model).best()[0].hanzi)
    return counts.rate


def alone(model: WordModel) -> WordModel:
    """Return a model with the same words, but without bigrams."""
    return WordModel(model.words, {}, {})


def judge(name: str, model: WordModel) -> dict:
    sentences, label_source = read_sentences(name)
    started = time.process_time()
    rate = error_rate(model, sentences)
    seconds = time.process_time() - started
    facts = {"text": Path(name).stem, "label_source": label_source,
             "sentences": len(sentences), "hanzi": sum(len(hanzi) for _, hanzi in sentences),
             "error_rate": round(rate, 4),
             "words_alone": round(error_rate(alone(model), sentences), 4),
             "milliseconds_a_sentence": round(1000 * seconds / len(sentences), 1)}
    print(f"{facts['text']:12} {len(sentences):5} sentences: {rate:.2%} of hanzi wrong; "
          f"words alone {facts['words_alone']:.2%}; {facts['milliseconds_a_sentence']} ms each")
    return facts


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux


def load() -> tuple[WordModel, dict]:
    before, started = megabytes(), time.process_time()
    model = WordModel.load()
    Lattice.build(certain_sets(["ni3", "hao3"]), model)
    return model, {"seconds_to_load": round(time.process_time() - started, 2),
                   "megabytes": round(megabytes() - before)}


def tune(model: WordModel) -> None:
    """Print the error rate on held-out sentences for several weights."""
    sys.path.insert(0, str(DATA_CONFIG))
    from build_language import held_out_sentences

    texts = [text for text in held_out_sentences() if 5 < len(text) < 30]
    step = len(texts) // HELD_OUT
    sentences = [(hanzi_to_pinyin(text), text) for text in texts[::step]]
    for unseen, hanzi in product((6.0, 12.0, 25.0, 50.0), (0.0, 0.4, 0.6, 0.8)):
        tried = WordModel(model.words, model.word_pairs, model.hanzi_pairs, Weights(unseen, hanzi))
        print(f"unseen {unseen:4} hanzi {hanzi:4}: {error_rate(tried, sentences):.2%}", flush=True)


def main(names: list[str]) -> None:
    model, cost = load()
    facts = {"command": "python benchmarks/pinyin_to_hanzi.py " + " ".join(sys.argv[1:]),
             "commit": commit(), "hardware": hardware(), **cost,
             "texts": [judge(name, model) for name in names]}
    write_text(OUTPUT, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


def table(facts: dict) -> list[str]:
    """Return the table in the README."""
    rows = [f"| {text['text']} | {text['label_source']} | {text['sentences']:,} | "
            f"{text['error_rate']:.1%} | {text['words_alone']:.1%} |" for text in facts["texts"]]
    return ["| test list | pinyin from | sentences | hanzi wrong | without word bigrams |",
            "| --- | --- | --- | --- | --- |", *rows,
            "", f"By `{facts['command']}` at commit {facts['commit']}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="CORPUS|TEXT", help="what to read")
    parser.add_argument("--tune", action="store_true", help="try weights on held-out sentences")
    chosen = parser.parse_args()
    if chosen.tune:
        tune(WordModel.load())
    else:
        main(chosen.names or parser.error("name a corpus or a text"))
