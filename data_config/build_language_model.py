"""Build syllables.arpa, a bigram model of syllables, from word frequencies.

    python data_config/build_language_model.py [OUTPUT]

Every word of jieba's dictionary is converted by pypinyin and weighted by its frequency. A word is a
sentence, so the model knows how words begin, continue and end, but not which word follows which. The
most informative bigrams are kept. Takes two minutes.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from build_syllables import dictionary_words

from ramospeech.config.paths import SHIPPED_LANGUAGE_MODEL
from ramospeech.language.arpa import write_arpa
from ramospeech.language.ngram import LanguageModel
from ramospeech.language.ngram_estimation import estimate, prune
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.vocabulary import Vocabulary

BIGRAMS = 20_000


def build(words: Iterable[tuple[str, int]]) -> LanguageModel:
    """Return a bigram model of the words' syllables; `words` are words with their counts."""
    counted = [(hanzi_to_pinyin(word, as_written=True), max(count, 1)) for word, count in words]
    syllables, counts = zip(*counted)
    return prune(estimate(syllables, Vocabulary.read(), 2, counts), BIGRAMS)


def main(output: Path) -> None:
    model = build(dictionary_words())
    write_arpa(output, model)
    print(f"{output}: {len(model.ngrams):,} n-grams, {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED_LANGUAGE_MODEL)
