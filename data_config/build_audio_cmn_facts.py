"""Write audio_cmn_facts.json: statistics of the real recordings of audio-cmn.

    python data_config/build_audio_cmn_facts.py [OUTPUT]

The corpus must be prepared (`ramospeech download audio-cmn`). The notebooks quote this file, so
that they can describe real recordings on machines without them. Takes about a minute.
"""

import json
import sys
from pathlib import Path

from ramospeech.data.corpora import get_corpus, open_split
from ramospeech.data.corpus import Split
from ramospeech.data.recipes.audio_cmn import COMMIT, URL
from ramospeech.data.usable import measure_seconds
from ramospeech.evaluation.report import commit
from ramospeech.language.vocabulary import Vocabulary

NAME = "audio-cmn"
SPEAKERS = {"train": "Yue Tan", "dev": "Yue Tan", "test": "Yue Tan",
            "syllables-dev": "Chen Wang", "syllables": "Chen Wang"}
PUBLIC_WORDS = 8596  # recordings in the folder hsk of the public repository; a copy may have fewer


def split_facts(split: Split, vocabulary: Vocabulary) -> dict:
    seconds = measure_seconds(split)
    spoken = [syllable for utterance in split.utterances for syllable in utterance.syllables]
    return {
        "speaker": SPEAKERS[split.name],
        "recordings": len(split),
        "hours": round(seconds.sum() / 3600, 2),
        "seconds_mean": round(seconds.mean(), 2),
        "seconds_shortest": round(seconds.min(), 2),
        "seconds_longest": round(seconds.max(), 2),
        "syllables": len(spoken),
        "different_syllables": len(set(spoken)),
        "syllables_outside_vocabulary": sum(syllable not in vocabulary for syllable in spoken),
    }


def overlap_facts(train: Split, test: Split) -> dict:
    """How much of the test words occurs in training."""
    words = {utterance.hanzi for utterance in train.utterances}
    pronunciations = {utterance.pinyin for utterance in train.utterances}
    syllables = {syllable for pronunciation in pronunciations for syllable in pronunciation.split(" ")}
    spoken = [syllable for utterance in test.utterances for syllable in utterance.syllables]
    homophones = sum(utterance.pinyin in pronunciations for utterance in test.utterances)
    return {
        "test_words": len(test),
        "test_words_in_train": sum(utterance.hanzi in words for utterance in test.utterances),
        "test_words_that_sound_like_a_train_word": homophones,
        "test_syllables_never_in_train": sum(syllable not in syllables for syllable in spoken),
    }


def main(output: Path) -> None:
    vocabulary = Vocabulary.read()
    splits = {name: open_split(NAME, name) for name in SPEAKERS}
    words = sum(len(splits[name]) for name in ("train", "dev", "test"))
    facts = {
        "command": "python data_config/build_audio_cmn_facts.py",
        "commit": commit(),
        "source": f"{URL}, commit {COMMIT}",
        "label_source": splits["test"].label_source,
        "words_kept": words,
        "words_in_public_repository": PUBLIC_WORDS,
        "splits": {name: split_facts(split, vocabulary) for name, split in splits.items()},
        "skipped": get_corpus(NAME).read_facts()["skipped"],
        "overlap": overlap_facts(splits["train"], splits["test"]),
    }
    output.write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"{output}: {sum(map(len, splits.values()))} recordings, {words} of them words")


if __name__ == "__main__":
    default = Path(__file__).with_name("audio_cmn_facts.json")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
