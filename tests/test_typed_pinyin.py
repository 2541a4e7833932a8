"""Pinyin as people type it, against what pypinyin writes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypinyin.contrib.tone_convert import tone3_to_tone

from ramospeech.language.pinyin import respell, split_syllable
from ramospeech.language.typed_pinyin import UNTONED, TypedSyllable, read_line, read_word
from ramospeech.language.vocabulary import Vocabulary

SYLLABLES = [symbol for symbol in Vocabulary.read().symbols[2:] if set(symbol) & set("aeiouv")]
syllables = st.sampled_from([symbol for symbol in SYLLABLES if symbol[-1] in "1234"])


def spelt(word: str) -> list[str]:
    return [respell(f"{base}{tone or 5}") for base, tone in read_word(word)]


@pytest.mark.parametrize("syllable", SYLLABLES)
def test_every_syllable_in_every_spelling(syllable):
    marked = tone3_to_tone(syllable).replace("v", "ü")
    assert marked == syllable or split_syllable(syllable).tone != 5
    numbered = syllable if syllable[-1].isdigit() else syllable + "5"
    for word in (syllable, syllable.upper(), syllable.capitalize(), numbered, marked,
                 marked.upper(), unicodedata.normalize("NFD", marked), numbered.replace("v", "u:"),
                 numbered.replace("v", "ü"), numbered.translate(str.maketrans("12345", "１２３４５")),
                 numbered.translate(str.maketrans("12345", "¹²³⁴⁵"))):
        assert spelt(word) == [syllable], word


@given(st.lists(syllables, min_size=1, max_size=6))
def test_glued_syllables_with_numbers_or_apostrophes(row):
    assert spelt("".join(row)) == spelt("'".join(row)) == row
    assert spelt("'".join(map(tone3_to_tone, row)).replace("v", "ü")) == row


@pytest.mark.parametrize("word, expected", [
    ("xian", "xian"), ("xi'an", "xi an"), ("xi’an", "xi an"), ("fangan", "fan gan"),
    ("fang'an", "fang an"), ("tiananmen", "tian an men"), ("wanr2", "wan2 er"), ("huar1", "hua1 er"),
    ("yīdiǎnr", "yi1 dian3 er"), ("huaren2", "hua ren2"), ("r5", "er"), ("lyu4", "lv4"),
    ("lue4", "lve4"), ("qv4", "qu4"), ("ng4", "ng4"), ("hm", "hm"), ("ma0", "ma"),
    ("hello", ""), ("see", ""), ("ni35", ""), ("mp3", ""), ("한국", ""), ("n'n", ""), ("'", ""),
])
def test_words(word, expected):
    assert " ".join(spelt(word)) == expected


def line(text: str) -> list[tuple]:
    return [item.syllables for piece in read_line(text) for item in piece]


def test_what_has_no_tone_is_light_beside_tones_and_open_by_itself():
    assert line("péng you") == [(TypedSyllable("peng", 2),), (TypedSyllable("you", UNTONED),)]
    assert line("péngyou") == [(TypedSyllable("peng", 2), TypedSyllable("you", UNTONED))]
    assert line("peng you") == [(TypedSyllable("peng", None),), (TypedSyllable("you", None),)]
    assert line("péng women You") == [(TypedSyllable("peng", 2),), (), ()]


def test_toneless_words_beside_tones_are_read_if_they_are_words():
    asked = []
    pieces = read_line("péng women NBA You hello", lambda word: asked.append(word) or True)
    we = (TypedSyllable("wo", UNTONED), TypedSyllable("men", UNTONED))
    assert asked == [we] and pieces[1][0].syllables == we and not pieces[1][0].unrecognised
    assert [item.unrecognised for (item,) in pieces] == [False, False, False, False, True]


@pytest.mark.parametrize("text", ["I can see a man", "hello women", "NBA A4 O2 12 %", "the man"])
def test_english_is_not_half_read(text):
    assert not any(line(text))


@given(st.text(max_size=20))
def test_no_character_is_lost(text):
    pieces = ["".join(item.text for item in piece) for piece in read_line(text)]
    assert pieces == text.split()
