"""`audio-cmn`: real human Mandarin, isolated words and single syllables (CC BY-SA).

Words of the HSK lists, spoken by Yue Tan, and toned syllables, spoken by Chen Wang, from the public
repository hugolpz/audio-cmn. A hash divides the words into train, dev and test. The syllables form
two splits of their own, `syllables-dev` (a quarter of them) and `syllables`, in a voice that a model
trained on the words has never heard.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ramospeech.data.corpus import Corpus
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import (
    CorpusError, Preparation, file_names, find_copy, hash_number, split_by_hash,
)
from ramospeech.data.staging import contains_other_files, move_into_place, staging_folder
from ramospeech.language.pinyin import hanzi_to_pinyin, respell
from ramospeech.language.vocabulary import UNK

__all__ = ["COMMIT", "CORPUS", "URL", "download", "prepare"]

URL = "https://github.com/hugolpz/audio-cmn.git"
COMMIT = "ff9ed3d0"
WORDS, SYLLABLES = "64k/hsk", "64k/syllabs"  # MP3, 64 kbit/s
_HANZI = re.compile(r"[\u3400-\u9fff〇]+")
_TONED = re.compile(r"[a-z]+[1-4]")


def download(target: Path, url: str = URL, commit: str = COMMIT) -> Path:
    """Fetch only the folder `64k/` (109 MB) by git, which shows its own progress.

    Resumes an interrupted attempt; `target` appears only when it is complete. An existing empty
    folder `target` is kept and filled from the start.
    """
    if shutil.which("git") is None:
        raise CorpusError("git was not found: install it (`apt install git`, `brew install git`)")
    staged = staging_folder(target)
    if contains_other_files(target, staged.name):
        return _find_root(target)
    _git("init", "--quiet", str(staged))
    for lock in (staged / ".git").rglob("*.lock"):
        lock.unlink()  # of a killed attempt
    _git("-C", str(staged), "config", "remote.origin.url", url)
    _git("-C", str(staged), "fetch", "--filter=blob:none", "--progress", "origin",
         "+refs/heads/*:refs/remotes/origin/*")
    _git("-C", str(staged), "sparse-checkout", "set", "--no-cone", "/64k/")
    _git("-C", str(staged), "-c", "advice.detachedHead=false", "checkout", "--progress", commit)
    move_into_place(staged, target)
    return target


def _git(*arguments: str) -> None:
    # With GIT_DIR, which a hook or an alias may have set, git would use that repository.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    if subprocess.run(["git", *arguments], env=environment).returncode != 0:
        raise CorpusError(f"`git {' '.join(arguments)}` failed; run the command again to resume")


def prepare(root: Path | None) -> Preparation:
    """List the words and syllables in `root`, a copy of the repository."""
    root = _find_root(root)
    found = Preparation(root)
    for folder, add in ((WORDS, _add_word), (SYLLABLES, _add_syllable)):
        for name in file_names(root / folder):
            if name.endswith(".mp3"):
                add(found, f"{folder}/{name}")
    return found


def _find_root(root: Path | None) -> Path:
    if root is not None and root.resolve().name == "64k":  # that folder is accepted, too
        root = root.resolve().parent
    return find_copy("audio-cmn", root, "audio-cmn", (WORDS, SYLLABLES))


def _transcript(path: str) -> str:
    return Path(path).stem.removeprefix("cmn-")


def _add_word(found: Preparation, path: str) -> None:
    word = _transcript(path)
    if not _HANZI.fullmatch(word):
        found.skip("word with a gap or a sign in it")
        return
    syllables = hanzi_to_pinyin(word)
    if UNK in syllables:
        found.skip("word that pypinyin cannot read")
        return
    found.keep(split_by_hash(word), Utterance(path, " ".join(syllables), word), "Yue Tan")


def _add_syllable(found: Preparation, path: str) -> None:
    syllable = _transcript(path)
    if syllable.endswith("5"):  # seconds long, with several takes in one recording
        found.skip("neutral tone: not a recording of one syllable")
    elif not _TONED.fullmatch(syllable):
        found.skip("interjection or syllable outside the usual table")
    else:
        pinyin = respell(syllable)
        is_dev = hash_number(pinyin) % 4 == 0
        found.keep("syllables-dev" if is_dev else "syllables",
                   Utterance(path, pinyin, ""), "Chen Wang")


CORPUS = Corpus(
    name="audio-cmn",
    description="isolated words (Yue Tan) and syllables (Chen Wang), real recordings, 3 h",
    licence="CC BY-SA, github.com/hugolpz/audio-cmn, speakers Yue Tan and Chen Wang",
    label_source="pypinyin 0.55 for words, file names for syllables",
    prepare=prepare,
    download=download,
    size=109_000_000,
    version="3",
)
