"""Measure whether spliced syllables are recognised, and where the cut is best.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/splicing.py

Splices common syllables from parts of other syllables, and runs the model of one voice, which knows the
real ones (models/one-voice.safetensors), on them. Prints a table and writes benchmarks/splicing.json:
the error rate by the position of the cut, relative to the onset of voicing.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ramospeech.audio.features import HOP_SAMPLES, log_spectrogram, normalise
from ramospeech.audio.io import load_audio
from ramospeech.audio.splicing import splice
from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.recipes.spliced import Donors
from ramospeech.decoding.greedy import greedy_decode
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.pinyin import base_syllable, split_syllable
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.checkpoints import load_model
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
COMMON = 25  # occurrences of a syllable in the training words
SYLLABLES = 500  # drawn at random, with their recordings
FRAMES = (0, 1, 2, 3, 4, 5, 6, 8, 10)


def main() -> None:
    torch.set_num_threads(1)
    words = open_split("audio-cmn", "train")
    model, vocabulary, _ = load_model(SHIPPED_MODEL.with_name("one-voice.safetensors"))
    choices = list(choose(words, vocabulary))
    rows = []
    for frames in FRAMES:
        hypotheses = [recognise(model, vocabulary, splice(
            load_audio(words.audio_path(beginning)), load_audio(words.audio_path(end)),
            frames * HOP_SAMPLES)) for _, (beginning, end) in choices]
        rows.append({"milliseconds": 10 * frames} | error_rates(choices, hypotheses))
        print(rows[-1], flush=True)
    facts = {"command": "python benchmarks/splicing.py", "commit": commit(), "hardware": hardware(),
             "syllables": len(choices), "rows": rows}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")


def choose(words: Split, vocabulary: Vocabulary) -> Iterator[tuple[str, tuple[int, int]]]:
    """Draw common syllables, each with two recordings of other syllables to splice."""
    counts = Counter(syllable for utterance in words.utterances for syllable in utterance.syllables)
    common = [syllable for syllable in vocabulary.symbols[2:] if counts[syllable] >= COMMON]
    rng, donors = np.random.default_rng(2019), Donors(words)
    for syllable in rng.choice(common, SYLLABLES):
        beginnings, ends = (
            [index for index in items if words.utterances[index].syllables[0] != syllable]
            for items in donors.of(split_syllable(syllable)))
        if beginnings and ends:
            yield str(syllable), (int(rng.choice(beginnings)), int(rng.choice(ends)))


@torch.inference_mode()
def recognise(model: AcousticModel, vocabulary: Vocabulary, waveform: torch.Tensor) -> list[str]:
    logits = model(normalise(log_spectrogram(waveform)[None]))  # (1, T, classes)
    return vocabulary.decode(greedy_decode(logits.log_softmax(-1))[0].tokens)


def error_rates(choices: list, hypotheses: list[list[str]]) -> dict[str, float]:
    """Return the error rates of toned and base syllables."""
    toned = [found != [syllable] for (syllable, _), found in zip(choices, hypotheses)]
    base = [list(map(base_syllable, found)) != [base_syllable(syllable)]
            for (syllable, _), found in zip(choices, hypotheses)]
    return {"toned": round(float(np.mean(toned)), 4), "base": round(float(np.mean(base)), 4)}


if __name__ == "__main__":
    main()
