"""The public corpora, each as a small tree in its real layout, with all its pitfalls."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.cli.main import main
from ramospeech.data.corpora import CORPORA, corpus_names, get_corpus, open_split, prepare
from ramospeech.data.preparation import CorpusError, Preparation, split_by_hash
from ramospeech.data.recipes import aishell as aishell_recipe
from ramospeech.data.recipes import thchs as thchs_recipe
from ramospeech.language.pinyin import is_syllable, respell


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def kept(name: str) -> dict[str, tuple[str, str, str]]:
    """Split, pinyin and hanzi of every kept utterance, by its path."""
    return {item.path: (split, item.pinyin, item.hanzi) for split in get_corpus(name).read_facts()["splits"]
            for item in open_split(name, split).utterances}


def recordings(tree: Path) -> int:
    return len({path.name for path in tree.rglob("*.wav")})


# THCHS-30 --------------------------------------------------------------------------------------

GREEN = "绿 是 阳春 烟 景 的 底色", "lv4 shi4 yang2 chun1 yan1 jing3 de5 di3 se4"
EYES = "两眼 发 黑 女儿", "liang2 yan3 fa1 hei1 nü3 er5"
JUDGED = "被 分别 判处 l = 六年", "bei4 fen1 bie2 pan4 chu3 liu4 nian2"
THCHS = {"train": {"A2_0": GREEN, "A4_0": GREEN, "B11_374": JUDGED},
         "dev": {"A2_1": GREEN}, "test": {"D11_750": EYES}}


@pytest.fixture
def thchs(tmp_path) -> Path:
    top = tmp_path / "data_thchs30"
    for split, utterances in THCHS.items():
        for name, (words, syllables) in utterances.items():
            write(top / "data" / f"{name}.wav", "RIFF")
            write(top / "data" / f"{name}.wav.trn", f"{words}\n{syllables}\nl v4 sh ix4\n")
            write(top / split / f"{name}.wav", "RIFF")
            write(top / split / f"{name}.wav.trn", f"../data/{name}.wav.trn")  # a link that became a file
    write(top / "README.TXT", "THCHS-30")
    return top


def spoil_thchs(top: Path) -> None:
    """Faults of a bad copy that the original does not have."""
    for name in ("A2_2", "A2_3", "A2_4", "A2_5"):
        write(top / "data" / f"{name}.wav", "RIFF")
        write(top / "train" / f"{name}.wav", "RIFF")
    write(top / "data" / "A2_3.wav.trn", "只有 一行\n")
    write(top / "data" / "A2_4.wav.trn", "你好\nni3 hallo\n")
    (top / "data" / "A2_5.wav.trn").write_bytes("你好\nni3 hao3\n".encode("gbk"))
    write(top / "train" / "A2_6.wav.trn", "../data/A2_6.wav.trn")
    write(top / "data" / "Z9_0.wav", "RIFF")
    (top / "data" / "A4_0.wav").unlink()  # only the one in train is left


def test_thchs_has_its_own_splits_and_its_own_pinyin(data_folder, thchs):
    found = prepare("thchs", thchs)
    assert kept("thchs") == {
        "data/A2_0.wav": ("train", "lv4 shi4 yang2 chun1 yan1 jing3 de di3 se4", "绿是阳春烟景的底色"),
        "data/A4_0.wav": ("train", "lv4 shi4 yang2 chun1 yan1 jing3 de di3 se4", "绿是阳春烟景的底色"),
        "data/B11_374.wav": ("train", "bei4 fen1 bie2 pan4 chu3 liu4 nian2", "被分别判处六年"),
        "data/A2_1.wav": ("dev", "lv4 shi4 yang2 chun1 yan1 jing3 de di3 se4", "绿是阳春烟景的底色"),
        "data/D11_750.wav": ("test", "liang2 yan3 fa1 hei1 nv3 er", "两眼发黑女儿"),
    }
    assert not found.skipped
    assert open_split("thchs", "test").label_source == "the pinyin of THCHS-30 itself"


def test_thchs_with_the_labels_of_pypinyin(data_folder, thchs):
    prepare("thchs", thchs, "pypinyin")
    assert kept("thchs")["data/D11_750.wav"][1] == "liang3 yan3 fa1 hei1 nv3 er2"
    assert kept("thchs")["data/B11_374.wav"][1] == "bei4 fen1 bie2 pan4 chu3 liu4 nian2"
    assert open_split("thchs", "test").label_source == "pypinyin 0.55"
    prepare("thchs", thchs)
    assert open_split("thchs", "test").label_source == "the pinyin of THCHS-30 itself"


def test_what_the_splits_of_thchs_share(data_folder, thchs):
    summary = prepare("thchs", thchs).summary().splitlines()
    assert summary[-1] == "  dev in train: the text of 1 of 1, 1 of 1 speakers"
    shared = get_corpus("thchs").read_facts()["shared"]
    assert shared["dev in train"] == {"utterances": 1, "of_utterances": 1,
                                      "speakers": 1, "of_speakers": 1}
    assert shared["test in train"]["utterances"] == shared["test in train"]["speakers"] == 0


def test_a_bad_copy_of_thchs_is_accounted_for(data_folder, thchs):
    spoil_thchs(thchs)
    found = prepare("thchs", thchs)
    assert found.skipped == {"no transcript": 1, "a transcript that cannot be read": 2,
                             "an invalid syllable": 1, "listed, but missing": 1,
                             "in no split": 1}
    assert "train/A4_0.wav" in kept("thchs")
    assert len(kept("thchs")) + found.skipped.total() - 1 == recordings(thchs)
    assert all((thchs / path).is_file() for path in kept("thchs"))


SYLLABLES = st.sampled_from(["lv4", "de5", "hao3", "er2", "nü3", "lue4", "jv2", "a5"])
HANZI = st.text("绿是阳春烟景的底色儿", min_size=1, max_size=4)


@given(st.lists(HANZI, min_size=1), st.lists(SYLLABLES, min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_a_transcript_is_words_and_syllables(words, syllables, end):
    text = end.join([" ".join(words), " ".join(syllables), "l v4", ""])
    hanzi, read = thchs_recipe.parse_transcript(text)
    assert hanzi == "".join(words)
    assert read == [respell(syllable) for syllable in syllables]
    assert all(map(is_syllable, read))


@pytest.mark.parametrize("text", ["", "\n", "绿 是", "绿 是\n \n", " l =\nlv4", "../data/A2_0.wav.trn"])
def test_an_incomplete_transcript_is_refused(text):
    with pytest.raises(ValueError, match="a line of words and one of syllables"):
        thchs_recipe.parse_transcript(text)


@pytest.mark.parametrize("theirs, ours", [
    ("de5", "de"), ("ma0", "ma"), ("nü3", "nv3"), ("nu:3", "nv3"), ("lue4", "lve4"), ("LV4", "lv4"),
    ("jv4", "ju4"), ("xve2", "xue2"), ("xue2", "xue2"), ("hao3", "hao3"), ("er5", "er"),
    ("<UNK>", "<unk>"), ("hallo", "hallo"),
])
def test_other_spellings_are_normalised(theirs, ours):
    assert respell(theirs) == ours


# AISHELL-1 -------------------------------------------------------------------------------------

AISHELL = {
    "BAC009S0002W0122": "而 对 楼市 成交", "BAC009S0002W0123": "ｋｔｖ 的 股票",
    "BAC009S0724W0121": "广州 市",
    "BAC009S0764W0121": "甚至 出现 交易", "BAC009S0764W0122": "", "BAC009S0002W0999": "没有 录音",
}
WAVS = {"train/S0002": ["BAC009S0002W0122", "BAC009S0002W0123", "BAC009S0002W0124"],
        "dev/S0724": ["BAC009S0724W0121"],
        "test/S0764": ["BAC009S0764W0121", "BAC009S0764W0122"]}


@pytest.fixture
def aishell(tmp_path) -> Path:
    """One recording without a transcript (the real corpus has 325), full-width Latin letters."""
    top = tmp_path / "data_aishell"
    for folder, names in WAVS.items():
        for name in names:
            write(top / "wav" / folder / f"{name}.wav", "RIFF")
    lines = [f"{name} {text}\n" for name, text in AISHELL.items()]
    write(top / aishell_recipe.TRANSCRIPT, "".join(lines))
    write(top / "wav" / "S0002.tar.gz", "the archive may still exist")
    return top


def test_aishell_is_accounted_for(data_folder, aishell):
    found = prepare("aishell", aishell.parent)
    assert kept("aishell") == {
        "wav/train/S0002/BAC009S0002W0122.wav": ("train", "er2 dui4 lou2 shi4 cheng2 jiao1", "而对楼市成交"),
        "wav/train/S0002/BAC009S0002W0123.wav":
            ("train", "<UNK> <UNK> <UNK> de gu3 piao4", "ｋｔｖ的股票"),
        "wav/dev/S0724/BAC009S0724W0121.wav": ("dev", "guang3 zhou1 shi4", "广州市"),
        "wav/test/S0764/BAC009S0764W0121.wav": ("test", "shen4 zhi4 chu1 xian4 jiao1 yi4", "甚至出现交易"),
    }
    assert found.skipped == {"no transcript": 1, "no hanzi in the transcript": 1,
                             "transcript without a recording": 1}
    assert len(kept("aishell")) + 2 == recordings(aishell)
    assert "no two splits share a text or a speaker" in found.summary()
    assert get_corpus("aishell").read_facts()["speakers"] == {"train": 1, "dev": 1, "test": 1}


def test_a_packed_aishell_says_how_to_unpack_it(data_folder, aishell):
    write(aishell / "wav" / "S0003.tar.gz", "packed")
    with pytest.raises(CorpusError, match=r"S0003\.tar\.gz is not unpacked: .* tar xzf"):
        prepare("aishell", aishell)
    assert not get_corpus("aishell").read_facts()


@pytest.mark.parametrize("part", ["wav/dev", "transcript", "wav"])
def test_an_incomplete_aishell_is_refused(data_folder, aishell, part):
    (aishell / part).rename(aishell / "elsewhere")
    with pytest.raises(CorpusError, match=f"no copy of aishell: .*/{part}.* is missing"):
        prepare("aishell", aishell)


def test_two_texts_for_one_recording_are_refused(data_folder, aishell):
    path = aishell / aishell_recipe.TRANSCRIPT
    path.write_text(path.read_text() + "BAC009S0724W0121 广州 市\nBAC009S0724W0121 上海 市\n")
    with pytest.raises(CorpusError, match="v0.8.txt, line 8: another text for BAC009S0724W0121"):
        prepare("aishell", aishell)


# Primewords ------------------------------------------------------------------------------------


def entry(number: int, speaker: str, file: str, text: str) -> dict:
    return {"id": str(number), "user_id": speaker, "file": file, "text": text, "length": "2.1"}


@pytest.fixture
def primewords(tmp_path) -> Path:
    top = tmp_path / "primewords_md_2018_set1"
    for name in ("00a.wav", "01b.wav", "a2c.wav", "a2d.wav", "f00.wav"):
        write(top / "audio_files" / name[0] / name[:2] / name, "RIFF")
    entries = [
        entry(1, "10001", "00a.wav", "你 去 哪里"), entry(2, "10001", "01b.wav", "十二 点"),
        entry(3, "10002", "a2c.wav", "有 12 个"), entry(4, "10002", "a2d.wav", "Ａ股 ， 涨 了"),
        entry(5, "10002", "gone.wav", "没有 了"), entry(6, "10001", "00a.wav", "你 去 哪里"),
    ]
    write(top / "set1_transcript.json", json.dumps(entries, ensure_ascii=False))
    return top


def test_primewords_is_accounted_for(data_folder, primewords):
    found = prepare("primewords", primewords.parent)
    first, second = split_by_hash("10001"), split_by_hash("10002")
    assert kept("primewords") == {
        "audio_files/0/00/00a.wav": (first, "ni3 qu4 na3 li3", "你去哪里"),
        "audio_files/0/01/01b.wav": (first, "shi2 er4 dian3", "十二点"),
        "audio_files/a/a2/a2d.wav": (second, "<UNK> gu3 zhang3 le", "Ａ股，涨了"),
    }
    assert found.skipped == {"digits, which have more than one pronunciation": 1, "no transcript": 1,
                             "listed, but missing": 1, "listed twice": 1}
    assert len(kept("primewords")) + 2 == recordings(primewords)


@pytest.mark.parametrize("text", ["", "{", "{}x", '{"id": 1}', '[{"file": "a.wav"}]', "[1]"])
def test_an_invalid_list_of_primewords_is_named(data_folder, primewords, text):
    write(primewords / "set1_transcript.json", text)
    with pytest.raises(CorpusError, match="set1_transcript.json is not a list of recordings"):
        prepare("primewords", primewords)


# ST-CMDS ---------------------------------------------------------------------------------------

ST_CMDS = {
    "20170001P00001A0001": "打开空调", "20170001P00001A0002": "你好，明天见",
    "20170001P00241I0052": "发qq消息", "20170001P00241I0053": "ok", "20170001P00241I0054": "下午3点",
}


@pytest.fixture
def st_cmds(tmp_path) -> Path:
    top = tmp_path / "ST-CMDS-20170001_1-OS"
    for name, text in ST_CMDS.items():
        write(top / f"{name}.wav", "RIFF")
        write(top / f"{name}.txt", text)  # no newline at its end
        (top / f"{name}.metadata").write_bytes("口音 北京".encode("gbk"))
    write(top / "20170001P00001A0003.wav", "RIFF")
    write(top / "20170001P00001A0004.wav", "RIFF")
    (top / "20170001P00001A0004.txt").write_bytes("你好".encode("gbk"))
    write(top / "noise.wav", "RIFF")
    return top


@pytest.mark.parametrize("inside", [True, False])
def test_st_cmds_is_accounted_for(data_folder, st_cmds, inside):
    found = prepare("st-cmds", st_cmds if inside else st_cmds.parent)
    first, second = split_by_hash("P00001"), split_by_hash("P00241")
    assert kept("st-cmds") == {
        "20170001P00001A0001.wav": (first, "da3 kai1 kong1 tiao2", "打开空调"),
        "20170001P00001A0002.wav": (first, "ni3 hao3 ming2 tian1 jian4", "你好，明天见"),
        "20170001P00241I0052.wav": (second, "fa1 <UNK> <UNK> xiao1 xi1", "发qq消息"),
    }
    assert found.skipped == {
        "no transcript": 1, "a transcript that is not UTF-8": 1, "a name without a speaker": 1,
        "no hanzi in the transcript": 1, "digits, which have more than one pronunciation": 1,
    }
    assert len(kept("st-cmds")) + found.skipped.total() == recordings(st_cmds)


def test_a_folder_with_no_corpus_in_it(data_folder, tmp_path):
    for name in ("thchs", "aishell", "primewords", "st-cmds"):
        with pytest.raises(CorpusError, match=f"no copy of {name}|no recording of {name} was kept"):
            prepare(name, tmp_path)
        with pytest.raises(CorpusError, match="nowhere is missing"):
            prepare(name, tmp_path / "nowhere")
        with pytest.raises(CorpusError, match="name the folder of your copy"):
            prepare(name)


def test_if_nothing_is_kept_one_line_gives_the_reasons(data_folder, tmp_path, capsys):
    write(tmp_path / "20170001P00001A0001.wav")
    assert main(["prepare", "st-cmds", "--root", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no recording of st-cmds was kept" in error and "1 skipped: no transcript" in error


# What they have in common ----------------------------------------------------------------------


def test_no_speaker_is_in_two_splits_and_most_are_in_train():
    speakers = [f"P{number:05}" for number in range(855)]
    shares = Counter(map(split_by_hash, speakers))
    assert shares["train"] / 855 == pytest.approx(0.9, abs=0.03)
    assert shares["dev"] / 855 == pytest.approx(0.05, abs=0.02)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.one_of(TEXTS, st.text("你好吗 ａKＴ１2，\t\n"))))
def test_any_text_is_kept_with_syllables_or_skipped_with_a_reason(texts):
    found = Preparation(Path("."))
    for number, text in enumerate(texts):
        found.keep_text("train", f"{number}.wav", text, "someone")
    there = found.splits.get("train", [])
    assert len(there) + found.skipped.total() == len(texts)
    for utterance in there:
        assert all(is_syllable(syllable) for syllable in utterance.syllables)
        assert utterance.hanzi == "".join(utterance.hanzi.split())


def test_labels_are_those_that_the_corpus_offers(data_folder, aishell, thchs):
    with pytest.raises(CorpusError, match="no labels 'own'; there are only pypinyin 0.55"):
        prepare("aishell", aishell, "own")
    with pytest.raises(CorpusError, match="no labels 'mine'; there are own, pypinyin"):
        prepare("thchs", thchs, "mine")


def test_facts_never_outlive_their_manifests(data_folder, thchs, monkeypatch):
    prepare("thchs", thchs)
    monkeypatch.setattr("ramospeech.data.corpus.write_manifest", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare("thchs", thchs, "pypinyin")
    assert not get_corpus("thchs").read_facts()


# Unions ----------------------------------------------------------------------------------------


def test_a_union_has_every_utterance_with_its_path(data_folder, thchs, aishell):
    prepare("thchs", thchs)
    prepare("aishell", aishell)
    parts = [open_split("aishell", "train"), open_split("thchs", "train")]
    union = open_split("aishell+thchs", "train")
    assert len(union) == sum(map(len, parts)) == 5
    assert [union.audio_path(index) for index in range(5)] == \
        [part.audio_path(index) for part in parts for index in range(len(part))]
    assert [(item.pinyin, item.hanzi) for item in union.utterances] == \
        [(item.pinyin, item.hanzi) for part in parts for item in part.utterances]
    assert (union.corpus, union.name) == ("aishell+thchs", "train")
    assert union.label_source == "pypinyin 0.55 (aishell), the pinyin of THCHS-30 itself (thchs)"


def test_a_common_label_source_is_named_once(data_folder, thchs, aishell):
    prepare("thchs", thchs, "pypinyin")
    prepare("aishell", aishell)
    assert open_split("thchs+aishell", "dev").label_source == "pypinyin 0.55"


def test_a_corpus_without_the_split_is_left_out(data_folder, thchs, st_cmds):
    prepare("thchs", thchs)
    prepare("st-cmds", st_cmds)
    there = get_corpus("st-cmds").read_facts()["splits"]
    lacking = next(split for split in ("dev", "test") if split not in there)
    union = open_split("thchs+st-cmds", lacking)
    assert len(union) == len(open_split("thchs", lacking))
    assert union.corpus == "thchs+st-cmds"
    with pytest.raises(CorpusError, match="thchs.st-cmds has no split 'syllables'; it has train"):
        open_split("thchs+st-cmds", "syllables")


def test_all_is_the_real_corpora_that_are_prepared(data_folder, thchs, aishell):
    with pytest.raises(CorpusError, match="all: no corpus of human speech is prepared; .* download"):
        open_split("all", "train")
    prepare("thchs", thchs)
    alone = open_split("all", "train")
    assert (alone.corpus, alone.root) == ("thchs", open_split("thchs", "train").root)
    prepare("aishell", aishell)
    assert corpus_names("all") == ["thchs", "aishell"]
    assert open_split("all", "train").corpus == "thchs+aishell"
    assert corpus_names("all+mini+thchs") == ["thchs", "aishell", "mini"]
    assert {name for name, corpus in CORPORA.items() if corpus.synthetic} == {
        "mini", "espeak", "ttskit", "spliced"}


def test_a_part_that_is_not_prepared_is_named(data_folder, thchs):
    prepare("thchs", thchs)
    with pytest.raises(CorpusError, match="the corpus aishell is not prepared"):
        open_split("thchs+aishell", "train")


# What desktops and archivers leave behind ------------------------------------------------------


def litter(top: Path) -> None:
    """The files that macOS and Windows put into every folder, and remains of archives."""
    for folder in [top, *(path for path in top.rglob("*") if path.is_dir())]:
        for path in list(folder.iterdir()):
            write(folder / f"._{path.name}", "\0\5\26\7")
            write(folder / "__MACOSX" / f"._{path.name}", "\0\5\26\7")
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            write(folder / name, "junk")
    for speaker in top.glob("wav/*/S*"):
        write(speaker.with_name(f"{speaker.name}.tar.gz"), "left over")


@pytest.mark.parametrize("name", ["thchs", "aishell", "primewords", "st-cmds"])
def test_junk_is_ignored(data_folder, name, request):
    top = request.getfixturevalue(name.replace("-", "_"))
    skipped, lists = prepare(name, top).skipped, kept(name)
    litter(top)
    assert prepare(name, top).skipped == skipped and kept(name) == lists


# Texts in other encodings ----------------------------------------------------------------------

TRANSCRIPTS = {"aishell": "transcript/aishell_transcript_v0.8.txt", "primewords": "set1_transcript.json"}


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(data_folder, name, request):
    top = request.getfixturevalue(name)
    prepare(name, top)
    lists, path = kept(name), top / TRANSCRIPTS[name]
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    prepare(name, top)
    assert kept(name) == lists


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_a_transcript_that_is_not_utf_8_is_named_with_its_line(data_folder, name, request):
    top = request.getfixturevalue(name)
    path = top / TRANSCRIPTS[name]
    path.write_bytes(b"\n" + path.read_bytes().decode().encode("gb18030"))
    with pytest.raises(CorpusError, match=rf"{path.name}, line 2: not UTF-8 .*iconv -f GB18030"):
        prepare(name, top)


def test_one_text_in_another_encoding_is_named(data_folder, st_cmds):
    summary = prepare("st-cmds", st_cmds).summary()
    assert "1 skipped: a transcript that is not UTF-8, such as 20170001P00001A0004.txt" in summary


# Folders that moved ----------------------------------------------------------------------------


def test_a_moved_corpus_names_the_command_that_helps(data_folder, thchs, aishell, capsys, caplog):
    prepare("thchs", thchs, "pypinyin")
    prepare("aishell", aishell)
    old, new = str(thchs), thchs.with_name("moved")
    thchs.rename(new)
    command = "ramospeech prepare thchs --root DIR --labels pypinyin"
    with pytest.raises(CorpusError, match=f"thchs is no longer in {old}: .*run `{command}`"):
        open_split("thchs", "train")
    assert corpus_names("all") == ["aishell"]
    assert f"all: left out: thchs is no longer in {old}" in caplog.text
    assert main(["corpora"]) == 0 and command in capsys.readouterr().out
    words = command.replace("DIR", str(new)).split()[1:]
    assert main(words) == 0
    assert open_split("thchs", "train").label_source == "pypinyin 0.55"


def test_a_corpus_of_an_older_version_names_the_command_that_helps(data_folder, aishell):
    prepare("aishell", aishell)
    path = data_folder / "aishell" / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": "0"}))
    with pytest.raises(CorpusError, match=f"another version of RamoSpeech: run `ramospeech prepare "
                                          f"aishell --root {aishell}`"):
        open_split("aishell", "train")


def test_an_embedded_corpus_can_be_opened_without_making_it(data_folder):
    with pytest.raises(CorpusError, match="espeak is not prepared: run `ramospeech prepare espeak`"):
        open_split("espeak", "train", make=False)
    assert not data_folder.exists()
