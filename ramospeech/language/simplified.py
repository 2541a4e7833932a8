"""Convert traditional hanzi to simplified: pypinyin knows most phrases in simplified hanzi only."""

from functools import cache

from opencc import OpenCC

__all__ = ["simplify"]


def simplify(text: str) -> str:
    """Return the text in simplified hanzi, one for one; simplified text is returned unchanged.

    A text is traditional if GB 2312, the mainland's character set, lacks one of its hanzi but has the
    simplified form of it (银 for 銀). Only then does OpenCC convert the text, phrase by phrase, and
    replaces Taiwan's 著 by 着 (看著). Hanzi of both scripts, such as 乾, 著 or 瞭, do not make a text
    traditional, and remain in 乾隆, 著名 and 瞭望. Words are not replaced: 計程車 becomes 计程车, not 出租车.
    """
    whole = text.encode(errors="replace").decode()  # old file names may contain lone surrogates
    simplified = _converter().convert(whole)
    is_traditional = any(map(_replaces_traditional, text, simplified))
    return simplified if is_traditional else text


@cache
def _converter() -> OpenCC:
    return OpenCC("tw2s")


def _replaces_traditional(old: str, new: str) -> bool:
    return old != new and not old.encode("gb2312", "ignore") and bool(new.encode("gb2312", "ignore"))
