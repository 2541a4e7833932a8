"""Toned pinyin: convert hanzi to syllables, and split syllables into their parts.

Spelling: the tone number at the end (`hao3`), the neutral tone without a number (`de`), `v` for
ü (`lv4`), one syllable per character, 儿 never merged (花儿 = `hua1 er2`).
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import NamedTuple

from ramospeech.language.simplified import simplify
from ramospeech.language.vocabulary import UNK

__all__ = [
    "INITIALS", "NEUTRAL_TONE", "Syllable", "base_syllable", "hanzi_to_pinyin", "is_syllable", "respell",
    "split_syllable",
]

NEUTRAL_TONE = 5

# pypinyin is imported where it is used: loading its tables takes a third of a second.

_DIGITS = str.maketrans("0123456789", "零一二三四五六七八九")
_SPELLING = {"n2": "en2", "n4": "en4", "ng2": "en2", "ng4": "en4"}  # 嗯, spelt with a vowel
INITIALS = "b p m f d t n l g k h j q x zh ch sh r z c s".split()  # by place of articulation
_INITIAL = "[bpmfdtnlgkhjqxrzcsyw]|zh|ch|sh"  # in spelling, including y and w
_FINAL = ("a ai an ang ao e ei en eng er i ia ian iang iao ie in ing iong iu o ong ou "
          "u ua uai uan uang ue ui un uo v ve van vn").replace(" ", "|")
_SYLLABLE = re.compile(rf"(?:(?:{_INITIAL})?(?:{_FINAL})|hm|hng|m|n|ng)[1-4]?")
_RARE_FINALS = {"yo": "io", "yai": "iai"}  # pypinyin returns o and ai


def hanzi_to_pinyin(text: str, as_written: bool = False) -> list[str]:
    """Convert hanzi to toned syllables, one per character.

    The phrase decides between several pronunciations of a character (银行 `yin2 hang2`, 行人
    `xing2 ren2`). Full-width forms are folded first, and traditional text is simplified, unless
    `as_written` is set (銀行 `yin2 xing2`). Spaces are dropped; punctuation and symbols are dropped,
    too, but no phrase spans them. Digits are converted one by one (`12` = `yi1 er4`). Latin letters
    and characters unknown to pypinyin become `<UNK>`: every letter, digit and hanzi gives one token.
    """
    from pypinyin.seg.simpleseg import seg

    text = "".join(unicodedata.normalize("NFKC", text).split()).translate(_DIGITS)
    phrases = seg(text if as_written else simplify(text))
    return [syllable for phrase in phrases for syllable in _convert_phrase(phrase)]


@lru_cache(maxsize=1 << 16)
def _convert_phrase(phrase: str) -> list[str]:
    """Convert a phrase as segmented by pypinyin; cached, since most recur."""
    from pypinyin import Style, lazy_pinyin

    # Its type hints do not include that `errors` may return a list.
    readings = lazy_pinyin(phrase, style=Style.TONE3, errors=_unread)  # type: ignore[arg-type]
    return [_SPELLING.get(reading, reading) for reading in readings]


def _unread(text: str) -> list[str]:
    """Convert text unknown to pypinyin: a token for each letter or number, none for punctuation."""
    return [UNK for char in text if unicodedata.category(char)[0] in "LN"]


@cache
def respell(syllable: str) -> str:
    """Return a toned syllable in this module's spelling: `de5` -> `de`, `nü3` -> `nv3`, `jv4` -> `ju4`.

    Does not check the input: text that is not a syllable does not become one.
    """
    plain = re.sub("u:|ü", "v", unicodedata.normalize("NFC", syllable).lower())
    plain = re.sub("(?<=^[jqxy])v", "u", plain)
    plain = re.sub("(?<=^[ln])ue", "ve", plain)
    return re.sub("(?<=[a-z])[05]$", "", plain)


@cache
def is_syllable(token: str) -> bool:
    """Return whether `token` is spelt like a toned syllable (`hao3`, `de`) or is `<UNK>`."""
    return token == UNK or _SYLLABLE.fullmatch(token) is not None


class Syllable(NamedTuple):
    """The parts of a toned syllable, such as `zh`, `uang`, 4 for `zhuang4`."""

    initial: str  # empty if the syllable begins with a vowel, y or w
    final: str  # in full and with v for ü: `liu2` has `iou`, `yuan2` has `van`
    tone: int  # 1 to 4, or 5 for the neutral tone


@cache
def split_syllable(syllable: str) -> Syllable:
    """Split a toned syllable into initial, final and tone; y and w are spelling, not initials.

    A syllable without a vowel (`hm`, `ng4`) is all final. Raises ValueError if it is not spelt like
    a syllable.
    """
    from pypinyin.contrib.tone_convert import to_finals, to_initials

    if not _SYLLABLE.fullmatch(syllable):
        raise ValueError(f"{syllable!r} is not a toned pinyin syllable such as 'hao3'")
    tone = int(syllable[-1]) if syllable[-1].isdigit() else NEUTRAL_TONE
    base = base_syllable(syllable)
    if not set(base) & set("aeiouv"):
        return Syllable("", base, tone)
    final = _RARE_FINALS.get(base) or to_finals(base, v_to_u=False)
    return Syllable(to_initials(base), final, tone)


def base_syllable(syllable: str) -> str:
    """Return the syllable without its tone: `hao3` -> `hao`; `<UNK>` is unchanged."""
    return syllable.rstrip("1234")
