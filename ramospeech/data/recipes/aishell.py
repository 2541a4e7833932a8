"""`aishell`: AISHELL-1, 400 people reading short sentences, 151 h to train on (openslr.org/33).

    data_aishell/wav/S0002.tar.gz                          archives inside the archive, unpacked to
    data_aishell/wav/train/S0002/BAC009S0002W0122.wav      split, speaker, recording
    data_aishell/transcript/aishell_transcript_v0.8.txt    BAC009S0002W0122 而 对 楼市 成交 ...

Of 141,925 recordings 325 have no transcript. There is no pinyin: the labels are pypinyin's.
"""

import os
from functools import partial
from pathlib import Path

from ramospeech.data.corpus import Corpus
from ramospeech.data.openslr import MIRRORS, Archive, download
from ramospeech.data.preparation import (
    CorpusError, Preparation, file_names, find_copy, folder_names, read_transcripts,
)

__all__ = ["ARCHIVE", "CORPUS", "TRANSCRIPT", "prepare", "read_transcript"]

SPLITS = ("train", "dev", "test")
TRANSCRIPT = "transcript/aishell_transcript_v0.8.txt"
ARCHIVE = Archive(page=33, file="data_aishell.tgz", folder="data_aishell",
                  size=15_582_913_665, unpacked=21_000_000_000,
                  md5="2f494334227864a8a8fec932999db9d8")


def prepare(root: Path | None) -> Preparation:
    """List every split, sorted by the names of the recordings."""
    top = find_copy("aishell", root, ARCHIVE.folder, (TRANSCRIPT, "wav"))
    _refuse_packed(top / "wav")
    found = Preparation(find_copy("aishell", top, ".", [f"wav/{split}" for split in SPLITS]))
    texts = read_transcript(top / TRANSCRIPT)
    for split in SPLITS:
        for speaker in folder_names(top / "wav" / split):
            _add_speaker(found, split, speaker, texts)
    found.skip("transcript without a recording", len(texts))
    return found


def _refuse_packed(wav: Path) -> None:
    """Raise CorpusError if a speaker's archive is not unpacked."""
    unpacked = {speaker for split in folder_names(wav) for speaker in folder_names(wav / split)}
    for archive in file_names(wav):
        if archive.endswith(".tar.gz") and archive.removesuffix(".tar.gz") not in unpacked:
            raise CorpusError(f"{wav / archive} is not unpacked: `cd {wav}`, then "
                              "`for archive in *.tar.gz; do tar xzf $archive; done`")


def read_transcript(path: Path) -> dict[str, str]:
    """The text of each recording. Raises CorpusError, naming the line, if one has two texts."""
    texts: dict[str, str] = {}
    for number, line in enumerate(read_transcripts(path).splitlines(), start=1):
        name, text = [*line.split(maxsplit=1), "", ""][:2]
        if name and texts.setdefault(name, text.strip()) != text.strip():
            raise CorpusError(f"{path}, line {number}: another text for {name}")
    return texts


def _add_speaker(found: Preparation, split: str, speaker: str, texts: dict[str, str]) -> None:
    """Keep a speaker's recordings and remove their texts: those left over have no recording."""
    folder = f"wav/{split}/{speaker}"
    for name in file_names(found.root / folder):
        stem, extension = os.path.splitext(name)
        if extension != ".wav":
            continue
        if stem in texts:
            found.keep_text(split, f"{folder}/{name}", texts.pop(stem), speaker)
        else:
            found.skip("no transcript")


CORPUS = Corpus(
    name="aishell",
    description="AISHELL-1: short sentences read aloud by 400 people, 151 h to train on",
    licence="Apache-2.0, free for academic use (openslr.org/33)",
    label_source="pypinyin 0.55",
    prepare=prepare,
    download=partial(download, ARCHIVE),
    size=ARCHIVE.size,
    mirrors=MIRRORS,
)
