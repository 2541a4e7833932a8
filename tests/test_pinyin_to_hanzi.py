"""Lines of pinyin into lines of hanzi, and what passes through."""

import io
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.pinyin_to_hanzi import LONGEST_RUN, Converter, read_lines
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.language.word_model import TABLES, Weights, WordModel

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
    ("nü3 ren2", "女人"), ("nu\u03083 ren2", "女人"), ("ma5", "吗"),
    ("12.5 %", "12.5 %"), ("你 hao3", "你好"),
])
def test_what_is_no_syllable_passes_through(line, hanzi):
    assert CONVERTER.convert(line) == hanzi


@pytest.mark.parametrize("line, hanzi", [
    ("ni3 hao3, shi4 jie4!", "你好, 世界!"), ("ni3 hao3，shi4 jie4。", "你好，世界。"),
    ("(ni3 hao3)", "(你好)"), ('"ni3 hao3" ta1 shuo1.', '"你好" 他说.'), ("ni3-hao3", "你-好"),
    ("3yue4 15 ri4", "3月15日"), ("NBA, wo3", "NBA, 我"),
])
def test_signs_stay_where_they_were(line, hanzi):
    assert CONVERTER.convert(line) == hanzi


@pytest.mark.parametrize("line", [
    "shang4hai3 zhi2wu4yuan2", "shàng hǎi zhí wù yuán", "shànghǎi zhíwùyuán", "shang hai zhi wu yuan",
    "shanghai zhiwuyuan", "Shang4 Hai3 Zhi2 wu4 yuan2", "SHANG4HAI3 ZHI2 WU4 YUAN2",
    "shang４ hai３ zhi２ wu４ yuan２", "shang⁴ hai³ zhi² wu⁴ yuan²",
    unicodedata.normalize("NFD", "shàng hǎi zhíwùyuán"),
])
def test_the_same_in_many_spellings(line):
    assert CONVERTER.convert(line) == "上海植物园"


@pytest.mark.parametrize("line, hanzi", [
    ("peng2 you5", "朋友"), ("zhi1 dao", "知道"), ("shi4 qing", "事情"),
    ("zhe4 ge4", "这个"), ("er2 zi3", "儿子"), ("jie3 jie5", "姐姐"),
    ("kan4 kan5", "看看"), ("zhan4 qi5 lai5", "站起来"), ("pian2 yi5", "便宜"), ("ma1ma", "妈妈"),
    ("péng you", "朋友"), ("hua1 r5", "花儿"), ("yi4 dianr3", "一点儿"), ("nar3", "哪儿"),
    ("lyu4 se4", "绿色"), ("nue4 dai4", "虐待"), ("jv4 zi", "句子"), ("shei2", "谁"),
    ("ng4", "嗯"), ("wo3 dei3 zou3 le5", "我得走了"), ("zhi1 dao shenme", "知道什么"),
    ("wo3 zai4 Beijing xue2xi2 pinyin", "我在北京学习拼音"), ("ni3 he wo3", "你和我"),
    ("ta1 shi shei", "他是谁"), ("ni3 hao3 data", "你好data"),
])
def test_what_people_type(line, hanzi):
    assert CONVERTER.convert(line) == hanzi


@pytest.mark.parametrize("sentence", [
    "张帽字子培直隶苏州府人", "曹烨字石帆徽州府人", "江信隆自小便爱好足球",
])
def test_full_tones_are_not_taken_for_neutral_ones(sentence):
    """Those of the dictionary: the same is written as at a price that is never paid."""
    model = CONVERTER.model
    weights = Weights(neutral_penalty=1e3)
    never = Converter(WordModel(model.words, model.word_pairs, model.hanzi_pairs, weights))
    line = " ".join(hanzi_to_pinyin(sentence))
    assert CONVERTER.convert(line) == never.convert(line)


def test_everyday_words_with_neutral_tones():
    """By CC-CEDICT; some words are written otherwise as often (师傅 and 师父), so not all are right."""
    lines = (TABLES / "neutral_tones.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len(rows) >= 300
    right = sum(CONVERTER.convert(reading) == word for word, reading in rows)
    assert right / len(rows) >= 0.95


@pytest.mark.parametrize("line, odd", [
    ("ni3 hao3", []), ("wo3 ai4 NBA 2 K , 12.5 %", []), ("fong3 hao3", ["fong3"]),
    ("hao3 hello", ["hello"]), ("I can see", ["can", "see"]), ("wo3 game", ["game"]), ("wo3 zhidao", []),
])
def test_what_is_not_understood(line, odd):
    assert CONVERTER.unrecognised_words(line) == odd


items = st.one_of(st.sampled_from(Vocabulary.read().symbols[1:]),
                  st.sampled_from(["NBA", "K", "3", "，", "fong3", "ni35", "shi40", "😀", "한국"]))


@settings(max_examples=50)
@given(st.lists(items, max_size=12))
def test_nothing_is_lost(line):
    """A hanzi for each syllable that can be written, and every other item as it stands."""
    hanzi = CONVERTER.convert(" ".join(line))
    kept = [item for item in line if not CONVERTER.model.homophones((item,))]
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
