"""Read pinyin as people type it.

    read_word("shàng")       # [TypedSyllable("shang", 4)]
    read_word("xi1'an1")     # [TypedSyllable("xi", 1), TypedSyllable("an", 1)]
    read_line("ni3 hao3, NBA!")

Accepts tone numbers (also full-width and superscript ones, 0 and 5 for the neutral tone), tone marks,
syllables written together, capitals, `v`, `u:`, `ü` and `yu` for ü, and r for 儿 (`wanr2` is wan2 er).
Syllables without numbers are divided by the rule of spelling: inside a word a syllable that begins
with a vowel follows an apostrophe, so `fangan` is fan gan, `fang'an` fang an, `xian` one syllable.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from ramospeech.language.pinyin import base_syllable, respell
from ramospeech.language.vocabulary import UNK, Vocabulary

__all__ = ["UNTONED", "Item", "TypedSyllable", "read_line", "read_word"]

TONE_MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}  # macron, acute, caron, grave
STANDALONE = {"n": "n", "ng": "ng", "m": "m", "hm": "hm", "hng": "hng", "r": "er"}  # words by themselves
RARE = "chua den dia ei eng kei len lo rua shei tei zhei".split()  # out of vocabulary
_LETTER = r"(?:[^\W_]|[\u0300-\u036f]|(?<=[uU]):(?=[1-5eE]))"
_WORD = re.compile(rf"{re.escape(UNK)}|{_LETTER}+(?:['’]{_LETTER}+)*")
UNTONED = 0  # no tone in a line with tones: perhaps the neutral one
_R, _VOWEL = 2, 1  # penalties of a division: for r as 儿, and for a vowel without an apostrophe


class TypedSyllable(NamedTuple):
    """A syllable and its tone: 1 to 4, 5 (neutral), UNTONED, or None if any may be meant."""

    base: str
    tone: int | None


class Item(NamedTuple):
    """A word or punctuation of a line; without syllables it is copied unchanged."""

    text: str
    syllables: tuple[TypedSyllable, ...] = ()
    unrecognised: bool = False  # looks like pinyin, but is not


@lru_cache(maxsize=1)  # a command asks for the hanzi, and then for unrecognised words
def read_line(
    line: str, is_word: Callable[[tuple[TypedSyllable, ...]], bool] = lambda syllables: False
) -> list[list[Item]]:
    """Return the words and punctuation of a line, grouped by the parts between spaces.

    If some word of the line has a tone, a word without any is pinyin if it is a single lower-case
    syllable, `ma`, or if `is_word` accepts it, `shenme`; else it is English. In a line without tones
    any tone may be meant (`tone` is None), and all lower-case words must be pinyin: else none is, so
    that English is not half converted. Words in capitals (`NBA`, `A4`) are pinyin only if they have
    a tone and two letters.
    """
    parts = [list(_split(part)) for part in line.split()]
    words = [item for items in parts for item in items]
    toned = any(typed.tone is not None for item in words for typed in item.syllables)
    if not toned and any(item.unrecognised and item.text.isalpha() for item in words):
        return [[item._replace(syllables=(), unrecognised=item.unrecognised or bool(item.syllables))
                 for item in items] for items in parts]
    return [[_in_toned_line(item, is_word) for item in items] for items in parts] if toned else parts


def _in_toned_line(item: Item, is_word: Callable[[tuple[TypedSyllable, ...]], bool]) -> Item:
    if all(typed.tone for typed in item.syllables):
        return item
    small = item.text == item.text.lower()
    filled = tuple(typed._replace(tone=UNTONED if typed.tone is None else typed.tone)
                  for typed in item.syllables)
    toned = any(typed.tone != UNTONED for typed in filled)
    if toned or (is_word(filled) if len(filled) > 1 else small):
        return item._replace(syllables=filled)
    return Item(item.text, unrecognised=small)


def _split(part: str) -> Iterator[Item]:
    """Yield words and what is between them; a number before a word is an item of its own."""
    place = 0
    for match in _WORD.finditer(part):
        if match.start() > place:
            yield Item(part[place:match.start()])
        word = match[0].lstrip("0123456789")
        if word != match[0] and read_word(word):
            yield Item(match[0].removesuffix(word))
            yield _item(word)
        else:
            yield _item(match[0])
        place = match.end()
    if place < len(part):
        yield Item(part[place:])


@lru_cache(maxsize=1 << 16)
def _item(word: str) -> Item:
    syllables = () if _is_abbreviation(word) else read_word(word)
    latin = any("LATIN" in unicodedata.name(char, "") for char in word)
    return Item(word, syllables, latin and not syllables and word == word.lower())


def _is_abbreviation(word: str) -> bool:
    """Return whether a word is like NBA or A4, and not SHANG4."""
    letters = re.sub(r"\d", "", word)
    return letters.isupper() and (letters == word or len(letters) == 1) and not _marks(word)


def _marks(word: str) -> list[str]:
    return [char for char in unicodedata.normalize("NFD", word) if char in TONE_MARKS]


@lru_cache(maxsize=1 << 16)
def read_word(word: str) -> tuple[TypedSyllable, ...]:
    """Return the syllables of a word without spaces; empty if it is not pinyin."""
    plain = unicodedata.normalize("NFKD", word).lower().replace("u\u0308", "v").replace("u:", "v")
    plain = re.sub("u([\u0300-\u030c])\u0308", r"v\1", plain).replace("’", "'")
    plain = re.sub("([\u0304\u0301\u030c\u0300])\u0308", "\u0308\\1", plain).replace("u\u0308", "v")
    alone = re.fullmatch(r"([nmrhg]+)([0-5]?)", plain)
    if alone and alone[1] in STANDALONE:
        return (TypedSyllable(STANDALONE[alone[1]], _tone("", alone[2])),)
    letters = re.sub("[\u0304\u0301\u030c\u0300]", "", plain)
    if not re.fullmatch(r"(?:[a-z]+[0-5]?'?)+(?<!')", letters):
        return ()
    found = _divide(plain)
    return found[1] if found else ()


def _divide(plain: str) -> tuple[tuple[int, int], tuple[TypedSyllable, ...]] | None:
    """Return the best division of a word: its penalty and number of syllables, and the syllables."""
    best: dict[int, tuple[tuple[int, int], tuple[TypedSyllable, ...]]] = {0: ((0, 0), ())}
    for start in range(len(plain)):
        if start not in best:
            continue
        (total, number), before = best[start]
        for end, syllables, penalty in _syllables_at(plain, start, before):
            division = ((total + penalty, number + 1), syllables)
            if end not in best or division[0] < best[end][0]:
                best[end] = division
    return best.get(len(plain))


def _syllables_at(
    plain: str, start: int, before: tuple[TypedSyllable, ...]
) -> Iterator[tuple[int, tuple[TypedSyllable, ...], int]]:
    """Yield each end of a syllable that begins here, all syllables up to there, and the penalty."""
    vowel = _VOWEL if start and plain[start] in "aoe" and plain[start - 1] not in "012345'" else 0
    for match in _every_match(plain, start):
        letters = "".join(char for char in match["letters"] if char not in TONE_MARKS)
        tone = _tone(match["letters"], match["tone"])
        if letters == "r" and before and before[-1].tone is None and before[-1].base != "er":
            last = TypedSyllable(before[-1].base, tone)
            yield match.end(), (*before[:-1], last, TypedSyllable("er", None)), _R
        elif letters in _bases() and sum(char in TONE_MARKS for char in match["letters"]) <= 1:
            if vowel and len(letters) == 1 and tone is None:
                continue  # "see" is not se'e
            yield match.end(), (*before, TypedSyllable(_bases()[letters], tone)), vowel
    ending = re.match(r"r(?![aeiouv])5?'?", plain[start:])  # after a mark or a number: wan2r
    if ending and before and before[-1].tone is not None:
        yield start + ending.end(), (*before, TypedSyllable("er", None)), _R


def _every_match(plain: str, start: int) -> Iterator[re.Match[str]]:
    """Yield matches of letters with their marks and an optional number, the longest first."""
    run = re.compile(r"[a-z\u0300-\u030c]+").match(plain, start)
    for end in range(min(run.end(), start + 8), start, -1) if run else ():
        match = re.compile(rf"(?P<letters>[a-z\u0300-\u030c]{{{end - start}}})(?![\u0300-\u030c])"
                           r"(?P<tone>[0-5]?)'?").match(plain, start)
        if match:
            yield match


def _tone(letters: str, number: str) -> int | None:
    if number:
        return int(number) or 5
    return next((TONE_MARKS[char] for char in letters if char in TONE_MARKS), None)


@cache
def _bases() -> dict[str, str]:
    """Return all spellings of toneless syllables, with the project's spelling of each."""
    bases = {*RARE, *map(base_syllable, Vocabulary.read().symbols[2:])} - STANDALONE.keys()
    typed = {base: base for base in bases}
    for base in bases:
        if "v" in base:
            typed[base.replace("v", "yu")] = base  # lyu, as in passports
        for other in (base.replace("u", "v"), base.replace("ve", "ue")):
            if respell(other) == base:
                typed.setdefault(other, base)
    return typed
