"""A lattice of words as a picture for a page: SVG, drawn by the browser, which has fonts for hanzi."""

from collections.abc import Iterable, Sequence
from html import escape

from ramospeech.language.word_lattice import Arc, Lattice

__all__ = ["STEP", "draw_lattice"]

STEP, ROW, TOP = 110, 34, 44  # pixels: from syllable to syllable, from word to word, for the pinyin


def draw_lattice(lattice: Lattice, syllables: Sequence[str], rows: int = 5) -> str:
    """An SVG picture: each word a box over its syllables, the words of the best path filled.

    Words that begin and end at the same places stand one below the other, the `rows` heaviest of
    them; longer words below shorter ones.
    """
    best = set(_best_spans(lattice.best()[0].words))
    shown = list(_shown_arcs(lattice, rows))
    boxes, free = [], [TOP] * len(syllables)
    for arc in sorted(shown, key=lambda arc: (arc.end - arc.start, arc.start, -lattice.forward[arc])):
        top = max(free[arc.start:arc.end])
        boxes.append(_box(arc, top, (arc.start, arc.word) in best))
        free[arc.start:arc.end] = [top + ROW] * (arc.end - arc.start)
    names = [_text((place + 0.5) * STEP, 26, syllable) for place, syllable in enumerate(syllables)]
    width, height = STEP * len(syllables), max(free) + 6
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            'style="max-width: 100%; height: auto" font-family="sans-serif" font-size="16">'
            f'<rect width="100%" height="100%" fill="white"/>{"".join(names + boxes)}</svg>')


def _best_spans(words: Iterable[str]) -> Iterable[tuple[int, str]]:
    start = 0
    for word in words:
        yield start, word
        start += len(word)


def _shown_arcs(lattice: Lattice, rows: int) -> Iterable[Arc]:
    """The heaviest arcs of each span, in the order in which the lattice has them."""
    spans: dict[tuple[int, int], list[Arc]] = {}
    for step in lattice.steps[1:]:
        for arc in step:
            spans.setdefault((arc.start, arc.end), []).append(arc)
    for arcs in spans.values():
        yield from sorted(arcs, key=lattice.forward.__getitem__, reverse=True)[:rows]


def _box(arc: Arc, top: int, chosen: bool) -> str:
    left, width = arc.start * STEP + 4, (arc.end - arc.start) * STEP - 8
    fill, ink = ("#1f5fa8", "white") if chosen else ("#eef2f7", "black")
    return (f'<rect x="{left}" y="{top}" width="{width}" height="{ROW - 6}" rx="6" fill="{fill}"/>'
            + _text(left + width / 2, top + 20, arc.word, ink))


def _text(x: float, y: float, text: str, ink: str = "black") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{ink}">{escape(text)}</text>'
