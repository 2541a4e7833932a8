"""Pinyin as people type it, into the project's spelling.

    read_word("shàng")       # [Typed("shang", 4)]
    read_word("xi1'an1")     # [Typed("xi", 1), Typed("an", 1)]
    read_line("ni3 hao3, NBA!")

Read are tone numbers (also full-width and raised ones, 0 and 5 for the neutral tone), tone marks,
glued syllables, capitals, `v`, `u:`, `ü` and `yu` for ü, and r for 儿 (`wanr2` is wan2 er). Where
glued syllables have no numbers, the rule of spelling decides: one that begins with a vowel has an
apostrophe before it, so `fangan` is fan gan, `fang'an` fang an, and `xian` one syllable.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

from ramospeech.language.pinyin import base_syllable, respell
from ramospeech.language.vocabulary import UNK, Vocabulary

__all__ = ["LIGHT", "Item", "Typed", "read_line", "read_word"]

MARKS = {"\u0304": 1, "\u0301": 2, "\u030c": 3, "\u0300": 4}  # macron, acute, caron, grave
ALONE = {"n": "n", "ng": "ng", "m": "m", "hm": "hm", "hng": "hng", "r": "er"}  # never glued
RARE = "chua den dia ei eng kei len lo rua shei tei zhei".split()  # which the vocabulary lacks
_LETTER = r"(?:[^\W_]|[\u0300-\u036f]|(?<=[uU]):(?=[1-5eE]))"
_WORD = re.compile(rf"{re.escape(UNK)}|{_LETTER}+(?:['’]{_LETTER}+)*")
LIGHT = 0  # the tone of a syllable without one in a line with tones: perhaps the neutral one
_R, _VOWEL = 2, 1  # what speaks against a cut: r for 儿, and a vowel without an apostrophe


class Typed(NamedTuple):
    """A syllable, and its tone: 1 to 4, 5 for the neutral one, LIGHT, None where all may be meant."""

    base: str
    tone: int | None


class Item(NamedTuple):
    """A word or sign of a line; without syllables it passes through as it stands."""

    text: str
    syllables: tuple[Typed, ...] = ()
    odd: bool = False  # it might have been pinyin, and was not understood


@lru_cache(maxsize=1)  # a command asks what to write, and what was not understood
def read_line(
    line: str, is_word: Callable[[tuple[Typed, ...]], bool] = lambda syllables: False
) -> list[list[Item]]:
    """The parts of a line: for each piece between two spaces its words and signs, in order.

    In a line where some word has a tone, a word that is all without one is read if it is a single
    syllable in small letters, `ma`, or if it is one for `is_word`, `shenme`; else it is English. In a
    line without any, every tone may be meant (`tone` is None); it is read only if each of its words
    in small letters can be pinyin, so that English is not half read. Words that are all capitals
    (`NBA`, `A4`) are no pinyin unless they have a tone and two letters.
    """
    pieces = [list(_split(piece)) for piece in line.split()]
    words = [item for piece in pieces for item in piece]
    toned = any(typed.tone is not None for item in words for typed in item.syllables)
    if not toned and any(item.odd and item.text.isalpha() for item in words):
        return [[item._replace(syllables=(), odd=item.odd or bool(item.syllables)) for item in piece]
                for piece in pieces]
    return [[_in_toned_line(item, is_word) for item in piece] for piece in pieces] if toned else pieces


def _in_toned_line(item: Item, is_word: Callable[[tuple[Typed, ...]], bool]) -> Item:
    if all(typed.tone for typed in item.syllables):
        return item
    small = item.text == item.text.lower()
    light = tuple(typed._replace(tone=LIGHT if typed.tone is None else typed.tone)
                  for typed in item.syllables)
    toned = any(typed.tone != LIGHT for typed in light)
    if toned or (is_word(light) if len(light) > 1 else small):
        return item._replace(syllables=light)
    return Item(item.text, odd=small)


def _split(piece: str) -> Iterator[Item]:
    """Words and what stands between them; a number before a word is by itself."""
    place = 0
    for match in _WORD.finditer(piece):
        if match.start() > place:
            yield Item(piece[place:match.start()])
        word = match[0].lstrip("0123456789")
        if word != match[0] and read_word(word):
            yield Item(match[0].removesuffix(word))
            yield _item(word)
        else:
            yield _item(match[0])
        place = match.end()
    if place < len(piece):
        yield Item(piece[place:])


@lru_cache(maxsize=1 << 16)
def _item(word: str) -> Item:
    syllables = () if _is_abbreviation(word) else read_word(word)
    latin = any("LATIN" in unicodedata.name(char, "") for char in word)
    return Item(word, syllables, latin and not syllables and word == word.lower())


def _is_abbreviation(word: str) -> bool:
    """NBA and A4; SHANG4 is none."""
    letters = re.sub(r"\d", "", word)
    return letters.isupper() and (letters == word or len(letters) == 1) and not _marks(word)


def _marks(word: str) -> list[str]:
    return [char for char in unicodedata.normalize("NFD", word) if char in MARKS]


@lru_cache(maxsize=1 << 16)
def read_word(word: str) -> tuple[Typed, ...]:
    """The syllables of a word without spaces; none where it is no pinyin."""
    plain = unicodedata.normalize("NFKD", word).lower().replace("u\u0308", "v").replace("u:", "v")
    plain = re.sub("u([\u0300-\u030c])\u0308", r"v\1", plain).replace("’", "'")
    plain = re.sub("([\u0304\u0301\u030c\u0300])\u0308", "\u0308\\1", plain).replace("u\u0308", "v")
    alone = re.fullmatch(r"([nmrhg]+)([0-5]?)", plain)
    if alone and alone[1] in ALONE:
        return (Typed(ALONE[alone[1]], _tone("", alone[2])),)
    letters = re.sub("[\u0304\u0301\u030c\u0300]", "", plain)
    if not re.fullmatch(r"(?:[a-z]+[0-5]?'?)+(?<!')", letters):
        return ()
    found = _cut(plain)
    return found[1] if found else ()


def _cut(plain: str) -> tuple[tuple[int, int], tuple[Typed, ...]] | None:
    """The best way to cut a word: what speaks against it and the number of syllables, and these."""
    best: dict[int, tuple[tuple[int, int], tuple[Typed, ...]]] = {0: ((0, 0), ())}
    for start in range(len(plain)):
        if start not in best:
            continue
        (cost, number), before = best[start]
        for end, syllables, more in _syllables_at(plain, start, before):
            way = ((cost + more, number + 1), syllables)
            if end not in best or way[0] < best[end][0]:
                best[end] = way
    return best.get(len(plain))


def _syllables_at(
    plain: str, start: int, before: tuple[Typed, ...]
) -> Iterator[tuple[int, tuple[Typed, ...], int]]:
    """Where a syllable that begins here may end, all syllables up to there, and what is against it."""
    vowel = _VOWEL if start and plain[start] in "aoe" and plain[start - 1] not in "012345'" else 0
    for match in _every_match(plain, start):
        letters = "".join(char for char in match["letters"] if char not in MARKS)
        tone = _tone(match["letters"], match["tone"])
        if letters == "r" and before and before[-1].tone is None and before[-1].base != "er":
            yield match.end(), (*before[:-1], Typed(before[-1].base, tone), Typed("er", None)), _R
        elif letters in _bases() and sum(char in MARKS for char in match["letters"]) <= 1:
            if vowel and len(letters) == 1 and tone is None:
                continue  # "see" is no se'e
            yield match.end(), (*before, Typed(_bases()[letters], tone)), vowel
    ending = re.match(r"r(?![aeiouv])5?'?", plain[start:])  # behind a mark or a number: wan2r
    if ending and before and before[-1].tone is not None:
        yield start + ending.end(), (*before, Typed("er", None)), _R


def _every_match(plain: str, start: int) -> Iterator[re.Match[str]]:
    """A syllable's letters with their marks, the longest first, with its number."""
    run = re.compile(r"[a-z\u0300-\u030c]+").match(plain, start)
    for end in range(min(run.end(), start + 8), start, -1) if run else ():
        match = re.compile(rf"(?P<letters>[a-z\u0300-\u030c]{{{end - start}}})(?![\u0300-\u030c])"
                           r"(?P<tone>[0-5]?)'?").match(plain, start)
        if match:
            yield match


def _tone(letters: str, number: str) -> int | None:
    if number:
        return int(number) or 5
    return next((MARKS[char] for char in letters if char in MARKS), None)


@cache
def _bases() -> dict[str, str]:
    """Syllables without their tones as they may be typed, and in our spelling."""
    bases = {*RARE, *map(base_syllable, Vocabulary.read().symbols[2:])} - ALONE.keys()
    typed = {base: base for base in bases}
    for base in bases:
        if "v" in base:
            typed[base.replace("v", "yu")] = base  # lyu, as in passports
        for other in (base.replace("u", "v"), base.replace("ve", "ue")):
            if respell(other) == base:
                typed.setdefault(other, base)
    return typed
