"""Lines of pinyin into lines of hanzi, and what passes through."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.pinyin import Inventory, hanzi_to_pinyin
from ramospeech.pinyin_to_hanzi import LONGEST_RUN, Converter, read_lines

CONVERTER = Converter.load()


@pytest.mark.parametrize("hanzi", [
    "上海植物园", "今天天气很好", "我们在北京大学学习中文", "他慢慢地走", "跑得很快", "美丽的花",
    "一九九八年三月十二日", "百分之二十五", "银行里有很多行人",
])
def test_plain_sentences_come_back(hanzi):
    assert CONVERTER.convert(" ".join(hanzi_to_pinyin(hanzi))) == hanzi


@pytest.mark.parametrize("line, hanzi", [
    ("", ""), ("   ", ""),
    ("NBA", "NBA"), ("wo3 ai4 NBA 2 K", "我爱NBA 2 K"), ("<UNK> gu3", "<UNK>股"),
    ("fong3 shang4 hai3", "fong3上海"), ("ni3 hao3 ， shi4 jie4 ！", "你好，世界！"),
    ("Ni3 hao3", "Ni3好"), ("nü3 ren2", "女人"), ("nu\u03083 ren2", "女人"), ("ma5", "吗"),
    ("12.5 %", "12.5 %"), ("你 hao3", "你好"),
])
def test_what_is_no_syllable_passes_through(line, hanzi):
    assert CONVERTER.convert(line) == hanzi


items = st.one_of(st.sampled_from(Inventory.read().symbols[1:]),
                  st.sampled_from(["NBA", "K", "3", "，", "fong3", "ni35", "shi40", "😀", "한국"]))


@settings(max_examples=50)
@given(st.lists(items, max_size=12))
def test_nothing_is_lost(line):
    """A hanzi for each syllable that can be written, and every other item as it stands."""
    hanzi = CONVERTER.convert(" ".join(line))
    kept = [item for item in line if not CONVERTER.model.readings((item,))]
    assert len(hanzi.replace(" ", "")) == len(line) - len(kept) + sum(map(len, kept))
    rest = hanzi
    for item in kept:
        assert item in rest
        rest = rest.split(item, 1)[1]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["shi4", "de", "NBA", "hao3", "yi1"]), max_size=6), st.integers(1, 9))
def test_candidates(line, count):
    candidates = CONVERTER.candidates(" ".join(line), count)
    assert candidates[0].hanzi == CONVERTER.convert(" ".join(line))
    assert len({candidate.hanzi for candidate in candidates}) == len(candidates) <= count
    assert sum(candidate.probability for candidate in candidates) <= 1 + 1e-9


def test_all_candidates_of_a_syllable_add_up_to_one():
    candidates = CONVERTER.candidates("yi4", 10_000)
    assert len(candidates) > 100
    assert sum(candidate.probability for candidate in candidates) == pytest.approx(1)


def test_a_line_without_an_end_is_cut():
    hanzi = CONVERTER.convert("shang4 hai3 " * LONGEST_RUN)
    assert hanzi == "上海" * LONGEST_RUN


def test_lines_are_numbered_where_they_are_broken():
    file = io.BytesIO("\ufeffni3\r\nhao3\n".encode() + b"\xff\n")
    lines = read_lines(file, "a.txt")
    assert [next(lines), next(lines)] == ["ni3", "hao3"]
    with pytest.raises(ValueError, match="a.txt, line 3: not UTF-8"):
        next(lines)
