"""Hanzi to pinyin, the parts of a syllable, and the vocabulary of classes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypinyin import Style, lazy_pinyin
from pypinyin.constants import PHRASES_DICT

from ramospeech.config.paths import DATA_CONFIG
from ramospeech.language.pinyin import (
    INITIALS, Syllable, base_syllable, hanzi_to_pinyin, is_syllable, split_syllable,
)
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary

VOCABULARY = Vocabulary.read()
SYLLABLES = VOCABULARY.symbols[2:]


@pytest.mark.parametrize("hanzi, pinyin", [
    ("银行", "yin2 hang2"), ("行人", "xing2 ren2"),  # 行
    ("长大", "zhang3 da4"), ("长江", "chang2 jiang1"),  # 长
    ("音乐", "yin1 yue4"), ("快乐", "kuai4 le4"),  # 乐
    ("重复", "chong2 fu4"), ("重要", "zhong4 yao4"),  # 重
    ("上海植物园", "shang4 hai3 zhi2 wu4 yuan2"),
    ("绿", "lv4"), ("虐", "nve4"),  # v for ü
    ("我的", "wo3 de"), ("桌子", "zhuo1 zi"),  # the neutral tone has no number
    ("花儿", "hua1 er2"), ("一会儿", "yi1 hui4 er"),  # 儿 is a syllable of its own
    ("嗯", "en2"), ("〇", "ling2"),
])
def test_hanzi_are_read_by_phrase(hanzi, pinyin):
    assert " ".join(hanzi_to_pinyin(hanzi)) == pinyin


PHRASES = st.sampled_from(sorted(PHRASES_DICT))
CHARACTERS = st.text(st.sampled_from("".join(sorted(set("".join(PHRASES_DICT)))) + "，。！ aＫ"))


@given(st.lists(st.one_of(PHRASES, CHARACTERS)).map("".join))
def test_the_phrases_are_read_as_in_the_whole_text(text):
    whole = lazy_pinyin("".join(unicodedata.normalize("NFKC", text).split()), style=Style.TONE3,
                        errors=lambda rest: [UNK for char in rest if char.isalpha()])
    plain = {"n2": "en2", "n4": "en4", "ng2": "en2", "ng4": "en4"}
    assert hanzi_to_pinyin(text, as_written=True) == [plain.get(syllable, syllable) for syllable in whole]


@pytest.mark.parametrize("text, pinyin", [
    ("你好，世界！", ["ni3", "hao3", "shi4", "jie4"]),
    ("12.5%", ["yi1", "er4", "wu3"]),
    ("２０１９年", ["er4", "ling2", "yi1", "jiu3", "nian2"]),
    ("A股", [UNK, "gu3"]), ("Ｂ超", [UNK, "chao1"]), ("卡拉OK", ["ka3", "la1", UNK, UNK]),
    ("한국", [UNK, UNK]), ("カラ", [UNK, UNK]), ("é", [UNK]), ("e\u0301", [UNK]),
    ("", []), (" \n\t…—、《》😀", []),
])
def test_what_is_not_hanzi_has_a_stated_way(text, pinyin):
    assert hanzi_to_pinyin(text) == pinyin


PIECES = (  # kinds of characters and whether they are spoken
    st.tuples(st.sampled_from("我你他好银行长乐重得地了一不人大天中国儿女绿嗯的"), st.just(True)),
    st.tuples(st.sampled_from("abzABZ０９ａＺ0123456789éñщかカ한"), st.just(True)),
    st.tuples(st.sampled_from("，。！？、；：“”（）《》…—·-,.!?% \t\n$+=<>😀\u200b"), st.just(False)),
)


@given(st.lists(st.one_of(*PIECES)))
def test_one_token_for_each_letter_digit_and_hanzi(pieces):
    tokens = hanzi_to_pinyin("".join(character for character, _ in pieces))
    assert len(tokens) == sum(spoken for _, spoken in pieces)


@given(st.text())
def test_whatever_the_text_every_token_is_spelt_like_a_syllable(text):
    assert all(is_syllable(token) for token in hanzi_to_pinyin(text))


def test_every_common_hanzi_has_one_syllable():
    common = [char for char in map(chr, range(0x4E00, 0x9FA6)) if char.encode("gb2312", "ignore")]
    assert len(common) == 6763  # as the standard GB 2312 has it
    tokens = [hanzi_to_pinyin(char) for char in common]
    assert all(len(token) == 1 and is_syllable(token[0]) for token in tokens)
    assert [UNK] not in tokens


@pytest.mark.parametrize("syllable, parts", [
    ("zhuang4", ("zh", "uang", 4)), ("hao3", ("h", "ao", 3)), ("de", ("d", "e", 5)),
    ("ai4", ("", "ai", 4)), ("er2", ("", "er", 2)), ("yi1", ("", "i", 1)), ("wu3", ("", "u", 3)),
    ("yu2", ("", "v", 2)), ("ju4", ("j", "v", 4)), ("lv4", ("l", "v", 4)), ("lu4", ("l", "u", 4)),
    ("yuan2", ("", "van", 2)), ("liu2", ("l", "iou", 2)), ("hui4", ("h", "uei", 4)),
    ("lun2", ("l", "uen", 2)), ("shi4", ("sh", "i", 4)), ("yo1", ("", "io", 1)),
    ("o1", ("", "o", 1)), ("hm", ("", "hm", 5)), ("ng4", ("", "ng", 4)),
])
def test_split_syllable(syllable, parts):
    assert split_syllable(syllable) == Syllable(*parts)


def spell(syllable: Syllable) -> str:
    """The rules of Hanyu Pinyin (1958) that turn an initial and a final into a spelling."""
    initial, final, tone = syllable
    if initial:
        final = {"iou": "iu", "uei": "ui", "uen": "un"}.get(final, final)
        if initial in ("j", "q", "x"):
            final = final.replace("v", "u")
    elif final.startswith("v"):
        final = "yu" + final[1:]
    elif final in ("i", "in", "ing"):
        final = "y" + final
    elif final.startswith("i"):
        final = "y" + final[1:]
    elif final.startswith("u"):
        final = "w" + (final[1:] or "u")
    return initial + final + ("" if tone == 5 else str(tone))


def test_every_class_is_made_of_its_parts():
    assert [spell(split_syllable(symbol)) for symbol in SYLLABLES] == list(SYLLABLES)


def test_the_parts_are_few():
    parts = [split_syllable(symbol) for symbol in SYLLABLES]
    assert len(set(parts)) == len(SYLLABLES)
    assert INITIALS == "b p m f d t n l g k h j q x zh ch sh r z c s".split()
    assert {part.initial for part in parts} == {*INITIALS, ""}
    assert {part.tone for part in parts} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("wrong", [
    "", "hello", "shnag4", "hao5", "hao0", "hao33", "3", "hao3 ", " hao3", "Hao3", "lü4", "hǎo",
    "zh4", "b", "xyz3", "hao3\n", PAD, "你",
])
def test_what_is_no_syllable_is_refused(wrong):
    assert not is_syllable(wrong)
    with pytest.raises(ValueError, match="not a toned pinyin syllable"):
        split_syllable(wrong)


def test_base_syllable():
    assert [base_syllable(s) for s in ("hao3", "de", "lv4", UNK)] == ["hao", "de", "lv", UNK]


def test_the_vocabulary_has_1215_classes():
    lines = (DATA_CONFIG / "syllables.txt").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(set(lines)) == len(VOCABULARY) == 1215
    assert lines[:2] == [PAD, UNK]
    assert tuple(lines) == VOCABULARY.symbols
    assert all(is_syllable(syllable) for syllable in SYLLABLES)


@given(st.lists(st.sampled_from(VOCABULARY.symbols)))
def test_decode_undoes_encode(symbols):
    assert VOCABULARY.decode(VOCABULARY.encode(symbols)) == symbols


def test_an_unknown_syllable_becomes_unk():
    assert "fong3" not in VOCABULARY and "hao3" in VOCABULARY
    assert VOCABULARY.decode(VOCABULARY.encode(["hao3", "fong3"])) == ["hao3", UNK]


@pytest.mark.parametrize("symbols", [(), (PAD,), (UNK, PAD), (PAD, UNK, "a1", "a1"), ("a1", "a2")])
def test_a_wrong_vocabulary_is_refused(symbols):
    with pytest.raises(ValueError, match="a vocabulary"):
        Vocabulary(symbols)


def test_no_phrase_reaches_across_punctuation():
    assert hanzi_to_pinyin("银行") == ["yin2", "hang2"]
    assert hanzi_to_pinyin("银 行") == ["yin2", "hang2"]  # words are often set apart by spaces
    assert hanzi_to_pinyin("银，行") == ["yin2", "xing2"]
