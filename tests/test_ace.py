"""ACE against its formula, computed by hand and in plain float64 loops."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_losses import padded

from ramospeech.losses import ace
from ramospeech.losses.ace import ace_loss
from ramospeech.losses.batch import AlignmentError
from ramospeech.losses.ctc import ctc_loss


def loss_by_loops(logits: torch.Tensor, target: list[int]) -> float:
    """The formula of the paper in plain Python; `logits` is `(T, classes)`."""
    log_softmax = []
    for row in logits.double().tolist():
        total = log_of_sum(row)
        log_softmax.append([value - total for value in row])
    counts = Counter(target) + Counter({0: len(logits) - len(target)})
    return -sum(count / len(logits) * (log_of_sum([row[k] for row in log_softmax]) - math.log(len(logits)))
                for k, count in counts.items())


def log_of_sum(logs: list[float]) -> float:
    """Log-sum-exp: e^-800 would underflow in float64."""
    top = max(logs)
    return top + math.log(math.fsum(math.exp(value - top) for value in logs))


def plain_losses(logits, frames, targets) -> torch.Tensor:
    """The same in four lines of PyTorch, with its automatic gradient; may underflow."""
    losses = []
    for row, length, target in zip(logits, frames, targets):
        mean = row[:length].softmax(dim=-1).mean(dim=0)  # (classes,)
        counts = torch.bincount(torch.tensor(target, dtype=torch.long), minlength=len(mean))
        counts[0] = length - len(target)
        losses.append(-(counts / length * mean.log()).sum())
    return torch.stack(losses)


@st.composite
def batches(draw, classes: int = 5):
    """Frames and targets of a few utterances, often with repeats, empty or full."""
    frames = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    targets = [draw(st.lists(st.integers(1, classes - 1), max_size=length)) for length in frames]
    return frames, targets


def random_logits(frames, classes=5, scale=3.0, seed=0, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (len(frames), max(frames), classes)
    return (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(dtype)


# The value


def test_by_hand():
    """Two frames, classes blank and ma, means .45 and .55; targets ma, then ma ma, then empty."""
    logits = torch.tensor([[[0.4, 0.6], [0.5, 0.5]]], dtype=torch.float64).log().expand(3, 2, 2)
    losses = ace_loss(logits, torch.tensor([2, 2, 2]), *padded([[1], [1, 1], []]), reduction="none")
    expected = [-0.5 * math.log(0.45) - 0.5 * math.log(0.55), -math.log(0.55), -math.log(0.45)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-12)


@given(batch=batches(), seed=st.integers(0, 2**16), scale=st.sampled_from([0.0, 1.0, 10.0, 200.0]))
@example(batch=([2, 1], [[], []]), seed=1187, scale=200.0)
def test_against_loops(batch, seed, scale):
    frames, targets = batch
    logits = random_logits(frames, scale=scale, seed=seed)
    expected = [loss_by_loops(row[:length], target)
                for row, length, target in zip(logits, frames, targets)]
    lengths = torch.tensor(frames)
    losses = ace_loss(logits, lengths, *padded(targets), reduction="none")
    assert losses.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for reduction, number in (("sum", sum(expected)), ("mean", sum(expected) / len(expected))):
        found = ace_loss(logits, lengths, *padded(targets), reduction=reduction)
        assert found.item() == pytest.approx(number, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 60.0, 1000.0])
def test_nothing_underflows_in_low_precision(dtype, scale):
    """Even if the probability of a class underflows in float32, its logarithm does not."""
    logits = random_logits([30, 20], classes=40, scale=scale, dtype=dtype).requires_grad_()
    targets = [[3, 3, 8, 39], [17]]
    losses = ace_loss(logits, torch.tensor([30, 20]), *padded(targets), reduction="none")
    expected = [loss_by_loops(row, target)
                for row, target in zip((logits[0], logits[1, :20]), targets)]
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
    losses.sum().backward()
    assert logits.grad.dtype == dtype and torch.isfinite(logits.grad).all()
    wide = logits.detach().double().requires_grad_()
    ace_loss(wide, torch.tensor([30, 20]), *padded(targets), reduction="sum").backward()
    torch.testing.assert_close(logits.grad, wide.grad.to(dtype), rtol=1e-2, atol=1e-5)


def test_a_class_that_is_impossible():
    """The loss is infinite if the class is in the target, and unaffected if it is not."""
    logits = torch.zeros(1, 3, 3, dtype=torch.float64)
    logits[..., 2] = -math.inf
    lengths = torch.tensor([3])
    assert ace_loss(logits, lengths, *padded([[2]])) == math.inf
    logits.requires_grad_()
    loss = ace_loss(logits, lengths, *padded([[1, 1]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2)) and torch.isfinite(logits.grad).all()


def test_the_blank_has_no_weight_if_every_frame_has_a_label():
    logits = torch.zeros(1, 2, 3, dtype=torch.float64)
    logits[..., 0] = -math.inf
    logits.requires_grad_()
    loss = ace_loss(logits, torch.tensor([2]), *padded([[1, 2]]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2)) and torch.isfinite(logits.grad).all()


# The gradient


def test_gradient_in_double_precision():
    logits = random_logits([5, 4, 3, 2]).requires_grad_()
    lengths, targets = torch.tensor([5, 4, 3, 2]), padded([[1, 1, 2], [3, 1], [], [4, 4]])
    for reduction in ("none", "sum", "mean"):
        assert torch.autograd.gradcheck(
            lambda logits, reduction=reduction: ace_loss(logits, lengths, *targets, reduction=reduction),
            logits)


@given(batch=batches(), seed=st.integers(0, 2**16))
@settings(max_examples=50)
def test_the_gradient_is_that_of_the_plain_formula(batch, seed):
    frames, targets = batch
    logits = random_logits(frames, seed=seed).requires_grad_()
    weights = torch.linspace(-1, 2, len(frames), dtype=torch.float64)  # of the utterances
    (expected,) = torch.autograd.grad(weights @ plain_losses(logits, frames, targets), logits)
    losses = ace_loss(logits, torch.tensor(frames), *padded(targets), reduction="none")
    (found,) = torch.autograd.grad(weights @ losses, logits, retain_graph=True)
    torch.testing.assert_close(found, expected)
    (again,) = torch.autograd.grad(weights @ losses, logits)
    assert torch.equal(found, again)


def test_a_second_derivative_raises():
    logits = random_logits([4]).requires_grad_()
    loss = ace_loss(logits, torch.tensor([4]), *padded([[1, 2]]))
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        torch.autograd.grad(loss, logits, create_graph=True)


@pytest.mark.parametrize("cached", [1, 60, 61, 10**6])
def test_chunks_of_a_batch_add_up_to_the_whole(cached, monkeypatch):
    frames, targets = [6, 6, 5, 2, 6], [[1, 2], [3, 3, 3], [], [4], [4, 1, 4]]
    logits = random_logits(frames).requires_grad_()
    monkeypatch.setattr(ace, "CACHE_LOGITS", cached)
    losses = ace_loss(logits, torch.tensor(frames), *padded(targets), reduction="none")
    expected = plain_losses(logits, frames, targets)
    torch.testing.assert_close(losses, expected)
    grads = [torch.autograd.grad(found.sum(), logits)[0] for found in (losses, expected)]
    torch.testing.assert_close(*grads)


# Invariances


@given(batch=batches(), seed=st.integers(0, 2**16), data=st.data())
def test_the_order_of_the_target_does_not_count(batch, seed, data):
    frames, targets = batch
    logits, lengths = random_logits(frames, seed=seed), torch.tensor(frames)
    shuffled = [data.draw(st.permutations(target)) for target in targets]
    found, other = (ace_loss(logits, lengths, *padded(order), reduction="none")
                    for order in (targets, shuffled))
    torch.testing.assert_close(found, other)


def test_the_order_counts_for_ctc():
    logits, lengths = random_logits([4]), torch.tensor([4])
    assert ctc_loss(logits, lengths, *padded([[1, 2]])) != ctc_loss(logits, lengths, *padded([[2, 1]]))


@given(batch=batches(), seed=st.integers(0, 2**16), wider=st.integers(0, 3), longer=st.integers(0, 3))
def test_padding_does_not_count(batch, seed, wider, longer):
    """Neither padded frames nor padded targets, whatever they contain."""
    frames, targets = batch
    logits = random_logits(frames, seed=seed)
    rows, target_lengths = padded(targets)
    padding = torch.full((len(frames), longer, 5), 9.0, dtype=torch.float64)
    more = torch.cat([logits, padding], dim=1)
    more_rows = torch.nn.functional.pad(rows, (0, wider), value=-7)
    together = ace_loss(more, torch.tensor(frames), more_rows, target_lengths, reduction="none")
    for loss, row, length, target in zip(together, logits, frames, targets):
        alone = ace_loss(row[None, :length], torch.tensor([length]), *padded([target]))
        torch.testing.assert_close(loss, alone)


def test_two_dimensional_predictions_are_flattened_row_by_row():
    logits = random_logits([12, 12]).unflatten(1, (3, 4)).requires_grad_()  # (batch, 3, 4, classes)
    lengths, targets = torch.tensor([12, 8]), padded([[1, 2, 2], [4]])  # all rows; two rows
    flat = logits.detach().flatten(1, 2).requires_grad_()
    losses = [ace_loss(both, lengths, *targets, reduction="none") for both in (logits, flat)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.sum().backward()
    assert torch.equal(logits.grad.flatten(1, 2), flat.grad)
    assert logits.grad[1, 2].abs().sum() == 0


def test_it_needs_no_blanks_between_equal_labels():
    """Three frames hold `1 1 2`, but not four labels."""
    logits, lengths = random_logits([3, 3]), torch.tensor([3, 3])
    assert torch.isfinite(ace_loss(logits, lengths, *padded([[1, 1, 2], [2]])))
    with pytest.raises(AlignmentError, match="utterance 1 .* 4 labels need 4 frames, there are 3"):
        ace_loss(logits, lengths, *padded([[2], [1, 2, 1, 2]]))
