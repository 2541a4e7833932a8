"""Compare the speed of decoders: ours, flashlight-text, and plain Python.

    pip install -e '.[benchmarks]'
    python benchmarks/decoders.py

Prints a table and writes benchmarks/decoders.json. 200 frames of 1,215 classes: posteriors of the
shipped model (utterances of mini's test list, one after another) and flat ones. CPU time of one
thread, the minimum over several rounds for the fast decoders, and one round for plain Python.
Compilation is excluded. Ours must agree with plain Python at the same beam size.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ramospeech.data.corpora import open_split
from ramospeech.decoding.greedy import greedy_decoder, greedy_decode
from ramospeech.decoding.prefix_beam import prefix_beam_search, warm_up
from ramospeech.decoding.reference_beam import beam_search, plain_prefix_beam_search
from ramospeech.evaluation.evaluate import recognise_split
from ramospeech.evaluation.report import commit, hardware
from ramospeech.models.checkpoints import load_model
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
FRAMES, WIDTH, TURNS = 200, 30, 7
OURS = "prefix_beam_search"
Decoder = Callable[[Tensor], tuple[Sequence[int], float]]  # tokens and score


def main() -> None:
    torch.set_num_threads(1)
    started_at, compiling = commit(), warm_up()
    rows = {name: compare(log_probs) for name, log_probs in posteriors().items()}
    facts = {"command": "python benchmarks/decoders.py", "commit": started_at, "hardware": hardware(),
             "frames": FRAMES, "classes": 1215, "beam_width": WIDTH,
             "seconds_to_compile_or_load": round(compiling, 2), "posteriors": rows}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(facts)))


def posteriors() -> dict[str, Tensor]:
    """Return log-probabilities `(FRAMES, classes)` by kind."""
    model, vocabulary, _ = load_model()
    rows = []

    def keep(log_probs: Tensor, lengths: Tensor):
        rows.extend(row[:length] for row, length in zip(log_probs, lengths.tolist()))
        return greedy_decoder()(log_probs, lengths)

    for _ in recognise_split(model, vocabulary, open_split("mini", "test"), decode=keep):
        pass
    heard = torch.cat(rows)[:FRAMES]
    return {"shipped model": heard, "flat": torch.zeros_like(heard).log_softmax(dim=-1)}


def decoders() -> tuple[dict[str, Decoder], dict[str, Decoder]]:
    """Return the fast decoders and the slow ones, by name."""
    def ours(log_probs: Tensor, **settings):
        return prefix_beam_search(log_probs, beam_width=WIDTH, **settings)[0][:2]

    fast = {
        OURS: ours,
        "the same, 40 tokens a frame": lambda log_probs: ours(log_probs, tokens_per_frame=40),
        "greedy": lambda log_probs: greedy_decode(log_probs[None])[0][:2],
        "flashlight-text 0.0.7, 40 tokens a frame": lambda log_probs: flashlight(log_probs, 40),
        "flashlight-text 0.0.7": lambda log_probs: flashlight(log_probs, log_probs.shape[1]),
    }
    slow = {
        "plain Python, over prefixes":
            lambda log_probs: plain_prefix_beam_search(log_probs, WIDTH)[0],
        "plain Python, over paths": lambda log_probs: beam_search(log_probs, WIDTH)[0][:2],
    }
    return fast, slow


def flashlight(log_probs: Tensor, tokens: int) -> tuple[list[int], float]:
    """Return flashlight's lexicon-free decoder; it sums over paths and prunes none by score."""
    from flashlight.lib.text.decoder import (
        CriterionType, LexiconFreeDecoder, LexiconFreeDecoderOptions, ZeroLM,
    )

    options = LexiconFreeDecoderOptions(WIDTH, tokens, 1e9, 0.0, 0.0, True, CriterionType.CTC)
    decoder = LexiconFreeDecoder(options, ZeroLM(), -1, 0, [])
    best = decoder.decode(log_probs.data_ptr(), *log_probs.shape)[0]
    path = [token for token, before in zip(best.tokens[1:], best.tokens) if token != before]
    return [token for token in path if token > 0], best.score


def compare(log_probs: Tensor) -> dict[str, dict]:
    """Return milliseconds, the ratio to ours, and whether the tokens equal those of the plain search."""
    log_probs = log_probs.float().contiguous()
    fast, slow = decoders()
    found, seconds = {}, {name: [] for name in fast | slow}
    for turn in range(TURNS):
        for name, decode in (fast | slow if turn == 0 else fast).items():
            started = time.process_time()
            found[name] = decode(log_probs)
            seconds[name].append(time.process_time() - started)
    tokens, score = found["plain Python, over prefixes"]
    best = {name: min(times) for name, times in seconds.items()}
    rows = {name: {"milliseconds": round(1000 * best[name], 2),
                   "times_ours": round(best[name] / best[OURS], 2),
                   "same_tokens": list(found[name][0]) == list(tokens),
                   "score": round(found[name][1], 4)} for name in best}
    if not rows[OURS]["same_tokens"] or abs(rows[OURS]["score"] - score) > 1e-4:
        raise SystemExit(f"{OURS} does not agree with the plain search: {rows}")
    return rows


def table(facts: dict) -> list[str]:
    """Return the table in the README."""
    lines = []
    for kind, rows in facts["posteriors"].items():
        lines += ["", f"| {kind} | ms | times ours | score | tokens as the plain search |",
                  "| --- | --- | --- | --- | --- |"]
        lines += [f"| {name} | {row['milliseconds']:,} | {row['times_ours']:,} | {row['score']} | "
                  f"{'yes' if row['same_tokens'] else 'no'} |" for name, row in rows.items()]
    return lines


if __name__ == "__main__":
    main()
