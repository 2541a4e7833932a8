"""`espeak`: every syllable of the vocabulary in many robot voices, made on this machine.

Real recordings contain each syllable a few times by one speaker, rare ones not at all. Here all
1,213 are equally frequent, in meaningless sequences of one to five, so that a model can learn
nothing but their sound. The voices of mini's dev and test do not occur: they stay unseen.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ramospeech.config.paths import data_dir
from ramospeech.data.corpus import Corpus
from ramospeech.data.manifest import Utterance, read_manifest
from ramospeech.data.preparation import Preparation
from ramospeech.data.recipes.mini import manifest_path, parse_voice, speak_utterance
from ramospeech.data.tts.espeak import SPELLING_VERSION, variants
from ramospeech.language.vocabulary import Vocabulary

__all__ = ["CORPUS", "draw_utterances", "prepare", "training_voices"]

SEED = 2019
UTTERANCES = 8000
LENGTHS = (0.25, 0.4, 0.2, 0.1, 0.05)  # probability of 1, 2, ... syllables
TONELESS = {"whisper", "whisperf"}
VERSION = f"{SPELLING_VERSION}-{version('espeakng-loader')}"  # another version may sound different


def prepare(root: Path | None = None) -> Preparation:
    """Synthesise the missing recordings in `root`, by default in the data folder."""
    found = Preparation(root or data_dir() / "espeak" / VERSION)
    for utterance in tqdm(draw_utterances(), total=UTTERANCES, desc="speaking espeak"):
        speak_utterance(utterance, found.root)
        found.keep("train", utterance, parse_voice(utterance.path)[0].variant)
    return found


def draw_utterances(count: int = UTTERANCES) -> Iterator[Utterance]:
    """Sequences of syllables, each with its voice; the same on every call."""
    rng = np.random.default_rng(SEED)
    voices, symbols = training_voices(), Vocabulary.read().symbols[2:]
    deck: list[str] = []
    for number in range(count):
        length = 1 + int(rng.choice(len(LENGTHS), p=LENGTHS))
        if len(deck) < length:
            deck += rng.permutation(symbols).tolist()
        row, deck = deck[:length], deck[length:]
        rate, pitch, reach = (int(rng.integers(*limits)) for limits in
                              ((90, 220), (20, 80), (40, 90)))
        voice = voices[number % len(voices)]
        yield Utterance(f"{voice}/r{rate}_p{pitch}_a{reach}/{number:05}.wav", " ".join(row), "")


def training_voices() -> list[str]:
    """espeak-ng's variants except those in mini's dev and test, and those without tones."""
    held_out = {parse_voice(utterance.path)[0].variant for split in ("dev", "test")
                  for utterance in read_manifest(manifest_path(split))}
    return [name for name in variants() if name.isalnum() and name not in held_out | TONELESS]


CORPUS = Corpus(
    name="espeak",
    description="all 1,213 syllables in many robot voices, made on this machine",
    licence="none needed: made on your machine by espeak-ng",
    label_source="the text that was spoken",
    prepare=prepare,
    version=VERSION,
    embedded=True,
    synthetic=True,
)
