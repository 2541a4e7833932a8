"""Let KenLM read language models, ours and others, and write down what it makes of sentences.

    pip install kenlm==0.3.0        # builds with a C++ compiler
    python tests/data/build_kenlm_scores.py

Writes kenlm_2.arpa, kenlm_3.arpa and kenlm_scores.json beside it; tests/test_ngram.py reads
them. KenLM is so no dependency of the tests, which need no compiler.
"""

import json
import random
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

from ramospeech.language.arpa import write_arpa
from ramospeech.language.ngram import LanguageModel
from ramospeech.language.ngram_estimation import estimate
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.utils.files import write_text

FOLDER = Path(__file__).parent
VOCABULARY = Vocabulary((PAD, UNK, "ni3", "hao3", "ma", "wo3", "men", "shi4", "de", "ren2"))
ORDERS = (2, 3)
OTHERS = {  # neither has `ma` or `er2`
    "bigrams after and before <unk>": """\
\\data\\
ngram 1=5
ngram 2=4

\\1-grams:
-2.0\t<unk>\t-0.25
-99\t<s>\t-0.3
-0.4\t</s>
-0.9\tni3\t-0.2
-0.8\thao3

\\2-grams:
-0.5\t<s> ni3
-0.3\tni3 hao3
-0.25\t<unk> hao3
-1.0\thao3 </s>

\\end\\
""",
    "trigrams with <unk> in every place": """\
\\data\\
ngram 1=5
ngram 2=7
ngram 3=5

\\1-grams:
-1.5\t<unk>\t-0.6
-99\t<s>\t-0.3
-1.2\t</s>
-0.8\tni3\t-0.4
-0.7\thao3\t-0.2

\\2-grams:
-0.5\t<s> ni3\t-0.11
-1.4\t<s> <unk>\t-0.12
-1.1\tni3 <unk>\t-0.13
-0.25\t<unk> hao3\t-0.14
-0.9\t<unk> </s>
-1.3\t<unk> <unk>\t-0.15
-0.6\thao3 </s>

\\3-grams:
-0.2\t<s> ni3 <unk>
-0.7\t<s> <unk> <unk>
-0.35\tni3 <unk> hao3
-1.25\t<unk> <unk> <unk>
-0.45\t<unk> <unk> </s>

\\end\\
""",
    "no <unk>": """\
\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-99\t<s>\t-0.3
-1.2\t</s>
-0.8\tni3\t-0.4
-0.7\thao3\t-0.2

\\2-grams:
-0.5\t<s> ni3
-0.3\tni3 hao3
-0.6\thao3 </s>

\\end\\
""",
}


def make_model(order: int) -> LanguageModel:
    """Of random sentences in which not everything follows everything; `er2` is unknown."""
    rng = random.Random(5)
    words = [*VOCABULARY.symbols[2:8], "er2"]
    sentences = [rng.choices(words, weights=range(1, 8), k=rng.randint(1, 6)) for _ in range(25)]
    return estimate(sentences, VOCABULARY, order)


def sentences_to_score() -> list[list[str]]:
    rng = random.Random(6)
    words = [*VOCABULARY.symbols[2:], "er2"]
    return [[], *([rng.choice(words) for _ in range(rng.randint(1, 8))] for _ in range(40))]


def all_short_sentences() -> list[list[str]]:
    return [list(words) for length in range(5)
            for words in product(("ni3", "hao3", "ma", "er2"), repeat=length)]


def scores_of(path: Path, sentences: list[list[str]]) -> list[list[float]]:
    """KenLM's decimal logarithms: of each word, and last of </s>."""
    import kenlm

    model = kenlm.Model(str(path))
    return [[score for score, _, _ in model.full_scores(" ".join(words))] for words in sentences]


def main() -> None:
    scores: dict[int | str, list] = {}
    for order in ORDERS:
        path = FOLDER / f"kenlm_{order}.arpa"
        write_arpa(path, make_model(order))
        scores[order] = scores_of(path, sentences_to_score())
    for name, text in OTHERS.items():
        with TemporaryDirectory() as folder:
            path = Path(folder) / "other.arpa"
            write_text(path, text)
            scores[name] = [round(sum(numbers), 4)
                            for numbers in scores_of(path, all_short_sentences())]
    write_text(FOLDER / "kenlm_scores.json", json.dumps(scores) + "\n")


if __name__ == "__main__":
    main()
