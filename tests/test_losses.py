"""The CTC loss against the sum over every path, written out."""

from itertools import groupby, product

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ramospeech.losses import AlignmentError, ctc_loss, frames_needed


def collapse(path: tuple[int, ...]) -> list[int]:
    return [label for label, _ in groupby(path) if label != 0]


def loss_by_brute_force(logits: torch.Tensor, target: list[int]) -> torch.Tensor:
    """Minus the logarithm of the summed probability of all paths that spell the target."""
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
    assume(len(target) + sum(a == b for a, b in zip(target, target[1:])) <= frames)
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


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match="average"):
        ctc_loss(torch.zeros(1, 2, 3), torch.tensor([2]), *padded([[1]]), reduction="average")


def test_gradient_in_double_precision():
    torch.manual_seed(1)
    logits = torch.randn(3, 5, 4, dtype=torch.float64, requires_grad=True)
    lengths, targets = torch.tensor([5, 4, 3]), padded([[1, 1, 2], [3, 1], []])
    assert torch.autograd.gradcheck(
        lambda logits: ctc_loss(logits, lengths, *targets, reduction="none"), logits
    )


def test_what_lies_beyond_an_utterance_has_no_gradient():
    logits = torch.randn(2, 6, 4, requires_grad=True)
    ctc_loss(logits, torch.tensor([6, 3]), *padded([[1, 2], [3]])).backward()
    assert logits.grad[1, 3:].abs().sum() == 0
    assert (logits.grad[1, :3].abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    logits = torch.randn(2, 30, 50, generator=torch.Generator().manual_seed(1)).to(dtype)
    lengths, targets = torch.tensor([30, 25]), padded([[5, 5, 9], [7]])
    loss = ctc_loss(logits, lengths, *targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, ctc_loss(logits.float(), lengths, *targets))


@pytest.mark.parametrize("label", [0, -1, 3])
def test_labels_that_are_no_classes_are_refused(label):
    with pytest.raises(ValueError, match="utterance 1 .* labels must be 1 to 2"):
        ctc_loss(torch.zeros(2, 4, 3), torch.tensor([4, 4]), torch.tensor([[1, 2], [1, label]]),
                 torch.tensor([2, 2]))


def test_what_cannot_be_aligned_is_refused():
    """Three frames hold `1 2 1`, but `1 1 2` needs a blank more."""
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
