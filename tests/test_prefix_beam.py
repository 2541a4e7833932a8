"""Beam searches against brute force, the CTC loss and each other."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ramospeech.decoding.greedy import greedy_decode
from ramospeech.decoding.prefix_beam import prefix_beam_search
from ramospeech.decoding.reference_beam import (
    PrefixProbs, beam_search, extend_beam, plain_prefix_beam_search, prefix_beams,
)

EVERY = 10**9  # a width that covers every prefix


@st.composite
def posteriors(draw, most_frames: int = 7, most_classes: int = 5) -> Tensor:
    """Log-probabilities `(T, classes)`: random ones, flat ones, and full of ties and zeros."""
    frames, classes = draw(st.integers(0, most_frames)), draw(st.integers(1, most_classes))
    if draw(st.booleans()):
        generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
        logits = torch.randn(frames, classes, generator=generator) * draw(st.sampled_from([0, 1, 9]))
        return logits.log_softmax(dim=-1)
    few = st.sampled_from([0.0, 1.0, 1.0, 2.0])  # weights
    row = st.lists(few, min_size=classes, max_size=classes).filter(any)
    weights = draw(st.lists(row, min_size=frames, max_size=frames))
    weights = torch.tensor(weights).reshape(frames, classes)
    return (weights / weights.sum(dim=-1, keepdim=True)).log()


def brute_force(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of every labelling: that of all its paths, one by one."""
    probs = log_probs.double().exp().tolist()
    found = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(probs)):
        runs = [token for token, _ in itertools.groupby(path)]
        labelling = tuple(token for token in runs if token != 0)
        found[labelling] += math.prod(frame[token] for frame, token in zip(probs, path))
    return {labelling: prob for labelling, prob in found.items() if prob > 0}


def assert_same(found, expected: list[tuple[tuple[int, ...], float]]) -> None:
    assert [tuple(hypothesis.tokens) for hypothesis in found] == [tokens for tokens, _ in expected]
    for hypothesis, (_, score) in zip(found, expected):
        assert hypothesis.score == pytest.approx(score, abs=1e-6)


# All prefixes in the beam


@given(log_probs=posteriors(most_frames=5, most_classes=4))
def test_a_beam_of_all_prefixes_is_exact(log_probs):
    expected = brute_force(log_probs)
    found = prefix_beam_search(log_probs, beam_width=EVERY, nbest=EVERY)
    plain = plain_prefix_beam_search(log_probs, EVERY, EVERY)
    for labellings in ({tuple(item.tokens): item.score for item in found}, dict(plain)):
        assert labellings == pytest.approx(
            {labelling: math.log(prob) for labelling, prob in expected.items()}, abs=1e-6)
    scores = [hypothesis.score for hypothesis in found]
    assert scores == sorted(scores, reverse=True)


@given(seed=st.integers(0, 2**32), tokens=st.lists(st.integers(1, 3), max_size=4))
def test_the_score_is_minus_the_ctc_loss(seed, tokens):
    log_probs = torch.randn(7, 4, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    loss = torch.nn.functional.ctc_loss(
        log_probs, torch.tensor(tokens, dtype=torch.long), torch.tensor(7),
        torch.tensor(len(tokens)), reduction="sum")
    found = prefix_beam_search(log_probs, beam_width=EVERY, nbest=EVERY)
    scores = {tuple(hypothesis.tokens): hypothesis.score for hypothesis in found}
    assert scores[tuple(tokens)] == pytest.approx(-float(loss), abs=1e-4)


def test_of_equal_scores_the_smaller_sequence_is_first():
    flat = torch.full((1, 4), 0.25).log()
    found = prefix_beam_search(flat, beam_width=EVERY, nbest=EVERY)
    assert [hypothesis.tokens for hypothesis in found] == [[], [1], [2], [3]]
    assert [hypothesis.tokens for hypothesis in prefix_beam_search(flat, beam_width=3, nbest=9)] == [
        [], [1], [2]]


# The plain search of the same width


@settings(max_examples=300)
@given(log_probs=posteriors(most_frames=9, most_classes=6), width=st.integers(1, 12))
@example(torch.zeros(12, 6).log_softmax(dim=-1), 7)
@example(torch.tensor([[0.1, 0.8, 0.1]] * 12).log(), 2)
@example(torch.tensor([[0.5, 0.5, 0.0]] * 9).log(), 3)
@example(torch.zeros(5, 1), 4)
@example(torch.zeros(0, 5), 4)
@example(torch.tensor([[0.2, 0.5, 0.3]]).log(), 1)
def test_against_the_plain_search(log_probs, width):
    assert_same(prefix_beam_search(log_probs, beam_width=width, nbest=width),
                plain_prefix_beam_search(log_probs, width, width))


@pytest.mark.parametrize("width", [1, 3, 10, 40])
@pytest.mark.parametrize("kind", ["peaky", "noisy", "flat", "repeats", "certain"])
def test_against_the_plain_search_with_many_classes(kind, width):
    log_probs = many_classes(kind)
    assert_same(prefix_beam_search(log_probs, beam_width=width, nbest=width),
                plain_prefix_beam_search(log_probs, width, width))


def many_classes(kind: str, frames: int = 15, classes: int = 300) -> Tensor:
    """`(T, classes)`, of the kinds that a decoder meets."""
    logits = torch.randn(frames, classes, generator=torch.Generator().manual_seed(5))
    if kind == "flat":
        logits = torch.zeros_like(logits)
    elif kind == "repeats":  # the same token in every frame, blanks hardly less probable
        logits[:, 7], logits[:, 0] = 6, 5.9
    elif kind == "certain":  # all others have no probability at all
        logits[:, 2:] = -math.inf
    elif kind == "peaky":
        logits[:, 0] += 8
        logits[1::3, 5:40:7] += 10
    return logits.log_softmax(dim=-1)


@given(log_probs=posteriors(), width=st.integers(1, 8), most=st.integers(1, 5))
def test_pruned_tokens_are_taken_for_impossible(log_probs, width, most):
    pruned = log_probs.clone()
    for frame in pruned:
        order = sorted(range(1, len(frame)), key=lambda token: (-float(frame[token]), token))
        frame[order[most:]] = -math.inf
    expected = plain_prefix_beam_search(pruned, width, width)
    assert_same(prefix_beam_search(log_probs, beam_width=width, nbest=width, tokens_per_frame=most)
                if expected else [], expected)


@given(log_probs=posteriors(), width=st.integers(1, 8), above=st.sampled_from([0.2, 0.4, 1.0]))
def test_a_skipped_frame_is_taken_for_a_blank(log_probs, width, above):
    skipped = log_probs.double()
    for frame in skipped:
        if frame[0] > math.log(above):
            frame[1:] = -math.inf
    assert_same(prefix_beam_search(log_probs, beam_width=width, nbest=width, skip_blanks_above=above),
                plain_prefix_beam_search(skipped, width, width))


# The proof


def survivors(beam: dict, frame: list[float], width: int) -> list[tuple[int, int]]:
    """Which (i, k), counted as in `prefix_beam`, get into the next beam as new prefixes."""
    grown = extend_beam(beam, frame)
    order = sorted(range(1, len(frame)), key=lambda token: (-frame[token], token))
    ranks = {prefix: rank for rank, prefix in enumerate(
        sorted(beam, key=lambda prefix: (-beam[prefix].total, prefix)))}
    kept = sorted(grown, key=lambda prefix: (-grown[prefix].total, prefix))[:width]
    return [(ranks[prefix[:-1]], order.index(prefix[-1])) for prefix in kept if prefix not in beam]


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32), width=st.integers(1, 9), entropy_weight=st.sampled_from([0.1, 1, 4]))
def test_only_so_many_tokens_of_a_row_can_survive(seed, width, entropy_weight):
    logits = torch.randn(6, 14, generator=torch.Generator().manual_seed(seed)).double() * entropy_weight
    log_probs = logits.log_softmax(dim=-1)
    beam = {(): PrefixProbs(blank=0.0)}
    for frame, following in zip(log_probs.tolist(), prefix_beams(log_probs, width)):
        assert all((i + 1) * k <= width for i, k in survivors(beam, frame, width))
        beam = following


def test_a_repetition_leaves_room_for_one_more():
    """So (i + 1) k may be W, and not only less: a beam of one prefix, ending in the best token."""
    beam = {(1,): PrefixProbs(blank=math.log(0.5), token=math.log(0.5))}
    frame = np.log([0.02, 0.5, 0.48])
    assert survivors(beam, frame.tolist(), width=1) == [(0, 1)]
    log_probs = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.02, 0.5, 0.48]]).log()
    (found,) = prefix_beam_search(log_probs, beam_width=1)
    assert found.tokens == [1, 2]


@given(weights=st.lists(st.sampled_from([1, 1, 2]), min_size=9, max_size=9), width=st.integers(1, 6))
def test_with_ties_the_best_of_a_row_are_enough(weights, width):
    probs = torch.tensor(weights, dtype=torch.float64)
    log_probs = (probs / probs.sum()).log().repeat(5, 1)
    beam = {(): PrefixProbs(blank=0.0)}
    for frame, following in zip(log_probs.tolist(), prefix_beams(log_probs, width)):
        assert all(k <= width for _, k in survivors(beam, frame, width))
        beam = following


# Paths and timesteps


@given(log_probs=posteriors(most_frames=5, most_classes=4), width=st.integers(1, 300))
def test_the_beam_search_over_paths(log_probs, width):
    """Against the `width` best beginnings, frame by frame, of all paths there are."""
    frames = log_probs.double().tolist()
    alive = {()}
    for time in range(1, len(frames) + 1):
        paths = [path for path in itertools.product(range(log_probs.shape[1]), repeat=time)
                 if path[:-1] in alive]
        alive = set(sorted(paths, key=lambda path: (-path_score(frames, path), path))[:width])
    best = min(alive, key=lambda path: (-path_score(frames, path), path))
    found = beam_search(log_probs, width)[0]
    assert found.tokens == [token for token, _ in itertools.groupby(best) if token != 0]
    assert found.score == pytest.approx(path_score(frames, best))


def path_score(frames: list[list[float]], path: tuple[int, ...]) -> float:
    """The sum of a path's log-probabilities, or of its beginning's."""
    return sum((frame[token] for frame, token in zip(frames, path)), 0.0)


@given(seed=st.integers(0, 2**32))
def test_timesteps_are_those_of_the_best_path(seed):
    log_probs = torch.randn(5, 4, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    paths = beam_search(log_probs, 4**5, nbest=4**5)  # all of them, best first
    for found in prefix_beam_search(log_probs, nbest=8):
        assert found.timesteps == next(
            path.timesteps for path in paths if path.tokens == found.tokens)


def test_where_one_path_is_certain_all_decoders_agree():
    path = [0, 3, 3, 0, 3, 1, 1, 0, 0, 2]
    log_probs = torch.nn.functional.one_hot(torch.tensor(path), 4).double().log()
    (greedy,) = greedy_decode(log_probs[None])
    assert greedy == prefix_beam_search(log_probs)[0] == beam_search(log_probs)[0]
    assert greedy.tokens == [3, 3, 1, 2] and greedy.timesteps == [1, 4, 5, 9]


# Batches


@pytest.fixture
def two_threads():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def test_a_batch_equals_one_by_one(two_threads):
    batch = torch.randn(9, 12, 20, generator=torch.Generator().manual_seed(2)).log_softmax(dim=-1)
    lengths = torch.tensor([12, 0, 1, 7, 12, 3, 5, 11, 12])
    for utterance, length in zip(batch, lengths):
        utterance[length:] = math.nan  # padding may be anything
    found = prefix_beam_search(batch, lengths, beam_width=6, nbest=3)
    assert found == [prefix_beam_search(utterance[:length], beam_width=6, nbest=3)
                     for utterance, length in zip(batch, lengths)]
    assert prefix_beam_search(batch[:0], lengths[:0]) == []


def test_any_layout_and_precision():
    log_probs = torch.randn(12, 20, generator=torch.Generator().manual_seed(2)).log_softmax(dim=-1)
    expected = prefix_beam_search(log_probs)
    assert prefix_beam_search(log_probs.T.contiguous().T) == expected  # strides of its own
    assert prefix_beam_search(log_probs.numpy()) == expected
    assert prefix_beam_search(log_probs.requires_grad_()) == expected
    assert prefix_beam_search(log_probs[None], [12]) == [expected]
    assert prefix_beam_search(log_probs, 5) == prefix_beam_search(log_probs[:5])
    assert prefix_beam_search(log_probs.double())[0].tokens == expected[0].tokens


# Bad input


GOOD = torch.full((3, 4), 0.25).log()


def spoilt(value: float) -> Tensor:
    log_probs = GOOD.clone()
    log_probs[1, 2] = value
    return log_probs


@pytest.mark.parametrize("log_probs, settings, reason", [
    (torch.zeros(3, 4), {}, "frame 0: not normalised"),
    (torch.randn(3, 4), {}, "not normalised"),
    (GOOD.exp(), {}, "not normalised"),
    (spoilt(math.nan), {}, "utterance 0, frame 1: .* nan"),
    (spoilt(math.inf), {}, "frame 1: .* inf"),
    (spoilt(-math.inf), {}, "sum to 0.75"),
    (GOOD.long(), {}, "floating-point"),
    (GOOD[0], {}, r"not \(4,\)"),
    (torch.zeros(3, 0), {}, r"not \(3, 0\)"),
    (GOOD, {"lengths": 4}, "a length of 4, with 3 frames"),
    (GOOD, {"lengths": -1}, "a length of -1"),
    (GOOD, {"lengths": [1.5]}, "a length of 1.5"),
    (GOOD, {"lengths": [1, 2]}, "2 lengths for 1 utterances"),
    (GOOD, {"beam_width": 0}, "beam_width"),
    (GOOD, {"beam_width": 2.5}, "beam_width"),
    (GOOD, {"beam_width": True}, "beam_width"),
    (GOOD, {"nbest": -1}, "nbest"),
    (GOOD, {"tokens_per_frame": 0}, "tokens_per_frame"),
    (GOOD, {"skip_blanks_above": 0}, "skip_blanks_above"),
    (GOOD, {"skip_blanks_above": math.nan}, "skip_blanks_above"),
    (GOOD, {"length_bonus": math.inf}, "length_bonus"),
    (torch.full((40, 4), 0.25).log(), {"beam_width": 10**12}, "is too much"),
])
def test_bad_input_is_refused(log_probs, settings, reason):
    with pytest.raises(ValueError, match=reason):
        prefix_beam_search(log_probs, **settings)
