"""`spliced`: the syllables that audio-cmn's words have seldom or never, made of their parts.

Half of the 1,213 syllables are rare in the words to train on, and some are not there at all, but
nearly all of their initials and finals are, in other syllables. Here a syllable gets as many
spliced recordings as it lacks of `ENOUGH`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from torch import Tensor
from tqdm import tqdm

from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.splicing import splice
from ramospeech.config.paths import data_dir
from ramospeech.data.corpora import Corpus, Split, open_split
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import Preparation
from ramospeech.data.recipes.audio_cmn import CORPUS as audio_cmn
from ramospeech.language.pinyin import Syllable, split_syllable
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.utils.files import write_atomically

SEED = 2019
ENOUGH = 8  # times that a syllable is heard in words or here
VERSION = f"1-{audio_cmn.version}"  # other words give other parts


class Donors:
    """Which recordings can give the beginning of a syllable, and which the end."""

    def __init__(self, words: Split) -> None:
        self.same, self.alike, self.ends = (defaultdict(list) for _ in range(3))
        for index, utterance in enumerate(words.utterances):
            first = split_syllable(utterance.syllables[0])
            self.same[first.initial, sound_of(first)].append(index)
            self.alike[first.initial, _glide(first)].append(index)
            if len(utterance.syllables) == 1:
                self.ends[sound_of(first), first.tone].append(index)

    def of(self, syllable: Syllable) -> tuple[list[int], list[int]]:
        """Places of beginnings, of the same final if there are any, and of ends; maybe none."""
        same = self.same.get((syllable.initial, sound_of(syllable)), [])
        alike = self.alike.get((syllable.initial, _glide(syllable)), [])
        return same or alike, self.ends.get((sound_of(syllable), syllable.tone), [])


def sound_of(syllable: Syllable) -> str:
    """The final as it sounds: the i of `zi` and that of `zhi` are not the i of `ji`."""
    if syllable.final == "i" and syllable.initial in ("z", "c", "s"):
        return "ɿ"
    if syllable.final == "i" and syllable.initial in ("zh", "ch", "sh", "r"):
        return "ʅ"
    return syllable.final


def _glide(syllable: Syllable) -> str:
    """How the final begins: with i, u, v, or openly."""
    sound = sound_of(syllable)
    return sound[0] if sound[0] in "iuvɿʅ" else ""


def prepare(root: Path | None = None) -> Preparation:
    """Make every recording that is not there yet, in `root` or the data folder.

    Raises CorpusError where audio-cmn is not prepared.
    """
    words = open_split("audio-cmn", "train")
    found = Preparation(root or data_dir() / "spliced" / VERSION)
    read = lru_cache(4000)(lambda index: load_audio(words.audio_path(index)))
    for syllable, number, donors in tqdm(list(choose_donors(words, found)), desc="splicing"):
        path = f"{syllable}/{number}.flac"
        if not (found.root / path).exists():
            beginning, end = donors
            try:
                waveform = splice(read(beginning), read(end))
            except ValueError as error:  # a recording is missing, silent, or holds no speech
                found.skip("a part that cannot be used", example=str(error))
                continue
            _write(found.root / path, waveform.clip(-1, 1))
        found.keep("train", Utterance(path, syllable, ""), "Yue Tan")
    return found


def _write(path: Path, waveform: Tensor) -> None:
    write_atomically(path, lambda draft: soundfile.write(
        draft, waveform.numpy(), SAMPLE_RATE, subtype="PCM_16", format="FLAC"))


def choose_donors(words: Split, found: Preparation) -> Iterator[tuple[str, int, tuple[int, int]]]:
    """A syllable, the number of the copy, and two recordings to make it of; always the same."""
    rng = np.random.default_rng(SEED)
    heard = Counter(syllable for utterance in words.utterances for syllable in utterance.syllables)
    donors = Donors(words)
    for syllable in Vocabulary.read().symbols[2:]:
        beginnings, ends = donors.of(split_syllable(syllable))
        if not (beginnings and ends):
            found.skip("syllable of which no part was recorded by itself")
            continue
        for number in range(ENOUGH - heard[syllable]):
            yield syllable, number, (int(rng.choice(beginnings)), int(rng.choice(ends)))


CORPUS = Corpus(
    name="spliced",
    description="rare syllables, made of parts of audio-cmn's words",
    licence="CC BY-SA, as audio-cmn, of which it is made on your machine",
    label_source="the parts that were put together",
    prepare=prepare,
    version=VERSION,
    embedded=True,
    synthetic=True,
)
