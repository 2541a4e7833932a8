"""Let KenLM read language models that we wrote, and write down what it makes of sentences.

    pip install kenlm==0.3.0        # builds with a C++ compiler
    python tests/data/build_kenlm_scores.py

Writes kenlm_2.arpa, kenlm_3.arpa and kenlm_scores.json beside it; tests/test_language_model.py reads
them. KenLM is so no dependency of the tests, which need no compiler.
"""

import json
import random
from pathlib import Path

from ramospeech.arpa import write_arpa
from ramospeech.files import write_text
from ramospeech.language_model import LanguageModel
from ramospeech.pinyin import PAD, UNK, Inventory
from ramospeech.smoothing import estimate

FOLDER = Path(__file__).parent
INVENTORY = Inventory((PAD, UNK, "ni3", "hao3", "ma", "wo3", "men", "shi4", "de", "ren2"))
ORDERS = (2, 3)


def make_model(order: int) -> LanguageModel:
    """Of random sentences in which not everything follows everything; `er2` is unknown."""
    rng = random.Random(5)
    words = [*INVENTORY.symbols[2:8], "er2"]
    sentences = [rng.choices(words, weights=range(1, 8), k=rng.randint(1, 6)) for _ in range(25)]
    return estimate(sentences, INVENTORY, order)


def sentences_to_score() -> list[list[str]]:
    rng = random.Random(6)
    words = [*INVENTORY.symbols[2:], "er2"]
    return [[], *([rng.choice(words) for _ in range(rng.randint(1, 8))] for _ in range(40))]


def main() -> None:
    import kenlm

    scores = {}
    for order in ORDERS:
        path = FOLDER / f"kenlm_{order}.arpa"
        write_arpa(path, make_model(order))
        model = kenlm.Model(str(path))
        scores[order] = [[score for score, _, _ in model.full_scores(" ".join(sentence))]
                         for sentence in sentences_to_score()]  # decimal; the last is of </s>
    write_text(FOLDER / "kenlm_scores.json", json.dumps(scores) + "\n")


if __name__ == "__main__":
    main()
