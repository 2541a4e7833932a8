"""The edit distance (Levenshtein, 1966) between two sequences of syllables or hanzi."""

from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

__all__ = ["edits"]


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the least number of substitutions, insertions and deletions."""
    return Levenshtein.distance(reference, hypothesis)
