"""Write syllables.arpa: which syllable follows which, by the frequencies of words.

    python data_config/build_language_model.py [OUTPUT]

Every word of jieba's dictionary is read by pypinyin and counts as often as it occurs: a word is a
sentence, so the model knows how words begin, go on and end, but not which word follows which. Kept
are the bigrams that say most. Takes two minutes.
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
    """A bigram model of the words' syllables; each word comes with how often it occurs."""
    counted = [(hanzi_to_pinyin(word, as_written=True), max(count, 1)) for word, count in words]
    syllables, counts = zip(*counted)
    return prune(estimate(syllables, Vocabulary.read(), 2, counts), BIGRAMS)


def main(output: Path) -> None:
    model = build(dictionary_words())
    write_arpa(output, model)
    print(f"{output}: {len(model.ngrams):,} n-grams, {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHIPPED_LANGUAGE_MODEL)
