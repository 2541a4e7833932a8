"""Greedy decoding against a plain loop."""

from itertools import groupby

import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.decoders import greedy_decode

paths = st.lists(st.integers(0, 3), max_size=12)  # few classes: blanks and repeats are likely


def log_probs_of(rows: list[list[int]], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random log-probabilities whose best classes are `rows`, padded with more of the like."""
    generator = torch.Generator().manual_seed(seed)
    longest = max(map(len, rows)) + 2
    logits = torch.randn(len(rows), longest, 4, generator=generator)
    for logit_row, row in zip(logits, rows):
        for frame, best in enumerate(row):
            logit_row[frame, best] = logit_row[frame].max() + 1
    return logits.log_softmax(dim=-1), torch.tensor([len(row) for row in rows])


@given(rows=st.lists(paths, min_size=1, max_size=4), seed=st.integers(0, 2**16))
def test_against_a_plain_loop(rows, seed):
    log_probs, lengths = log_probs_of(rows, seed)
    for hypothesis, row, scores in zip(greedy_decode(log_probs, lengths), rows, log_probs):
        runs = [(label, list(group)) for label, group in groupby(enumerate(row), lambda x: x[1])]
        spoken = [(label, group[0][0]) for label, group in runs if label != 0]
        assert hypothesis.tokens == [label for label, _ in spoken]
        assert hypothesis.timesteps == [frame for _, frame in spoken]
        best = sum(float(scores[frame, label]) for frame, label in enumerate(row))
        assert abs(hypothesis.score - best) < 1e-4


def test_without_lengths_every_frame_counts():
    log_probs, _ = log_probs_of([[0, 1, 1, 0, 1, 2]], seed=1)
    whole = greedy_decode(log_probs[:, :6])[0]
    assert whole.tokens == [1, 1, 2]
    assert whole.timesteps == [1, 4, 5]
