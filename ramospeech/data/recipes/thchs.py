"""`thchs`: THCHS-30, sentences of newspapers read aloud, 26 h to train on (openslr.org/18).

    data_thchs30/data/A2_0.wav        every recording; A2 is the speaker
    data_thchs30/data/A2_0.wav.trn    three lines: words, toned syllables, phones
    data_thchs30/train/A2_0.wav.trn   "../data/A2_0.wav.trn" only: a link that became a file

The folders train, dev and test are the corpus's own splits. Its own pinyin gives tones as spoken
(两眼 `liang2 yan3`), pypinyin as in a dictionary (`liang3 yan3`).
"""

from functools import partial
from pathlib import Path

from ramospeech.data.corpus import Corpus
from ramospeech.data.manifest import Utterance
from ramospeech.data.openslr import MIRRORS, Archive, download
from ramospeech.data.preparation import Preparation, file_names, find_copy, read_transcripts
from ramospeech.language.pinyin import is_syllable, respell

__all__ = ["ARCHIVE", "CORPUS", "LABELS", "parse_transcript", "prepare"]

SPLITS = ("train", "dev", "test")
LABELS = {"own": "the pinyin of THCHS-30 itself", "pypinyin": "pypinyin 0.55"}
_STRAY = " l ="  # in the words of B11_374
ARCHIVE = Archive(page=18, file="data_thchs30.tgz", folder="data_thchs30",
                  size=6_453_425_169, unpacked=8_000_000_000,
                  md5="2d2252bde5c8429929e1841d4cb95e90")


def prepare(root: Path | None, labels: str = "own") -> Preparation:
    """List every split, with the corpus's own pinyin or with pypinyin's."""
    found = Preparation(find_copy("thchs", root, ARCHIVE.folder, ("data", *SPLITS)))
    data = set(file_names(found.root / "data"))
    unlisted = _recordings(data)
    for split in SPLITS:
        names = set(file_names(found.root / split))
        for name in sorted(_recordings(names)):
            folder = "data" if name in data else split  # in `split` it may be only a link
            if name not in data | names:
                found.skip("listed, but missing")
            elif f"{name}.trn" not in data:
                found.skip("no transcript")
            else:
                _add(found, split, f"{folder}/{name}", labels)
        unlisted -= _recordings(names)
    found.skip("in no split", len(unlisted))
    return found


def _recordings(names: set[str]) -> set[str]:
    """The recordings in a folder, or whose transcripts are in it."""
    return {name.removesuffix(".trn") for name in names if name.endswith((".wav", ".wav.trn"))}


def _add(found: Preparation, split: str, path: str, labels: str) -> None:
    name = Path(path).name
    speaker = name.split("_")[0]
    try:
        text = read_transcripts(found.root / "data" / f"{name}.trn")
        hanzi, syllables = parse_transcript(text)
    except ValueError:
        found.skip("a transcript that cannot be read", example=f"data/{name}.trn")
        return
    if labels == "pypinyin":
        found.keep_text(split, path, hanzi, speaker)
    elif not all(map(is_syllable, syllables)):
        found.skip("an invalid syllable")
    else:
        found.keep(split, Utterance(path, " ".join(syllables), hanzi), speaker)


def parse_transcript(text: str) -> tuple[str, list[str]]:
    """Hanzi and toned syllables of a `.wav.trn`. Raises ValueError if either is missing."""
    words, pinyin, *_ = [*text.splitlines(), "", ""]
    hanzi = "".join(words.replace(_STRAY, "").split())
    syllables = [respell(syllable) for syllable in pinyin.split()]
    if not hanzi or not syllables:
        raise ValueError("a transcript has a line of words and one of syllables")
    return hanzi, syllables


CORPUS = Corpus(
    name="thchs",
    description="THCHS-30: sentences of newspapers read aloud, 26 h to train on",
    licence="Apache-2.0, free for academic users (openslr.org/18)",
    label_source=LABELS["own"],
    label_choices=LABELS,
    prepare=prepare,
    download=partial(download, ARCHIVE),
    size=ARCHIVE.size,
    mirrors=MIRRORS,
)
