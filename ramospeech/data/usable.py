"""Which utterances a model can learn from, or be judged by, as the headers of their files tell."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from ramospeech.audio.features import frame_count
from ramospeech.audio.io import SAMPLE_RATE, AudioError, audio_seconds
from ramospeech.audio.segmentation import stated_seconds
from ramospeech.data.corpus import Split
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.losses.batch import frames_needed
from ramospeech.models.dfcnn import REDUCTION, output_count


def measure_seconds(split: Split) -> np.ndarray:
    """The length of every recording, from the files' headers; 0 where no header can be read."""
    paths = (split.audio_path(index) for index in range(len(split)))
    bar = tqdm(paths, total=len(split), desc=f"lengths of {split.corpus} {split.name}", leave=False)
    return np.array([stated_seconds(path) for path in bar])


def find_unreadable(split: Split, seconds: np.ndarray) -> dict[int, str]:
    """Recordings whose headers tell that they are of no use, each with the reason.

    They cannot be read, or have too few frames for the model. What is silent, or damaged inside,
    is found only when it is read.
    """
    short = np.flatnonzero(frame_count(np.rint(seconds * SAMPLE_RATE).astype(int)) < REDUCTION)
    return {index: _why_unreadable(split.audio_path(index), seconds[index])
            for index in short.tolist()}


def _why_unreadable(path: Path, seconds: float) -> str:
    try:
        audio_seconds(path)
        return too_short(path, seconds)
    except AudioError as error:
        return str(error)


def too_short(path: Path, seconds: float) -> str:
    return f"{path}: too short: {seconds:.3f} s"


def find_unusable(
    split: Split, seconds: np.ndarray, vocabulary: Vocabulary, fastest: float = 1.0,
    loss: str = "ctc", subsampling: int = 1,
) -> dict[int, str]:
    """Utterances that cannot be read, or that the loss cannot align, each with the reason.

    `fastest` is the highest speed that augmentation plays them at, `subsampling` the model's.
    """
    unusable = find_unreadable(split, seconds)
    samples = np.ceil(seconds * SAMPLE_RATE / fastest - 1e-6).astype(int)  # resampling rounds up
    outputs = output_count(frame_count(samples), subsampling)
    for index, (utterance, frames) in enumerate(zip(split.utterances, outputs.tolist())):
        needed = max(1, frames_needed(vocabulary.encode(utterance.syllables), loss))
        if frames < needed and index not in unusable:
            unusable[index] = (f"{utterance.path}: {len(utterance.syllables)} syllables need "
                               f"{needed} output frames, {seconds[index]:.2f} s give {frames}")
    return unusable
