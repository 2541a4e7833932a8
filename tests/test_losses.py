"""CTC against the sum over every path, written out; choosing losses by name and adding them."""

import math
from itertools import groupby, pairwise, product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ramospeech.config.settings import LOSSES
from ramospeech.losses.ace import ace_loss
from ramospeech.losses.batch import AlignmentError, frames_needed
from ramospeech.losses.ctc import ctc_loss
from ramospeech.losses.registry import loss_function


def collapse(path: tuple[int, ...]) -> list[int]:
    return [label for label, _ in groupby(path) if label != 0]


def loss_by_brute_force(logits: torch.Tensor, target: list[int]) -> torch.Tensor:
    """The negative log of the summed probability of all paths that spell the target."""
    probabilities = logits.softmax(dim=-1)  # (T, classes)
    frames, classes = logits.shape
    total = torch.zeros((), dtype=logits.dtype)
    for path in product(range(classes), repeat=frames):
        if collapse(path) == target:
            total = total + probabilities[range(frames), path].prod()
    return -total.log()


@st.composite
def utterances(draw, classes: int):
    """Frames and a target that fits into them; repeats are likely, an empty target is possible."""
    frames = draw(st.integers(1, 5))
    target = draw(st.lists(st.integers(1, classes - 1), max_size=frames))
    assume(len(target) + sum(a == b for a, b in pairwise(target)) <= frames)
    return frames, target


def padded(targets: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(1, *map(len, targets))
    rows = [target + [0] * (width - len(target)) for target in targets]
    return torch.tensor(rows), torch.tensor([len(target) for target in targets])


@given(data=st.data(), classes=st.integers(2, 4), seed=st.integers(0, 2**16))
@settings(max_examples=60)
def test_against_the_sum_over_every_path(data, classes, seed):
    frames, targets = zip(*data.draw(st.lists(utterances(classes), min_size=1, max_size=3)))
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(
        len(frames), max(frames), classes, generator=generator, dtype=torch.float64
    )
    expected = torch.stack([
        loss_by_brute_force(row[:length], target)
        for row, length, target in zip(logits, frames, targets)
    ])
    lengths = torch.tensor(frames)
    losses = ctc_loss(logits, lengths, *padded(targets), reduction="none")
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(ctc_loss(logits, lengths, *padded(targets)), expected.mean())
    total = ctc_loss(logits, lengths, *padded(targets), reduction="sum")
    torch.testing.assert_close(total, expected.sum())


@given(data=st.data(), classes=st.integers(2, 4), seed=st.integers(0, 2**16))
@settings(max_examples=40)
def test_the_gradient_is_that_of_the_sum_over_every_path(data, classes, seed):
    frames, target = data.draw(utterances(classes))
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(1, frames, classes, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    (expected,) = torch.autograd.grad(loss_by_brute_force(logits[0], target), logits)
    loss = ctc_loss(logits, torch.tensor([frames]), *padded([target]))
    (found,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(found, expected)


@given(data=st.data(), classes=st.integers(2, 4), frames=st.integers(1, 4))
def test_an_alignment_is_impossible_if_no_path_spells_the_target(data, classes, frames):
    target = data.draw(st.lists(st.integers(1, classes - 1), max_size=5))
    logits, lengths = torch.zeros(1, frames, classes, dtype=torch.float64), torch.tensor([frames])
    expected = loss_by_brute_force(logits[0], target)
    if math.isinf(expected):
        with pytest.raises(AlignmentError, match=f"{len(target)} labels need .*, there are {frames}"):
            ctc_loss(logits, lengths, *padded([target]))
    else:
        torch.testing.assert_close(ctc_loss(logits, lengths, *padded([target])), expected)


def test_it_is_the_loss_of_pytorch_at_the_size_of_speech():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 60, 1215, generator=generator, requires_grad=True)
    lengths, target_lengths = torch.tensor([60, 55, 41, 60]), torch.tensor([20, 1, 12, 0])
    targets = torch.randint(1, 1215, (4, 20), generator=generator)
    expected = torch.nn.functional.ctc_loss(
        logits.log_softmax(-1).transpose(0, 1), targets, lengths, target_lengths, reduction="sum")
    found = ctc_loss(logits, lengths, targets, target_lengths, reduction="sum")
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad(loss, logits)[0] for loss in (found, expected)]
    torch.testing.assert_close(*grads)


def test_a_batch_of_empty_targets():
    """Also if the padded targets have width zero."""
    logits = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = -logits.log_softmax(-1)[:, :, 0].sum(1)  # nothing but blanks
    none, lengths = torch.zeros(2, dtype=torch.long), torch.tensor([3, 3])
    for width in (0, 2):
        targets = torch.zeros(2, width, dtype=torch.long)
        found = ctc_loss(logits, lengths, targets, none, reduction="none")
        torch.testing.assert_close(found, expected)


def test_an_unknown_reduction_raises():
    with pytest.raises(ValueError, match="average"):
        ctc_loss(torch.zeros(1, 2, 3), torch.tensor([2]), *padded([[1]]), reduction="average")


def test_gradient_in_double_precision():
    torch.manual_seed(1)
    logits = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    lengths, targets = torch.tensor([5, 4, 3]), padded([[1, 1, 2], [3, 1], []])
    assert torch.autograd.gradcheck(
        lambda logits: ctc_loss(logits, lengths, *targets, reduction="none"), logits
    )


def test_padding_has_no_gradient():
    logits = torch.randn(2, 6, 4, requires_grad=True)
    ctc_loss(logits, torch.tensor([6, 3]), *padded([[1, 2], [3]])).backward()
    assert logits.grad[1, 3:].abs().sum() == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 3e38])
def test_whatever_is_in_the_padding_changes_nothing(loss, garbage):
    torch.manual_seed(1)
    logits, lengths, targets = torch.randn(2, 6, 4), torch.tensor([6, 3]), padded([[1, 2], [3]])
    results = []
    for padding in (0.0, garbage):
        spoilt = logits.clone()
        spoilt[1, 3:] = padding
        spoilt.requires_grad_()
        losses = loss_function(loss)(spoilt, lengths, *targets, reduction="none")
        results.append((losses, *torch.autograd.grad(losses.sum(), spoilt)))
    for clean, spoilt in zip(*results):
        assert torch.equal(clean, spoilt) and torch.isfinite(clean).all()


def test_within_an_utterance_every_frame_has_a_gradient():
    logits = torch.randn(2, 6, 4, requires_grad=True)
    ctc_loss(logits, torch.tensor([6, 3]), *padded([[1, 2], [3]])).backward()
    assert (logits.grad[1, :3].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    logits = torch.randn(2, 30, 50, generator=torch.Generator().manual_seed(1)).to(dtype)
    lengths, targets = torch.tensor([30, 25]), padded([[5, 5, 9], [7]])
    loss = ctc_loss(logits, lengths, *targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, ctc_loss(logits.float(), lengths, *targets))


def test_a_target_that_cannot_be_aligned_raises():
    """Three frames hold `1 2 1`, but `1 1 2` needs one more, for a blank."""
    logits, lengths = torch.zeros(2, 3, 3), torch.tensor([3, 3])
    assert torch.isfinite(ctc_loss(logits, lengths, *padded([[1, 2, 1], [2]])))
    with pytest.raises(AlignmentError, match="utterance 1 .* need 4 frames, there are 3"):
        ctc_loss(logits, lengths, *padded([[2], [1, 1, 2]]))


@given(st.lists(st.integers(1, 2), max_size=3))
def test_frames_needed_is_the_length_of_the_shortest_path(target):
    shortest = next(
        frames for frames in range(6)
        if any(collapse(path) == target for path in product(range(3), repeat=frames))
    )
    assert frames_needed(target) == shortest
    of_tensor = frames_needed(torch.tensor(target, dtype=torch.long))
    assert of_tensor == shortest and isinstance(of_tensor, int)
    assert frames_needed(target, "ctc+ace") == shortest
    assert frames_needed(target, "ace") == len(target)


# The choice


def test_every_loss_can_be_chosen():
    assert loss_function("ctc") is ctc_loss and loss_function("ace") is ace_loss
    assert all(callable(loss_function(name)) for name in LOSSES)
    with pytest.raises(ValueError, match="no loss 'transducer'; choose ctc, ace, ctc.ace"):
        loss_function("transducer")


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weight", [0.01, 1.0, 10.0])
def test_ctc_and_ace_are_added(weight, reduction):
    torch.manual_seed(1)
    logits = torch.randn(2, 6, 4, dtype=torch.float64, requires_grad=True)
    batch = (torch.tensor([6, 4]), *padded([[1, 2, 2], [3]]), reduction)
    found = loss_function("ctc+ace", weight)(logits, *batch)
    expected = ctc_loss(logits, *batch) + weight * ace_loss(logits, *batch)
    torch.testing.assert_close(found, expected)
    grads = [torch.autograd.grad(loss.sum(), logits)[0] for loss in (found, expected)]
    torch.testing.assert_close(*grads)
