"""`primewords`: Primewords set 1, recorded on telephones, 296 speakers, 99 h (openslr.org/47).

    primewords_md_2018_set1/audio_files/0/00/00042da8-....wav
    primewords_md_2018_set1/set1_transcript.json    [{"id", "user_id", "file", "text", ...}, ...]

Some of the listed files do not exist, and some are listed twice. It has no splits of its own: a hash
of the speaker decides. The labels are pypinyin's.
"""

import json
from functools import partial
from pathlib import Path

from ramospeech.data.corpus import Corpus
from ramospeech.data.openslr import MIRRORS, Archive, download
from ramospeech.data.preparation import (
    CorpusError, Preparation, find_copy, is_junk, read_transcripts, split_by_hash,
)

__all__ = ["ARCHIVE", "CORPUS", "prepare", "read_transcript"]

AUDIO, TRANSCRIPT = "audio_files", "set1_transcript.json"
ARCHIVE = Archive(page=47, file="primewords_md_2018_set1.tar.gz", folder="primewords_md_2018_set1",
                  size=9_057_625_192, unpacked=12_000_000_000)  # no MD5 is published


def prepare(root: Path | None) -> Preparation:
    """List the recordings, in the order of the transcript."""
    found = Preparation(find_copy("primewords", root, ARCHIVE.folder, (AUDIO, TRANSCRIPT)))
    paths = {path.name: path.relative_to(found.root).as_posix()
             for path in sorted((found.root / AUDIO).rglob("*.wav"))
             if not any(map(is_junk, path.relative_to(found.root).parts))}
    unlisted = set(paths)
    for file, speaker, text in read_transcript(found.root / TRANSCRIPT):
        if file not in paths:
            found.skip("listed, but missing")
        elif file not in unlisted:
            found.skip("listed twice")
        else:
            unlisted.remove(file)
            found.keep_text(split_by_hash(speaker), paths[file], text, speaker)
    found.skip("no transcript", len(unlisted))
    return found


def read_transcript(path: Path) -> list[tuple[str, str, str]]:
    """File, speaker and text of each entry. Raises CorpusError if it is no such list."""
    text = read_transcripts(path)
    try:
        entries = json.loads(text)
        return [(str(entry["file"]), str(entry["user_id"]), str(entry["text"]))
                for entry in entries]
    except (ValueError, LookupError, TypeError) as error:
        raise CorpusError(f"{path} is not a list of recordings "
                          f"({type(error).__name__}: {error})") from None


CORPUS = Corpus(
    name="primewords",
    description="Primewords set 1: sentences read into telephones by 296 people, 99 h",
    licence="CC BY-NC-ND 4.0, academic use (openslr.org/47)",
    label_source="pypinyin 0.55",
    prepare=prepare,
    download=partial(download, ARCHIVE),
    size=ARCHIVE.size,
    mirrors=MIRRORS,
)
