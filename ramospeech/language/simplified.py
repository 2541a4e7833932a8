"""Traditional text into simplified: pypinyin knows most phrases in simplified hanzi only."""

from functools import cache

from opencc import OpenCC

__all__ = ["simplify"]


def simplify(text: str) -> str:
    """The text in simplified hanzi, one for one; what is simplified already stays as it is.

    A text is traditional where it has a hanzi that GB 2312, the set of the mainland, lacks and of
    whose simplified form it has one (銀 for 银). Only then OpenCC converts it, phrase by phrase, and
    takes Taiwan's 著 for 着 (看著). So 乾, 著 or 瞭, which both writings have, decide nothing, and stay
    in 乾隆, 著名 and 瞭望. Words stay what they are: 計程車 becomes 计程车, not 出租车.
    """
    whole = text.encode(errors="replace").decode()  # old file names bring halves of characters
    simplified = _converter().convert(whole)
    is_traditional = any(map(_replaces_traditional, text, simplified))
    return simplified if is_traditional else text


@cache
def _converter() -> OpenCC:
    return OpenCC("tw2s")


def _replaces_traditional(old: str, new: str) -> bool:
    return old != new and not old.encode("gb2312", "ignore") and bool(new.encode("gb2312", "ignore"))
