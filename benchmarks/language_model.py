"""Measure the effect of the shipped language model; weights are tuned on dev, test is evaluated once.

    ramospeech prepare audio-cmn --root DIR
    python benchmarks/language_model.py

Prints a table and writes benchmarks/language_model.json.
"""

import json
from pathlib import Path

import torch

from ramospeech.config.paths import SHIPPED_LANGUAGE_MODEL
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.decoding.greedy import greedy_decoder
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.evaluation.evaluate import judge, recognise_split
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.arpa import read_arpa
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.checkpoints import load_model
from ramospeech.recognition.recogniser import make_transcripts
from ramospeech.recognition.results import Result
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
WEIGHTS = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9]
BONUSES = [0.0, 1.0, 2.0, 3.0, 4.0]
Posteriors = dict[int, torch.Tensor]  # by the utterance's index


def main() -> None:
    started_at = commit()
    model, vocabulary, _ = load_model()
    language = read_arpa(SHIPPED_LANGUAGE_MODEL, vocabulary)
    rows = {corpus: _compare(corpus, model, vocabulary, language) for corpus in ("audio-cmn", "mini")}
    facts = {"command": "python benchmarks/language_model.py", "commit": started_at,
             "hardware": hardware(), "language_model": SHIPPED_LANGUAGE_MODEL.name, "beam_width": 30,
             "corpora": rows}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(facts)))


def _compare(corpus: str, model, vocabulary: Vocabulary, language) -> dict:
    """Return the toned-syllable error rates of both lists; weight and bonus are chosen on dev."""
    dev, test = open_split(corpus, "dev"), open_split(corpus, "test")
    dev_posteriors, test_posteriors = (_posteriors(model, vocabulary, split) for split in (dev, test))
    tried = {}
    for weight in WEIGHTS:
        for bonus in BONUSES:
            settings = {"language_model": language, "lm_weight": weight, "length_bonus": bonus}
            tried[weight, bonus] = _error(dev, dev_posteriors, vocabulary, settings)
    weight, bonus = best = min(tried, key=lambda key: tried[key])
    chosen = {"language_model": language, "lm_weight": weight, "length_bonus": bonus}
    return {
        "lm_weight": weight, "length_bonus": bonus,
        "dev": {"greedy": _error(dev, dev_posteriors, vocabulary, None),
                "prefix": _error(dev, dev_posteriors, vocabulary, {}), "with model": tried[best]},
        "test": {"greedy": _error(test, test_posteriors, vocabulary, None),
                 "prefix": _error(test, test_posteriors, vocabulary, {}),
                 "with model": _error(test, test_posteriors, vocabulary, chosen)},
        "tried_on_dev": [[*key, error] for key, error in tried.items()],
    }


def _posteriors(model, vocabulary: Vocabulary, split: Split) -> Posteriors:
    """Return the log-probabilities `(T, classes)` of every utterance."""
    seen = []

    def keep(log_probs: torch.Tensor, lengths: torch.Tensor):
        seen.extend(row[:length].clone() for row, length in zip(log_probs, lengths.tolist()))
        return greedy_decoder()(log_probs, lengths)

    indices = [index for index, _ in recognise_split(model, vocabulary, split, decode=keep)]
    return dict(zip(indices, seen, strict=True))


def _error(split: Split, posteriors: Posteriors, vocabulary: Vocabulary, settings) -> float:
    """Return the error rate of greedy decoding without settings, of the prefix beam search with them."""
    def read(log_probs: torch.Tensor):
        if settings is None:
            return greedy_decoder()(log_probs[None], torch.tensor([len(log_probs)]))[0]
        return prefix_beam_search(log_probs, **settings)

    results = ((index, Result(transcripts=make_transcripts(read(log_probs), vocabulary)))
               for index, log_probs in posteriors.items())
    return round(judge(results, vocabulary, split).toned.rate, 4)


def table(facts: dict) -> list[str]:
    """Return the table in the README."""
    lines = ["| toned syllables wrong | greedy | prefix beam | with language model | weight, bonus |",
             "| --- | --- | --- | --- | --- |"]
    for corpus, row in facts["corpora"].items():
        for name in ("dev", "test"):
            rates = " | ".join(f"{rate:.1%}" for rate in row[name].values())
            lines.append(f"| {corpus} {name} | {rates} | {row['lm_weight']}, {row['length_bonus']} |")
    return lines


if __name__ == "__main__":
    main()
