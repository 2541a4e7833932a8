"""`espeak`: every syllable of the vocabulary in many robot voices, made on this machine.

Real recordings have each syllable a few times by one speaker, rare ones not at all. Here all 1,213
come equally often, in rows of one to five that mean nothing, so that nothing can be learned but how
they sound. No voice of mini's dev and test speaks here: those stay unheard.
"""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ramospeech.config.paths import data_dir
from ramospeech.data.corpora import Corpus
from ramospeech.data.manifest import Utterance, read_manifest
from ramospeech.data.preparation import Preparation
from ramospeech.data.recipes.mini import manifest_path, parse_voice, speak_utterance
from ramospeech.data.tts.espeak import READING, variants
from ramospeech.language.vocabulary import Vocabulary

SEED = 2019
UTTERANCES = 8000
LENGTHS = (0.25, 0.4, 0.2, 0.1, 0.05)  # how often a row has 1, 2, ... syllables
TONELESS = {"whisper", "whisperf"}
VERSION = f"{READING}-{version('espeakng-loader')}"  # another one may sound otherwise


def prepare(root: Path | None = None) -> Preparation:
    """Speak every utterance that is not there yet, into `root` or the data folder."""
    found = Preparation(root or data_dir() / "espeak" / VERSION)
    for utterance in tqdm(draw_utterances(), total=UTTERANCES, desc="speaking espeak"):
        speak_utterance(utterance, found.root)
        found.keep("train", utterance, parse_voice(utterance.path)[0].variant)
    return found


def draw_utterances(count: int = UTTERANCES) -> Iterator[Utterance]:
    """Rows of syllables, each with its speaker; always the same ones."""
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
    """espeak-ng's variants but for those that mini keeps for judging, and those without a tone."""
    kept_apart = {parse_voice(utterance.path)[0].variant for split in ("dev", "test")
                  for utterance in read_manifest(manifest_path(split))}
    return [name for name in variants() if name.isalnum() and name not in kept_apart | TONELESS]


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
