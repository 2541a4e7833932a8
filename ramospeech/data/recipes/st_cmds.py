"""`st-cmds`: Free ST Chinese Mandarin Corpus, 855 speakers, 110 h (openslr.org/38).

    ST-CMDS-20170001_1-OS/20170001P00001A0001.wav    P00001 is the speaker
    ST-CMDS-20170001_1-OS/20170001P00001A0001.txt    the text, without a newline at its end

Some texts contain Latin letters and the comma `，`. It has no splits of its own: a hash of the
speaker decides. The labels are pypinyin's.
"""

import re
from functools import partial
from pathlib import Path

from ramospeech.data.corpus import Corpus
from ramospeech.data.openslr import MIRRORS, Archive, download
from ramospeech.data.preparation import (
    CorpusError, Preparation, file_names, find_copy, read_transcripts, split_by_hash,
)

__all__ = ["ARCHIVE", "CORPUS", "prepare"]

_NAME = re.compile(r"20170001(?P<speaker>\w{6})\w*\.wav")
ARCHIVE = Archive(page=38, file="ST-CMDS-20170001_1-OS.tar.gz", folder="ST-CMDS-20170001_1-OS",
                  size=8_231_662_593, unpacked=14_000_000_000)  # no MD5 is published


def prepare(root: Path | None) -> Preparation:
    """List the recordings, sorted by name."""
    found = Preparation(find_copy("st-cmds", root, ARCHIVE.folder, ()))
    names = set(file_names(found.root))
    for name in sorted(name for name in names if name.endswith(".wav")):
        match = _NAME.fullmatch(name)
        if match is None:
            found.skip("a name without a speaker")
        elif f"{name[:-4]}.txt" not in names:
            found.skip("no transcript")
        else:
            _add(found, name, match["speaker"])
    return found


def _add(found: Preparation, name: str, speaker: str) -> None:
    try:
        text = read_transcripts(found.root / f"{name[:-4]}.txt")
        found.keep_text(split_by_hash(speaker), name, text, speaker)
    except CorpusError:
        found.skip("a transcript that is not UTF-8", example=f"{name[:-4]}.txt")


CORPUS = Corpus(
    name="st-cmds",
    description="Free ST Chinese Mandarin Corpus: commands and messages by 855 people, 110 h",
    licence="CC BY-NC-ND 4.0 (openslr.org/38)",
    label_source="pypinyin 0.55",
    prepare=prepare,
    download=partial(download, ARCHIVE),
    size=ARCHIVE.size,
    mirrors=MIRRORS,
)
