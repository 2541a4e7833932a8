"""`spliced`: the syllables that are rare in audio-cmn's words, spliced from parts of these words.

Half of the 1,213 syllables are rare in the training words, and some do not occur, but nearly all of
their initials and finals do, in other syllables. Here each syllable gets as many spliced recordings
as it needs to occur `ENOUGH` times.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ramospeech.config.paths import data_dir
from ramospeech.data.corpus import Corpus, Split
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import Preparation, write_recording
from ramospeech.data.recipes.audio_cmn import CORPUS as audio_cmn
from ramospeech.language.pinyin import Syllable, split_syllable
from ramospeech.language.vocabulary import Vocabulary

__all__ = ["CORPUS", "Donors", "choose_donors", "phonetic_final", "prepare"]

SEED = 2019
ENOUGH = 8  # recordings of a syllable, in words and here together
VERSION = f"1-{audio_cmn.version}"  # other words give other parts


class Donors:
    """Which recordings can give the beginning of a syllable, and which the end."""

    def __init__(self, words: Split) -> None:
        self.same, self.alike, self.ends = (defaultdict(list) for _ in range(3))
        for index, utterance in enumerate(words.utterances):
            first = split_syllable(utterance.syllables[0])
            self.same[first.initial, phonetic_final(first)].append(index)
            self.alike[first.initial, _glide(first)].append(index)
            if len(utterance.syllables) == 1:
                self.ends[phonetic_final(first), first.tone].append(index)

    def of(self, syllable: Syllable) -> tuple[list[int], list[int]]:
        """Indices of beginnings (with the same final if possible) and of ends; may be empty."""
        same = self.same.get((syllable.initial, phonetic_final(syllable)), [])
        alike = self.alike.get((syllable.initial, _glide(syllable)), [])
        return same or alike, self.ends.get((phonetic_final(syllable), syllable.tone), [])


def phonetic_final(syllable: Syllable) -> str:
    """The final as it sounds: the i of `zi` and that of `zhi` differ from the i of `ji`."""
    if syllable.final == "i" and syllable.initial in ("z", "c", "s"):
        return "ɿ"
    if syllable.final == "i" and syllable.initial in ("zh", "ch", "sh", "r"):
        return "ʅ"
    return syllable.final


def _glide(syllable: Syllable) -> str:
    """The vowel i, u or v with which the final begins, if it does."""
    sound = phonetic_final(syllable)
    return sound[0] if sound[0] in "iuvɿʅ" else ""


def prepare(root: Path | None = None) -> Preparation:
    """Splice the missing recordings in `root`, by default in the data folder.

    Raises CorpusError if audio-cmn is not prepared.
    """
    from ramospeech.audio.io import SAMPLE_RATE, load_audio  # these import torch
    from ramospeech.audio.splicing import splice

    words = audio_cmn.open_split("train")
    found = Preparation(root or data_dir() / "spliced" / VERSION)
    read = lru_cache(4000)(lambda index: load_audio(words.audio_path(index)))
    for syllable, number, donors in tqdm(list(choose_donors(words, found)), desc="splicing"):
        path = f"{syllable}/{number}.flac"
        if not (found.root / path).exists():
            beginning, end = donors
            try:
                waveform = splice(read(beginning), read(end))
            except ValueError as error:  # a recording is missing, silent, or contains no speech
                found.skip("a part that cannot be used", example=str(error))
                continue
            write_recording(found.root / path, waveform.clip(-1, 1).numpy(), SAMPLE_RATE)
        found.keep("train", Utterance(path, syllable, ""), "Yue Tan")
    return found


def choose_donors(words: Split, found: Preparation) -> Iterator[tuple[str, int, tuple[int, int]]]:
    """Syllable, number of the copy, and the two recordings to splice; the same on every call."""
    rng = np.random.default_rng(SEED)
    counts = Counter(syllable for utterance in words.utterances for syllable in utterance.syllables)
    donors = Donors(words)
    for syllable in Vocabulary.read().symbols[2:]:
        beginnings, ends = donors.of(split_syllable(syllable))
        if not (beginnings and ends):
            found.skip("syllable of which no part was recorded by itself")
            continue
        for number in range(ENOUGH - counts[syllable]):
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
