"""Which utterances a model can be trained on or evaluated with, by the headers of their files."""

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


__all__ = ["find_unreadable", "find_unusable", "measure_seconds", "too_short"]


def measure_seconds(split: Split) -> np.ndarray:
    """The length of every recording in seconds, from the headers; 0 if a header cannot be read."""
    paths = (split.audio_path(index) for index in range(len(split)))
    bar = tqdm(paths, total=len(split), desc=f"lengths of {split.corpus} {split.name}", leave=False)
    return np.array([stated_seconds(path) for path in bar])


def find_unreadable(split: Split, seconds: np.ndarray) -> dict[int, str]:
    """Index and reason for each recording that cannot be read or has too few frames for the model.

    Only headers are read: recordings that are silent or damaged inside are found later.
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
    """The reason why a recording cannot be used."""
    return f"{path}: too short: {seconds:.3f} s"


def find_unusable(
    split: Split, seconds: np.ndarray, vocabulary: Vocabulary, fastest: float = 1.0,
    loss: str = "ctc", subsampling: int = 1,
) -> dict[int, str]:
    """Index and reason for each utterance that cannot be read, or that the loss cannot align.

    `fastest` is the highest speed of the augmentation, `subsampling` that of the model.
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
