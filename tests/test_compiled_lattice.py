"""The compiled lattice of long runs, against the lattice that can be read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_word_lattice import models, sets

from ramospeech.language import pinyin_to_hanzi
from ramospeech.language.compiled_lattice import CompiledLattice, WordModelArrays
from ramospeech.language.pinyin_to_hanzi import Converter
from ramospeech.language.word_lattice import Lattice, certain_sets
from ramospeech.language.word_model import WordModel

ALL = 1000  # more than there are arcs, or ways to write


def assert_same(few: CompiledLattice, plain: Lattice, count: int) -> None:
    found, right = few.best(), plain.best(count)
    assert few.total == pytest.approx(plain.total)
    assert [item.score for item in found] == pytest.approx([item.score for item in right])
    for item in found:
        same = [other.score for other in plain.best(ALL) if other.hanzi == item.hanzi]
        assert same == [pytest.approx(item.score)]
        assert few.log_prob(item.hanzi) == pytest.approx(plain.log_prob(item.hanzi), abs=1e-9)


@settings(max_examples=60)
@given(sets, models(), st.integers(1, 6))
def test_as_the_plain_lattice(sets, model, count):
    found = CompiledLattice.build(sets, WordModelArrays.from_model(model), count, beam_size=ALL)
    assert_same(found, Lattice.build(sets, model, beam_size=None), count)


@pytest.fixture(scope="module")
def converter() -> Converter:
    return Converter.load()


TEXT = ("jin1 tian1 de tian1 qi4 hen3 hao3 wo3 men xiang3 qu4 gong1 yuan2 wan2 er2 hou4 hui2 jia1 chi1 "
        "fan4 ta1 shuo1 ming2 tian1 hui4 xia4 yu3 suo3 yi3 wo3 men ying1 gai1 dai4 shang4 yu3 san3 ").split()


def test_the_tables_give_the_answers_of_the_plain_lattice(converter):
    run = certain_sets(TEXT)
    found = CompiledLattice.build(run, WordModelArrays.from_model(converter.model), 3)
    plain = Lattice.build(run, converter.model)
    assert [item.words for item in found.best()] == [item.words for item in plain.best(3)]
    assert found.total == pytest.approx(plain.total)
    for item in found.best():
        assert found.log_prob(item.hanzi) == pytest.approx(plain.log_prob(item.hanzi))


def test_windows_write_what_one_lattice_does(converter, monkeypatch):
    run = certain_sets(TEXT * 8)
    whole = CompiledLattice.build(run, converter._arrays)
    monkeypatch.setattr(pinyin_to_hanzi, "WINDOW", 50)
    built = []
    build = CompiledLattice.build

    def counted(sets, *rest, **named):
        built.append(len(sets))
        return build(sets, *rest, **named)

    monkeypatch.setattr(CompiledLattice, "build", counted)
    assert converter.convert(" ".join(TEXT * 8)) == whole.best()[0].hanzi
    assert max(built) == 50 + pinyin_to_hanzi.LOOKAHEAD  # what is held at once
    assert len(built) <= 8


def test_a_run_longer_than_a_plain_lattice_takes(converter, monkeypatch):
    """The two ways to write a run agree where both can."""
    line = " ".join(TEXT * 4)
    plain = converter.candidates(line, 3)
    monkeypatch.setattr(pinyin_to_hanzi, "LONGEST_RUN", 10)
    long = converter.candidates(line, 3)
    assert [item.hanzi for item in long] == [item.hanzi for item in plain]
    assert [item.log_prob for item in long] == pytest.approx([item.log_prob for item in plain])


def test_a_gap_is_named(converter):
    with pytest.raises(ValueError, match=r"no hanzi is pronounced xx9 \(syllable 2\)"):
        CompiledLattice.build(certain_sets(["ma1", "xx9"]), WordModelArrays.from_model(WordModel.load()))
