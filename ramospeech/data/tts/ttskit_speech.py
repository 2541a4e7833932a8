"""The utterances of the corpus `ttskit`: random sequences of syllables, each in a mixture of voices.

Each utterance is spoken by a mixture of two voices, so that hardly two of them sound alike.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import resample
from tqdm import tqdm

from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import Preparation, write_recording
from ramospeech.data.tts.ttskit import TTS_SAMPLE_RATE, Synthesiser, can_say, voice
from ramospeech.language.vocabulary import Vocabulary

__all__ = ["Prompt", "batches", "draw_prompts", "speak_batch", "synthesise", "write_with_room_noise"]

SEED = 2019
LENGTHS = {1: 6000, 2: 3600, 3: 2400}  # how many prompts have 1, 2, 3 syllables
BATCH_SIZE = 48
MIN_SECONDS = 0.14  # per syllable: a faster voice has swallowed some

# Without four of ttskit's 24 voices, which fail on single syllables, and without `biaobei`, which has
# the name of a corpus that is not for commercial use.
VOICES = """Aibao Aicheng Aida Aijia Aijing Aimei Aina Aiqi Aitong Aiwei Aixia Aiya Aiyu Aiyue
    Siyue Xiaobei Xiaomei Xiaoxue Xiaoyun""".split()


class Prompt(NamedTuple):
    """What to say, and in which voice; `share` is the first voice's part of the mixture, in percent."""

    pinyin: str
    first: str
    second: str
    share: int
    number: int

    @property
    def path(self) -> str:
        return f"{self.first}-{self.second}/{self.share:02}_{self.number:05}.flac"

    @property
    def length(self) -> int:
        """In syllables."""
        return len(self.pinyin.split())

    def mixture(self) -> Tensor:  # (32,)
        return torch.lerp(voice(self.second), voice(self.first), self.share / 100)


def synthesise(wheel: Path, root: Path) -> Preparation:
    """Write the missing recordings of the corpus to `root`. Raises ValueError for a wrong wheel."""
    synthesiser, found, prompts = Synthesiser(wheel), Preparation(root), list(draw_prompts())
    with tqdm(total=len(prompts), desc="speaking ttskit") as bar:
        for seed, batch in enumerate(batches(prompts)):
            speak_batch(synthesiser, batch, seed, found)
            bar.update(len(batch))
    return found


def draw_prompts() -> Iterator[Prompt]:
    """The same prompts on every call, sorted by length."""
    rng = np.random.default_rng(SEED)
    symbols = [symbol for symbol in Vocabulary.read().symbols[2:] if can_say(symbol)]
    deck: list[str] = []
    lengths = [length for length, count in LENGTHS.items() for _ in range(count)]
    for number, length in enumerate(lengths):
        if len(deck) < length:
            deck += rng.permutation(symbols).tolist()
        drawn, deck = deck[:length], deck[length:]
        first, second = rng.choice(VOICES, 2, replace=False).tolist()
        yield Prompt(" ".join(drawn), first, second, int(rng.integers(100)), number)


def batches(prompts: list[Prompt]) -> Iterator[list[Prompt]]:
    """Batches of prompts of the same length."""
    for length in LENGTHS:
        alike = (prompt for prompt in prompts if prompt.length == length)
        while batch := list(islice(alike, BATCH_SIZE)):
            yield batch


def speak_batch(
    synthesiser: Synthesiser, batch: list[Prompt], seed: int, found: Preparation
) -> None:
    """Write the missing recordings of a batch; skip prompts that the network cannot say."""
    if not all((found.root / prompt.path).exists() for prompt in batch):
        texts, voices = [prompt.pinyin for prompt in batch], [prompt.mixture() for prompt in batch]
        for prompt, waveform in zip(batch, synthesiser.speak(texts, voices, seed)):
            if len(waveform) >= MIN_SECONDS * TTS_SAMPLE_RATE * prompt.length:
                write_with_room_noise(found.root / prompt.path, waveform, prompt.number)
    for prompt in batch:
        if (found.root / prompt.path).exists():
            found.keep("train", Utterance(prompt.path, prompt.pinyin, ""),
                       f"{prompt.first}-{prompt.second}")
        else:
            found.skip("the voice failed")


def write_with_room_noise(path: Path, waveform: Tensor, number: int) -> None:
    """Write at 16 kHz, with the faint noise of a quiet room before, during and after the speech."""
    rng = np.random.default_rng([SEED, number])
    speech = resample(waveform, TTS_SAMPLE_RATE, SAMPLE_RATE).numpy()
    before, after = rng.integers(SAMPLE_RATE // 10, SAMPLE_RATE // 2, 2)
    room = rng.normal(0, 10 ** rng.uniform(-4, -3), before + len(speech) + after)
    room[before:before + len(speech)] += speech
    write_recording(path, room.clip(-1, 1), SAMPLE_RATE)
