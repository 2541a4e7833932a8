"""Toned pinyin: from hanzi to syllables, and the parts of a syllable.

Convention: the tone number at the end (`hao3`), the neutral tone without a number (`de`), `v` for
ü (`lv4`), one syllable for one character, 儿 never merged (花儿 = `hua1 er2`).
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
INITIALS = "b p m f d t n l g k h j q x zh ch sh r z c s".split()  # by where the mouth forms them
_INITIAL = "[bpmfdtnlgkhjqxrzcsyw]|zh|ch|sh"  # as spelt, so with y and w
_FINAL = ("a ai an ang ao e ei en eng er i ia ian iang iao ie in ing iong iu o ong ou "
          "u ua uai uan uang ue ui un uo v ve van vn").replace(" ", "|")
_SYLLABLE = re.compile(rf"(?:(?:{_INITIAL})?(?:{_FINAL})|hm|hng|m|n|ng)[1-4]?")
_RARE_FINALS = {"yo": "io", "yai": "iai"}  # which pypinyin takes for o and ai


def hanzi_to_pinyin(text: str, as_written: bool = False) -> list[str]:
    """Read hanzi aloud: one toned syllable for each character.

    A character with several readings is read by the phrase it stands in (银行 `yin2 hang2`, 行人
    `xing2 ren2`). Full-width forms are folded first, and traditional text is simplified, unless it
    is to be read `as_written` (銀行 `yin2 xing2`); spaces are dropped; punctuation and symbols are
    dropped too, but no phrase reaches across them; digits are read one by one (`12` = `yi1 er4`);
    each Latin letter, and each character that pypinyin cannot read, becomes `<UNK>`. So every
    letter, digit and hanzi gives one token.
    """
    from pypinyin.seg.simpleseg import seg

    text = "".join(unicodedata.normalize("NFKC", text).split()).translate(_DIGITS)
    phrases = seg(text if as_written else simplify(text))
    return [syllable for phrase in phrases for syllable in _read_phrase(phrase)]


@lru_cache(maxsize=1 << 16)
def _read_phrase(phrase: str) -> list[str]:
    """One of the phrases into which pypinyin cuts a text; most come again and again."""
    from pypinyin import Style, lazy_pinyin

    # What it says of its types forgets that `errors` may give a list.
    readings = lazy_pinyin(phrase, style=Style.TONE3, errors=_unread)  # type: ignore[arg-type]
    return [_SPELLING.get(reading, reading) for reading in readings]


def _unread(text: str) -> list[str]:
    """What pypinyin has no reading for: a token for each letter or number, none for a sign."""
    return [UNK for char in text if unicodedata.category(char)[0] in "LN"]


@cache
def respell(syllable: str) -> str:
    """A toned syllable of another source in our spelling: `de5` is `de`, `nü3` `nv3`, `jv4` `ju4`.

    What is no syllable in the first place is still none.
    """
    plain = re.sub("u:|ü", "v", unicodedata.normalize("NFC", syllable).lower())
    plain = re.sub("(?<=^[jqxy])v", "u", plain)
    plain = re.sub("(?<=^[ln])ue", "ve", plain)
    return re.sub("(?<=[a-z])[05]$", "", plain)


@cache
def is_syllable(token: str) -> bool:
    """Whether `token` is spelt like a toned syllable (`hao3`, `de`) or is `<UNK>`."""
    return token == UNK or _SYLLABLE.fullmatch(token) is not None


class Syllable(NamedTuple):
    """The parts of a toned syllable, such as `zh`, `uang`, 4 for `zhuang4`."""

    initial: str  # empty where the syllable begins with a vowel, y or w
    final: str  # in full and with v for ü: `liu2` has `iou`, `yuan2` has `van`
    tone: int  # 1 to 4, or 5 for the neutral tone


@cache
def split_syllable(syllable: str) -> Syllable:
    """Split a toned syllable into initial, final and tone; y and w are spelling, not initials.

    A syllable without a vowel (`hm`, `ng4`) is all final. Raises ValueError for what is not spelt
    like a syllable.
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
    """The syllable without its tone: `hao3` gives `hao`; `<UNK>` stays."""
    return syllable.rstrip("1234")
