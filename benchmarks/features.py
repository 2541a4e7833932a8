"""Measure how fast one core decodes audio and computes features, as a multiple of real time.

    python benchmarks/features.py

Prints a table and writes benchmarks/features.json. The audio is that of mini, converted to each
format; a multiple of 1,000 means an hour of audio in 3.6 seconds.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torchaudio.functional import resample

from ramospeech.audio.augment import change_speed, spec_augment
from ramospeech.audio.features import log_spectrogram, normalise
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.voice_augmentation import augment_voice
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.dataset import SpeechDataset
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
UTTERANCES = 100
ROUNDS = 5
FORMATS = [("wav", SAMPLE_RATE), ("flac", SAMPLE_RATE), ("ogg", SAMPLE_RATE), ("mp3", SAMPLE_RATE),
           ("wav", 44_100), ("flac", 44_100), ("mp3", 44_100), ("wav", 48_000), ("wav", 8_000)]


def main() -> None:
    load = os.getloadavg()[0]
    torch.set_num_threads(1)
    split = open_split("mini", "train")
    waveforms = [load_audio(split.audio_path(index)) for index in range(UTTERANCES)]
    rows = decoding(waveforms) | computing(waveforms) | training_data(split)
    facts = {"command": "python benchmarks/features.py", "commit": commit(),
             "hardware": hardware(), "load_before": load, "times_real_time": rows}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(facts)))


def decoding(waveforms: list[Tensor]) -> dict[str, int]:
    """Decode files to waveforms at 16 kHz."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, rate in FORMATS:
            paths = [Path(folder) / f"{number}-{rate}.{kind}" for number in range(len(waveforms))]
            for path, waveform in zip(paths, waveforms):
                soundfile.write(path, resample(waveform, SAMPLE_RATE, rate).numpy(), rate)
            name = f"decode {kind.upper()}, {rate / 1000:g} kHz"
            rows[name] = multiple(waveforms, partial(_load, paths))
    return rows


def _load(paths: list[Path], number: int) -> Tensor:
    return load_audio(paths[number])


def computing(waveforms: list[Tensor]) -> dict[str, int]:
    """Compute features, and augment."""
    spectrograms = [log_spectrogram(waveform) for waveform in waveforms]
    rng = np.random.default_rng(1)
    work = {
        "log spectrogram": lambda number: log_spectrogram(waveforms[number]),
        "normalise": lambda number: normalise(spectrograms[number][None]),
        "change speed by a tenth": lambda number: change_speed(waveforms[number], 1.1),
        "masks": lambda number: spec_augment(spectrograms[number], rng),
        "voice augmentation": lambda number: augment_voice(spectrograms[number], rng),
    }
    return {name: multiple(waveforms, step) for name, step in work.items()}


def training_data(split: Split) -> dict[str, int]:
    """Do all that a worker does for an utterance that it decoded in an earlier epoch."""
    rows = {}
    for name, share in (("speed, features and masks", 0.0), ("voice augmentation instead of speed", 1.0)):
        dataset = SpeechDataset(split, Vocabulary.read(), augment=True, voice_augmentation=share)
        waveforms = [dataset.waveform(index) for index in range(UTTERANCES)]
        rows[f"together: {name}"] = multiple(waveforms, partial(_example, dataset))
    return rows


def _example(dataset: SpeechDataset, number: int) -> object:
    return dataset[1, number]


def multiple(waveforms: list[Tensor], work: Callable[[int], object]) -> int:
    """Return seconds of audio per second of work, the best of several rounds."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for number in range(len(waveforms)):
            work(number)
        seconds.append(time.perf_counter() - started)
    return round(sum(map(len, waveforms)) / SAMPLE_RATE / min(seconds))


def table(facts: dict) -> list[str]:
    """Return the results as a Markdown table."""
    return [(f"{facts['command']} at commit {facts['commit']}, {facts['hardware']}, load before it "
             f"{facts['load_before']:.1f}"), "",
            "| one core | times real time |", "| --- | --- |",
            *(f"| {name} | {times:,} |" for name, times in facts["times_real_time"].items())]


if __name__ == "__main__":
    main()
