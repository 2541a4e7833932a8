"""The picture of a lattice: all that is shown is there, and in its place."""

from xml.etree import ElementTree

from ramospeech.language.word_lattice import Lattice, certain_sets
from ramospeech.language.word_model import WordModel
from ramospeech.notebook.lattice_drawing import STEP, draw_lattice

SVG = "{http://www.w3.org/2000/svg}"
SYLLABLES = ["shang4", "hai3", "zhi2", "wu4", "yuan2"]
LATTICE = Lattice.build(certain_sets(SYLLABLES), WordModel.load())
PICTURE = ElementTree.fromstring(draw_lattice(LATTICE, SYLLABLES, rows=3))


def boxes() -> list[tuple[str, float, float, float, str]]:
    """Word, left, right, top and colour of each."""
    rectangles = PICTURE.findall(f"{SVG}rect")[1:]  # the first is the paper
    words = PICTURE.findall(f"{SVG}text")[len(SYLLABLES):]
    return [(word.text, float(box.get("x")), float(box.get("x")) + float(box.get("width")),
             float(box.get("y")), box.get("fill")) for box, word in zip(rectangles, words, strict=True)]


def test_syllables_and_words_are_named():
    names = [text.text for text in PICTURE.findall(f"{SVG}text")]
    assert names[:5] == SYLLABLES and {"上海", "植物园", "植物", "上"} <= set(names[5:])


def test_a_box_is_as_wide_as_its_word():
    assert all(len(word) * STEP - 20 <= right - left <= len(word) * STEP
               for word, left, right, _, _ in boxes())


def test_the_best_path_stands_out():
    colours = {word: colour for word, *_, colour in boxes()}
    chosen = [word for word, colour in colours.items() if colour == colours["上海"]]
    assert chosen == ["上海", "植物园"]


def test_all_of_it_is_seen_on_a_narrow_page():
    """It shrinks as a whole: what is drawn lies inside the view, whose width may not exceed the page."""
    left, top, width, height = map(float, PICTURE.get("viewBox").split())
    assert "max-width: 100%" in PICTURE.get("style") and PICTURE.get("height") is None
    assert all(left <= start and end <= left + width and top <= y < top + height
               for _, start, end, y, _ in boxes())


def test_no_box_lies_on_another():
    found = boxes()
    for number, (_, left, right, top, _) in enumerate(found):
        assert not [other for other in found[number + 1:]
                    if other[3] == top and other[1] < right and left < other[2]]
