"""Measure what the joint search with words corrects: hanzi error rates of the shipped model.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/joint_search.py --tune     # on dev, as a table
    python benchmarks/joint_search.py            # on test, with the weights chosen on dev

Compares the hanzi of the greedy syllables (the most probable conversion of each recording) with those
of the joint search over the n best of the prefix beam search. Writes benchmarks/joint_search.json.
"""

import json
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple, cast

from torch import Tensor
from tqdm import tqdm

from ramospeech.audio.io import load_audio
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.data.manifest import Utterance
from ramospeech.decoding.greedy import greedy_decode
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.evaluation.error_rates import ErrorCounts
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.pinyin_to_hanzi import Converter
from ramospeech.recognition.joint_decoding import (
    ALTERNATIVES, FLOOR, HYPOTHESES, JointWeights, confusion_networks, joint_search,
)
from ramospeech.recognition.recogniser import Recogniser
from ramospeech.utils.files import write_text


OUTPUT = Path(__file__).with_suffix(".json")
TRIED = (1, 2, 4)  # hypotheses


class FirstPass(NamedTuple):
    """The model's output for an utterance."""

    utterance: Utterance
    log_probs: Tensor  # (T, classes)
    greedy: Hypothesis
    nbest: list[Hypothesis]


def recognise(split: Split, recogniser: Recogniser) -> Iterator[FirstPass]:
    for index, utterance in enumerate(tqdm(split.utterances)):
        (log_probs,) = recogniser.log_probs([load_audio(split.audio_path(index))])
        nbest = cast(list[Hypothesis], prefix_beam_search(log_probs, nbest=max(TRIED)))  # of one utterance
        yield FirstPass(utterance, log_probs, greedy_decode(log_probs[None])[0], nbest)


class Errors(NamedTuple):
    """Edits in hanzi and in toned syllables."""

    hanzi: ErrorCounts
    syllables: ErrorCounts

    def add(self, said: Utterance, hanzi: str, syllables: list[str]) -> None:
        self.hanzi.add(said.hanzi, hanzi)
        self.syllables.add(said.syllables, syllables)


def greedy_errors(first_pass: list[FirstPass], recogniser: Recogniser, converter: Converter) -> Errors:
    """Evaluate the conversion of the greedy syllables."""
    errors = Errors(ErrorCounts(), ErrorCounts())
    for item in first_pass:
        syllables = recogniser.vocabulary.decode(item.greedy.tokens)
        errors.add(item.utterance, converter.convert(" ".join(syllables)), syllables)
    return errors


def joint_errors(
    first_pass: list[FirstPass], recogniser: Recogniser, converter: Converter, weights: JointWeights,
    hypotheses: int = HYPOTHESES,
) -> Errors:
    """Evaluate the joint search."""
    errors = Errors(ErrorCounts(), ErrorCounts())
    for item in first_pass:
        networks = confusion_networks(item.log_probs, item.nbest[:hypotheses], recogniser.vocabulary)
        best = joint_search(networks, converter.model, weights)
        errors.add(item.utterance, best[0].hanzi if best else "",
                   list(best[0].syllables) if best else [])
    return errors


def tune(recogniser: Recogniser, converter: Converter) -> None:
    first_pass = list(recognise(open_split("audio-cmn", "dev"), recogniser))
    greedy = greedy_errors(first_pass, recogniser, converter)
    print(f"greedy: {greedy.hanzi.rate:.1%} of hanzi wrong")
    for hypotheses, language, length in product(TRIED, (0.2, 0.3, 0.5, 0.7, 1.0), (0.0, 2.0)):
        if hypotheses == 1 and length:
            continue  # the number of syllables is fixed
        errors = joint_errors(first_pass, recogniser, converter, JointWeights(language, length),
                              hypotheses)
        print(f"{hypotheses} hypotheses, length {length}, language {language}: "
              f"{errors.hanzi.rate:.2%} of hanzi, {errors.syllables.rate:.2%} of syllables wrong",
              flush=True)


def main() -> None:
    recogniser, converter = Recogniser.load(), Converter.load()
    if "--tune" in sys.argv:
        tune(recogniser, converter)
        return
    split = open_split("audio-cmn", "test")
    first_pass = list(recognise(split, recogniser))
    weights = JointWeights()
    greedy = greedy_errors(first_pass, recogniser, converter)
    joint = joint_errors(first_pass, recogniser, converter, weights)
    facts = {"command": "python benchmarks/joint_search.py", "commit": commit(),
             "hardware": hardware(), "model": "audio-cmn.safetensors", "corpus": "audio-cmn",
             "split": "test", "label_source": split.label_source, "words": len(split),
             "hypotheses": HYPOTHESES, "alternatives": ALTERNATIVES,
             "floor": FLOOR,
             "language": weights.language, "length": weights.length,
             "hanzi_error": {"greedy": round(greedy.hanzi.rate, 4),
                             "joint": round(joint.hanzi.rate, 4)},
             "syllable_error": {"greedy": round(greedy.syllables.rate, 4),
                                "joint": round(joint.syllables.rate, 4)}}
    print(json.dumps(facts["hanzi_error"]), json.dumps(facts["syllable_error"]))
    write_text(OUTPUT, json.dumps(facts, ensure_ascii=False, indent=2) + "\n")


def table(facts: dict) -> list[str]:
    """Return the table in the README."""
    rows = [f"| {name} | {facts['hanzi_error'][kind]:.1%} | {facts['syllable_error'][kind]:.1%} |"
            for name, kind in (("greedy decoding", "greedy"), ("joint search with the words", "joint"))]
    return ["| audio-cmn test | hanzi wrong | toned syllables wrong |", "| --- | --- | --- |", *rows,
            "", f"By `{facts['command']}` at commit {facts['commit']}."]


if __name__ == "__main__":
    main()
