"""Compare the shipped model's error rates at 16 kHz and at the telephone's 8 kHz.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/low_rate.py

Evaluates the words of dev as recorded, and resampled to 8,000 samples per second and back.
Prints the toned-syllable error rates.
"""

import torch
from torchaudio.functional import resample as change_rate

from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.data.corpora import open_split
from ramospeech.language.edit_distance import edits
from ramospeech.recognition.recogniser import Recogniser

LOW = 8_000  # samples per second
WORDS = 500


def main() -> None:
    split, recogniser = open_split("audio-cmn", "dev"), Recogniser.load()
    wrong, count = torch.zeros(2), 0
    for index, utterance in enumerate(split.utterances[:WORDS]):
        clean = load_audio(split.audio_path(index))  # (samples,)
        low = change_rate(change_rate(clean, SAMPLE_RATE, LOW), LOW, SAMPLE_RATE)
        hypotheses = recogniser.recognise([clean]) + recogniser.recognise([low])
        wrong += torch.tensor([edits(utterance.syllables, item.syllables) for item in hypotheses])
        count += len(utterance.syllables)
    for rate, errors in zip((SAMPLE_RATE, LOW), wrong.tolist()):
        print(f"{rate:6} samples per second: {errors / count:.1%} of {count} toned syllables wrong")


if __name__ == "__main__":
    main()
