"""Manifests: a round trip changes nothing, and no invalid line is read silently."""

import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ramospeech.data.manifest import ManifestError, Utterance, parse_line, read_manifest, write_manifest
from ramospeech.language.vocabulary import UNK, Vocabulary
from ramospeech.utils.files import write_text

GOOD = "S0002/a.wav\tni3 hao3\t你好"
SYLLABLES = st.sampled_from(Vocabulary.read().symbols[1:])

names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S"),
                              exclude_characters="\\/")).filter(lambda name: name not in ("", ".."))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
hanzi = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))).map(str.strip)
utterances = st.builds(
    Utterance, paths, st.lists(SYLLABLES, min_size=1).map(" ".join), hanzi
)
manifests = st.lists(utterances, min_size=1, unique_by=lambda utterance: utterance.path)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "lists" / "train.txt"


def read_bytes(data: bytes) -> list[Utterance]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_bytes(data)
        return read_manifest(path)


@given(manifests)
def test_a_round_trip_changes_nothing(written):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        write_manifest(path, iter(written))
        assert read_manifest(path) == written
        lines = path.read_bytes().decode("utf-8").split("\n")
        assert lines == ["\t".join(utterance) for utterance in written] + [""]


LINE_PIECES = st.sampled_from([
    *"\t\t\t\r\n \ufeff\x00\x0b\x1c\u2028ab./\\", "ni3", "hao3", "你好", "x.wav", GOOD,
])


@given(st.one_of(
    st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(LINE_PIECES).map(lambda pieces: "".join(pieces).encode()),
))
@example(b"")
@example(b"\n")
@example(GOOD.encode() + b"\n\n")
def test_any_file_is_read_or_refused_with_file_line_and_reason(data):
    try:
        found = read_bytes(data)
    except ManifestError as error:
        assert re.match(r".*list\.txt(, line \d+)?: .+", str(error), re.DOTALL)
        return
    lines = re.split("\r\n|\r|\n", data.decode("utf-8"))
    assert len(found) == len(lines) - (lines[-1] == "")


@given(manifests, st.data())
def test_the_invalid_line_is_named(written, data):
    lines = ["\t".join(utterance) for utterance in written]
    number = data.draw(st.integers(1, len(lines)), label="number of the wrong line")
    wrong = data.draw(st.sampled_from(["", "no tabs", "a\tni3", "b\tni3\t你\tmore", "\tni3\t你"]))
    lines.insert(number - 1, wrong)
    with pytest.raises(ManifestError, match=rf"list\.txt, line {number}: "):
        read_bytes("\n".join([*lines, ""]).encode())


def test_line_ends_of_any_platform():
    two = [GOOD, "b.wav\tma\t"]
    expected = [Utterance("S0002/a.wav", "ni3 hao3", "你好"), Utterance("b.wav", "ma", "")]
    for end in ("\n", "\r\n", "\r"):
        assert read_bytes((end.join(two) + end).encode()) == expected
        assert read_bytes(end.join(two).encode()) == expected  # no end after the last line
    assert read_bytes(("\n".join(two)).encode("utf-8-sig")) == expected  # as Windows editors save


@pytest.mark.parametrize("line, reason", [
    ("", "expected 3 fields separated by tabs, found 1"),
    ("a.wav ni3 hao3 你好", "expected 3 fields separated by tabs, found 1"),
    ("a.wav\tni3 hao3", "expected 3 fields separated by tabs, found 2"),
    ("a.wav\tni3\t你\t", "expected 3 fields separated by tabs, found 4"),
    ("\tni3\t你", "no path"), ("  \tni3\t你", "no path"),
    ("/home/me/a.wav\tni3\t你", "not inside the data root"),
    ("../a.wav\tni3\t你", "not inside the data root"),
    ("b/../../a.wav\tni3\t你", "not inside the data root"),
    ("b\\a.wav\tni3\t你", "backslash"), ("a\0.wav\tni3\t你", "unprintable"),
    ("a.wav\t\t你", "no pinyin"), ("a.wav\t \t你", "no pinyin"),
    ("a.wav\tni3 hao5\t你好", "'hao5' is not a toned pinyin syllable"),
    ("a.wav\tni3 Hao3\t你好", "'Hao3' is not a toned pinyin syllable"),
    ("a.wav\tnǐ\t你", "'nǐ' is not a toned pinyin syllable"),
    ("a.wav\t你\tni3", "'你' is not a toned pinyin syllable"),
    ("a.wav\thello world\t", "'hello' is not a toned pinyin syllable"),
])
def test_an_invalid_line_is_refused_with_the_reason(line, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_line(line)
    with pytest.raises(ManifestError, match=rf"list\.txt, line 2: .*{re.escape(reason)}"):
        read_bytes(f"{GOOD}\n{line}\nc.wav\tni3\t你\n".encode())


def test_parse_line():
    assert parse_line(GOOD).syllables == ["ni3", "hao3"]
    assert parse_line(f"a.wav\t {UNK}  gu3 \t A股 ") == Utterance("a.wav", f"{UNK} gu3", "A股")
    assert parse_line("a b.wav\tma\t") == Utterance("a b.wav", "ma", "")


def test_a_duplicate_path_is_refused():
    with pytest.raises(ManifestError, match="line 3: the path 'S0002/a.wav' occurs twice"):
        read_bytes(f"{GOOD}\nb.wav\tni3\t你\n{GOOD}\n".encode())


def test_bytes_that_are_not_utf8_are_refused_at_their_line():
    many = "".join(f"{number}.wav\tni3\t你\n" for number in range(1, 2001)).encode()
    with pytest.raises(ManifestError, match="line 2001: not UTF-8"):
        read_bytes(many + "x.wav\tni3\t你\n".encode("gb2312"))


@pytest.mark.parametrize("wrong, reason", [
    (Utterance("a.wav", "ni3 hao5", "你好"), "'hao5' is not"), (Utterance("a.wav", "", "你"), "no pinyin"),
    (Utterance("/a.wav", "ni3", "你"), "not inside"), (Utterance("a\tb.wav", "ni3", "你"), "found 4"),
    (Utterance("a.wav", "ni3", "你\n好"), "line break"), (Utterance("a\r.wav", "ni3", "你"), "line break"),
    (Utterance("\ufeffa.wav", "ni3", "你"), "unprintable"),
    (Utterance("first.wav", "ni3", "你"), "occurs twice"),
])
def test_invalid_utterances_are_not_written(manifest, wrong, reason):
    first = Utterance("first.wav", "ma1", "妈")
    write_manifest(manifest, [first])
    with pytest.raises(ValueError, match=reason):
        write_manifest(manifest, [first, wrong])
    assert read_manifest(manifest) == [first]  # the file is unchanged
    assert list(manifest.parent.iterdir()) == [manifest]  # and there is no temporary file


def test_an_empty_manifest_is_neither_read_nor_written(manifest):
    with pytest.raises(ValueError, match="at least one utterance"):
        write_manifest(manifest, [])
    assert not manifest.exists()
    with pytest.raises(ManifestError, match="empty"):
        read_bytes(b"")


def test_writing_is_atomic(manifest):
    write_text(manifest, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(manifest, "new \ud800")
    assert manifest.read_text() == "old"
    assert list(manifest.parent.iterdir()) == [manifest]
