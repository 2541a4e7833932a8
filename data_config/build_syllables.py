"""Build syllables.txt: the 1,215 output classes of the acoustic model.

    python data_config/build_syllables.py [OUTPUT]

`<PAD>` (also the CTC blank) is class 0 and `<UNK>` class 1. Then come the 1,213 toned syllables
that are most frequent in Mandarin, in this order: every word of jieba's dictionary is converted by
pypinyin, and each of its syllables is weighted by the word's frequency. The few traditional words are
not simplified first, because that would change the class numbers of existing models. Takes about half a
minute.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jieba

from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.vocabulary import PAD, UNK

SYLLABLES = 1213
HANZI_WORD = re.compile(r"[\u4e00-\u9fff]+")


def dictionary_words() -> Iterator[tuple[str, int]]:
    """Yield the words of jieba's dictionary that consist of hanzi, with their frequencies."""
    lines = Path(jieba.__file__).with_name("dict.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        word, frequency, *_ = line.split(" ")
        if HANZI_WORD.fullmatch(word):
            yield word, int(frequency)


def count_syllables() -> Counter[str]:
    counts: Counter[str] = Counter()
    for word, frequency in dictionary_words():
        for syllable in hanzi_to_pinyin(word, as_written=True):
            counts[syllable] += frequency
    del counts[UNK]
    return counts


def main(output: Path) -> None:
    counts = count_syllables()
    by_frequency = sorted(counts, key=lambda syllable: (-counts[syllable], syllable))
    lines = [PAD, UNK, *by_frequency[:SYLLABLES]]
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    last = by_frequency[SYLLABLES - 1]
    print(f"{output}: {len(lines)} classes of {len(counts)} syllables seen; "
          f"the rarest kept is {last} ({counts[last]} occurrences)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("syllables.txt"))
