"""What the words of the language mend in what the shipped model hears: hanzi errors on audio-cmn.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/joint_search.py --tune     # on dev, as a table
    python benchmarks/joint_search.py            # on test, with the weights of JointWeights

Compared are the hanzi of the greedy syllables (the most probable writing of each recording), and
those of the joint search. Writes benchmarks/joint_search.json.
"""

import json
import sys
from itertools import product
from pathlib import Path

import torch
from tqdm import tqdm

from ramospeech.audio import load_audio
from ramospeech.corpora import Split, open_split
from ramospeech.decoders import Hypothesis, greedy_decode
from ramospeech.features import extract_features
from ramospeech.files import write_text
from ramospeech.joint_search import Heard, JointWeights, joint_search, slots_from_posteriors
from ramospeech.metrics import ErrorCounts
from ramospeech.pinyin_to_hanzi import Converter
from ramospeech.recognition import Recogniser
from ramospeech.report import commit, hardware

ALTERNATIVES = 8
Listened = list[tuple[str, list[str], torch.Tensor, Hypothesis]]


@torch.inference_mode()
def listen(split: Split, recogniser: Recogniser) -> Listened:
    """Hanzi, syllables, `(T, classes)` log probabilities and greedy hypothesis of each recording."""
    heard = []
    for index, utterance in enumerate(tqdm(split.utterances)):
        waveform = load_audio(split.audio_path(index))
        features, lengths = extract_features(waveform[None], torch.tensor([len(waveform)]))
        log_probs = recogniser.model(features, lengths).log_softmax(dim=-1)
        (hypothesis,) = greedy_decode(log_probs)
        heard.append((utterance.hanzi, utterance.syllables, log_probs[0], hypothesis))
    return heard


def greedy_error(listened: Listened, recogniser: Recogniser, converter: Converter) -> ErrorCounts:
    """Edits of hanzi where the syllables are taken as they were heard."""
    counts = ErrorCounts()
    for hanzi, _, _, hypothesis in listened:
        heard = recogniser.inventory.decode(hypothesis.tokens)
        counts.add(hanzi, converter.convert(" ".join(heard)))
    return counts


def joint_error(
    listened: Listened, recogniser: Recogniser, converter: Converter, weights: JointWeights,
    alternatives: int = ALTERNATIVES,
) -> tuple[ErrorCounts, ErrorCounts]:
    """Edits of hanzi, and of toned syllables, with the joint search."""
    hanzi_counts, syllable_counts = ErrorCounts(), ErrorCounts()
    for hanzi, syllables, log_probs, hypothesis in listened:
        slots = slots_from_posteriors(log_probs, hypothesis, recogniser.inventory, alternatives)
        best = joint_search([Heard(slots, hypothesis.score)], converter.model, weights)
        hanzi_counts.add(hanzi, best[0].hanzi if best else "")
        syllable_counts.add(syllables, best[0].syllables if best else ())
    return hanzi_counts, syllable_counts


def syllable_error(listened: Listened, recogniser: Recogniser) -> ErrorCounts:
    counts = ErrorCounts()
    for _, syllables, _, hypothesis in listened:
        counts.add(syllables, recogniser.inventory.decode(hypothesis.tokens))
    return counts


def tune(recogniser: Recogniser, converter: Converter) -> None:
    listened = listen(open_split("audio-cmn", "dev"), recogniser)
    print(f"greedy: {greedy_error(listened, recogniser, converter).rate:.1%} of hanzi wrong")
    for alternatives, language in product((4, 8), (0.1, 0.3, 0.5, 0.7, 1.0, 1.4)):
        hanzi, syllables = joint_error(listened, recogniser, converter,
                                       JointWeights(language), alternatives)
        print(f"{alternatives:3} alternatives, language {language}: {hanzi.rate:.1%} of hanzi, "
              f"{syllables.rate:.1%} of syllables wrong", flush=True)


def main() -> None:
    recogniser, converter = Recogniser.load(), Converter.load()
    if "--tune" in sys.argv:
        tune(recogniser, converter)
        return
    split = open_split("audio-cmn", "test")
    listened = listen(split, recogniser)
    weights = JointWeights()
    hanzi, syllables = joint_error(listened, recogniser, converter, weights)
    facts = {"command": "python benchmarks/joint_search.py", "commit": commit(),
             "hardware": hardware(), "model": "audio-cmn.safetensors", "corpus": "audio-cmn",
             "split": "test", "label_source": split.label_source, "words": len(split),
             "alternatives": ALTERNATIVES, "language": weights.language,
             "hanzi_error": {
                 "greedy": round(greedy_error(listened, recogniser, converter).rate, 4),
                 "joint": round(hanzi.rate, 4)},
             "syllable_error": {"greedy": round(syllable_error(listened, recogniser).rate, 4),
                                "joint": round(syllables.rate, 4)}}
    print(json.dumps(facts["hanzi_error"]), json.dumps(facts["syllable_error"]))
    write_text(Path(__file__).with_suffix(".json"),
               json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


if __name__ == "__main__":
    main()
