"""The registry of corpora, the synthesis of mini, and the layout and download of audio-cmn."""

import json
import os
import re
import subprocess
import sys
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ramospeech.cli.main import main
from ramospeech.config.paths import DATA_CONFIG
from ramospeech.data.corpora import download, get_corpus, open_split, prepare
from ramospeech.data.manifest import read_manifest, write_manifest
from ramospeech.data.preparation import CorpusError
from ramospeech.data.recipes import audio_cmn, mini
from ramospeech.data.tts.espeak import variants
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.language.vocabulary import Vocabulary

MINI = {split: read_manifest(mini.manifest_path(split)) for split in mini.SPLITS}
WORD_SPLITS = ("train", "dev", "test")


# mini ------------------------------------------------------------------------------------------


def voices_of(split: str) -> set[str]:
    return {mini.parse_voice(utterance.path)[0].variant for utterance in MINI[split]}


def test_no_voice_is_in_two_splits_of_mini():
    counts = Counter(variant for split in MINI for variant in voices_of(split))
    assert len(counts) == 38 and set(counts.values()) == {1}
    assert set(counts) <= set(variants())


def test_mini_varies_in_tempo_and_pitch():
    voices = [mini.parse_voice(u.path)[0] for split in MINI.values() for u in split]
    assert len(voices) == 760
    assert len({voice.words_per_minute for voice in voices}) > 20
    assert len({voice.pitch for voice in voices}) > 20


def test_minis_labels_are_the_pinyin_of_its_hanzi():
    vocabulary = Vocabulary.read()
    for utterance in (u for split in MINI.values() for u in split):
        assert utterance.syllables == hanzi_to_pinyin(utterance.hanzi)
        assert len(utterance.syllables) == len(utterance.hanzi)
        assert all(syllable in vocabulary for syllable in utterance.syllables)


def test_minis_manifests_are_what_their_script_writes(tmp_path):
    subprocess.run([sys.executable, DATA_CONFIG / "build_mini.py", tmp_path], check=True,
                   stdout=subprocess.DEVNULL)
    for split in mini.SPLITS:
        name = f"mini_{split}.txt"
        assert (tmp_path / name).read_bytes() == (DATA_CONFIG / name).read_bytes()


def test_mini_is_the_same_bytes_in_any_order_of_synthesis(tmp_path):
    some = [utterance for split in MINI.values() for utterance in split[::40]]
    for utterance in some:
        mini.speak_utterance(utterance, tmp_path / "one")
    for utterance in reversed(some):
        mini.speak_utterance(utterance, tmp_path / "two")
    for utterance in some:
        first, second = (tmp_path / run / utterance.path for run in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()


def test_minis_recordings_are_plain_wav_files(tmp_path):
    utterance = MINI["train"][0]
    mini.speak_utterance(utterance, tmp_path)
    with wave.open(str(tmp_path / utterance.path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 22_050)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert 0.5 < len(samples) / 22_050 < 3 and np.abs(samples.astype(int)).max() > 3000
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["0000.wav"]  # no temporary files


def test_an_existing_recording_is_not_made_again(tmp_path):
    path = tmp_path / MINI["train"][0].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"exists")
    mini.speak_utterance(MINI["train"][0], tmp_path)
    assert path.read_bytes() == b"exists"


@pytest.mark.parametrize("path", ["f2/0007.wav", "f2/r160_p50/7.mp3", "f2/r160_p50/", "0007.wav"])
def test_a_path_without_a_voice_is_refused(path):
    with pytest.raises(ValueError, match="does not name a voice"):
        mini.parse_voice(path)


@pytest.fixture
def small_mini(tmp_path, monkeypatch):
    """mini reduced to the first three utterances of each list."""
    for split, utterances in MINI.items():
        write_manifest(tmp_path / "lists" / f"{split}.txt", utterances[:3])
    monkeypatch.setattr(mini, "manifest_path",
                        lambda split: tmp_path / "lists" / f"{split}.txt")


def test_mini_is_made_on_first_use(data_folder, small_mini):
    assert not get_corpus("mini").is_prepared()
    split = open_split("mini", "dev")
    assert get_corpus("mini").is_prepared()
    assert split.utterances == MINI["dev"][:3]
    assert all(split.audio_path(index).is_file() for index in range(len(split)))
    assert split.root.is_relative_to(data_folder)
    assert "pypinyin" in split.label_source


def test_mini_is_made_again_if_its_recordings_are_gone(data_folder, small_mini):
    root = open_split("mini", "test").root
    for path in sorted(root.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    root.rmdir()
    assert not get_corpus("mini").is_prepared()
    assert open_split("mini", "test").audio_path(0).is_file()


def test_another_version_is_prepared_again(data_folder, small_mini):
    prepare("mini")
    facts = data_folder / "mini" / "corpus.json"
    facts.write_text(facts.read_text().replace(get_corpus("mini").version, "older"))
    assert not get_corpus("mini").is_prepared()


# the registry ----------------------------------------------------------------------------------


def test_an_unknown_corpus_or_split_is_refused_with_the_known_names(data_folder, small_mini):
    with pytest.raises(CorpusError, match="no corpus 'minny'; there are mini, audio-cmn"):
        open_split("minny", "train")
    with pytest.raises(CorpusError, match="no split 'tset'; it has train, dev, test"):
        open_split("mini", "tset")


def test_an_unprepared_corpus_says_how_to_get_it(data_folder):
    with pytest.raises(CorpusError, match="not prepared: run `ramospeech download audio-cmn`"):
        open_split("audio-cmn", "train")
    assert "ramospeech prepare audio-cmn --root DIR" in get_corpus("audio-cmn").how_to_get()


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"version": "2"}'])
def test_damaged_facts_are_named(data_folder, damage):
    facts = data_folder / "audio-cmn" / "corpus.json"
    facts.parent.mkdir(parents=True)
    facts.write_text(damage)
    with pytest.raises(CorpusError, match="audio-cmn/corpus.json is not what"):
        open_split("audio-cmn", "train")


@pytest.mark.parametrize(("source", "other"),
                         [("LABEL_SOURCE", "a listener"), ("SPELLING_VERSION", "3")])
def test_other_labels_or_another_spelling_make_a_new_mini(source, other, monkeypatch):
    before = mini.fingerprint()
    monkeypatch.setattr(mini, source, other)
    assert mini.fingerprint() != before


def test_mini_is_not_downloaded(data_folder):
    with pytest.raises(CorpusError, match="needs no download: .* made on this machine"):
        download("mini")


# audio-cmn -------------------------------------------------------------------------------------

KEPT_WORDS = ["一", "一下", "上海", "银行", "人", "儿子", "绿", "〇", "很", "早上"]
GAPS = ["一_也_", "从_到_", "除了_以外"]
KEPT_SYLLABLES = {"ma1": "ma1", "jv4": "ju4", "lv4": "lv4", "zhuang3": "zhuang3", "er2": "er2"}
NEUTRAL = ["ma5", "er5"]
OUTSIDE = ["_hm1", "_ng4", "_lvan2", "_nia3"]
WORDS, SYLLABLES = KEPT_WORDS + GAPS, [*KEPT_SYLLABLES, *NEUTRAL, *OUTSIDE]


def make_tree(root: Path) -> Path:
    """A small copy of the repository, with all its pitfalls; the files are empty."""
    for folder, names in (("hsk", WORDS), ("syllabs", SYLLABLES)):
        (root / "64k" / folder).mkdir(parents=True)
        for name in names:
            (root / "64k" / folder / f"cmn-{name}.mp3").touch()
    (root / "64k" / "hsk" / "README.txt").touch()
    return root


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "copy")


def open_all(name: str) -> dict:
    facts = get_corpus(name).read_facts()
    return {split: open_split(name, split) for split in facts["splits"]}


@pytest.mark.parametrize("given", [".", "64k", "64k/", "64k/../64k"])
def test_every_recording_is_kept_or_skipped_with_a_reason(data_folder, tree, given):
    found = prepare("audio-cmn", tree / given)
    splits = open_all("audio-cmn")
    words = [u for name in WORD_SPLITS if name in splits for u in splits[name].utterances]
    assert sorted(u.hanzi for u in words) == sorted(KEPT_WORDS)
    assert all(u.syllables == hanzi_to_pinyin(u.hanzi) for u in words)
    assert all(u.path == f"64k/hsk/cmn-{u.hanzi}.mp3" for u in words)
    assert found.skipped == {"word with a gap or a sign in it": 3,
                             "neutral tone: not a recording of one syllable": 2,
                             "interjection or syllable outside the usual table": 4}
    recordings = len(list(tree.rglob("*.mp3")))
    assert sum(map(len, found.splits.values())) + found.skipped.total() == recordings
    for split in splits.values():
        assert all(split.audio_path(index).is_file() for index in range(len(split)))


def test_syllables_have_splits_of_their_own(data_folder, tree):
    prepare("audio-cmn", tree)
    splits = [open_split("audio-cmn", name).utterances for name in ("syllables-dev", "syllables")]
    spoken = {u.path.split("-")[1][:-4]: u for split in splits for u in split}
    assert len(spoken) == sum(map(len, splits))
    assert {name: u.pinyin for name, u in spoken.items()} == KEPT_SYLLABLES
    assert {u.hanzi for u in spoken.values()} == {""}


def test_the_summary_accounts_for_every_recording(tree, data_folder):
    summary = prepare("audio-cmn", tree).summary()
    counts = [int(count) for count in re.findall(r"(\d+) (?:kept|skipped)", summary)]
    assert sum(counts) == len(list(tree.rglob("*.mp3")))
    assert "skipped: word with a gap" in summary


def test_the_skipped_are_recorded(data_folder, tree):
    prepare("audio-cmn", tree)
    facts = json.loads((data_folder / "audio-cmn" / "corpus.json").read_text(encoding="utf-8"))
    assert sum(facts["skipped"].values()) == 9
    assert facts["root"] == str(tree)


def test_a_relative_root_works_from_anywhere(data_folder, tree, monkeypatch):
    monkeypatch.chdir(tree / "64k")
    prepare("audio-cmn", Path("."))
    monkeypatch.chdir("/")
    assert open_split("audio-cmn", "syllables").audio_path(0).is_file()


@pytest.mark.parametrize("given", ["nowhere", "64k/hsk", "64k/nowhere"])
def test_a_wrong_root_is_refused(data_folder, tree, given):
    with pytest.raises(CorpusError, match="no copy of audio-cmn: .*64k/hsk is missing|nowhere is missing"):
        prepare("audio-cmn", tree / given)
    assert not get_corpus("audio-cmn").is_prepared()


def test_an_incomplete_copy_is_refused(data_folder, tree):
    (tree / "64k" / "syllabs").rename(tree / "elsewhere")
    with pytest.raises(CorpusError, match="64k/syllabs is missing"):
        prepare("audio-cmn", tree)


def test_folders_without_recordings_are_refused(data_folder, tmp_path):
    for folder in ("hsk", "syllabs"):
        (tmp_path / "empty" / "64k" / folder).mkdir(parents=True)
    with pytest.raises(CorpusError, match="no recording of audio-cmn was kept"):
        prepare("audio-cmn", tmp_path / "empty")
    assert not get_corpus("audio-cmn").is_prepared()


def test_no_root_is_refused_in_one_line(data_folder, capsys):
    assert main(["prepare", "audio-cmn"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_moved_copy_is_not_prepared(data_folder, tree):
    prepare("audio-cmn", tree)
    assert get_corpus("audio-cmn").is_prepared()
    tree.rename(tree.with_name("moved"))
    assert not get_corpus("audio-cmn").is_prepared()


def test_the_hash_of_a_word_splits_ninety_five_five():
    words = map("".join, zip(map(chr, range(0x4E00, 0x8E00)), map(chr, range(0x5000, 0x9000))))
    counts = Counter(audio_cmn.split_by_hash(word) for word in words)
    shares = {split: count / 0x4000 for split, count in counts.items()}
    assert shares == pytest.approx({"train": 0.9, "dev": 0.05, "test": 0.05}, abs=0.01)
    assert [audio_cmn.split_by_hash(w) for w in ("上海", "一下")] == ["train", "train"]


# download --------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path) -> tuple[str, str]:
    """The address and a commit of a public copy of the repository, on this machine."""
    folder = make_tree(tmp_path / "public")
    (folder / "18k").mkdir()
    (folder / "18k" / "large.bin").write_bytes(b"not wanted")
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    commit = git(folder, "rev-parse", "--short=8", "HEAD")
    (folder / "64k" / "hsk" / "cmn-后来.mp3").touch()
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "what came later")
    return folder.as_uri(), commit


def test_download_fetches_only_the_folder_at_the_commit(tmp_path, data_folder, repository):
    target = tmp_path / "deep" / "audio-cmn"
    target.parent.mkdir()
    root = audio_cmn.download(target, *repository)
    assert root == target
    assert sorted(path.name for path in target.iterdir()) == [".git", "64k"]
    assert not list(target.rglob("cmn-后来.mp3"))
    assert prepare("audio-cmn", root).skipped.total() == 9
    missing = git(target, "rev-list", "--objects", "--missing=print", "HEAD").count("\n?")
    assert missing == 1  # large.bin was not downloaded


def test_an_existing_empty_folder_is_filled(tmp_path, data_folder, repository):
    url, commit = repository
    target = tmp_path / "mounted"
    (target / "lost+found").mkdir(parents=True)
    number, around = target.stat().st_ino, set(tmp_path.iterdir())
    with pytest.raises(CorpusError, match="run the command again to resume"):
        audio_cmn.download(target, url, "0" * 8)
    assert audio_cmn.download(target, url, commit) == target
    assert sorted(path.name for path in target.iterdir()) == [".git", "64k", "lost+found"]
    assert target.stat().st_ino == number and set(tmp_path.iterdir()) == around
    assert prepare("audio-cmn", target).skipped.total() == 9
    assert audio_cmn.download(target, "file:///nowhere", commit) == target


def test_a_complete_download_is_left_alone(tmp_path, repository):
    target = tmp_path / "audio-cmn"
    audio_cmn.download(target, *repository)
    assert audio_cmn.download(target, "file:///nowhere", "0" * 8) == target


def test_a_folder_with_other_files_is_left_alone(tmp_path, repository):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(CorpusError, match="no copy of audio-cmn"):
        audio_cmn.download(tmp_path, *repository)


def test_an_interrupted_download_resumes(tmp_path, repository, capfd):
    url, commit = repository
    target, draft = tmp_path / "audio-cmn", tmp_path / "audio-cmn.part"
    with pytest.raises(CorpusError, match="failed; run the command again to resume"):
        audio_cmn.download(target, "file:///nowhere", commit)  # no network
    with pytest.raises(CorpusError, match="failed; run the command again to resume"):
        audio_cmn.download(target, url, "0" * 8)  # it fails after the fetch
    assert draft.is_dir() and not target.exists()
    (draft / ".git" / "index.lock").touch()  # as a killed checkout leaves it
    (draft / ".git" / "shallow.lock").touch()
    audio_cmn.download(target, url, commit)
    assert not draft.exists()
    assert len(list(target.rglob("*.mp3"))) == len(WORDS + SYLLABLES)


def test_without_git_one_line_says_what_to_install(data_folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["download", "audio-cmn"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "apt install git" in error


# the real recordings ---------------------------------------------------------------------------

needs_audio_cmn = pytest.mark.skipif(
    not get_corpus("audio-cmn").is_prepared(), reason=get_corpus("audio-cmn").why_not_prepared()
)


@needs_audio_cmn
def test_no_word_of_audio_cmn_is_in_two_splits():
    words = [u.hanzi for name in WORD_SPLITS for u in open_split("audio-cmn", name).utterances]
    assert len(words) == len(set(words)) > 7000


@needs_audio_cmn
def test_audio_cmn_can_be_decoded():
    from ramospeech.audio.io import load_audio

    for name in ("train", "dev", "test", "syllables-dev", "syllables"):
        split = open_split("audio-cmn", name)
        for index in range(0, len(split), len(split) // 3):
            assert 0.4 < len(load_audio(split.audio_path(index))) / 16_000 < 6


def test_the_facts_about_audio_cmn_add_up():
    facts = json.loads((DATA_CONFIG / "audio_cmn_facts.json").read_text(encoding="utf-8"))
    counts = {name: split["recordings"] for name, split in facts["splits"].items()}
    assert sum(counts[name] for name in WORD_SPLITS) == facts["words_kept"]
    assert facts["overlap"]["test_words_in_train"] == 0
    assert "+changes" not in facts["commit"]
    if get_corpus("audio-cmn").is_prepared() and os.environ.get("RAMOSPEECH_DATA") is None:
        recorded = get_corpus("audio-cmn").read_facts()
        if sum(recorded["splits"].values()) == sum(counts.values()):  # the copy that was counted
            assert recorded["splits"] == counts and recorded["skipped"] == facts["skipped"]
