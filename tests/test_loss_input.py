"""Invalid input: every loss raises the same error, naming the utterance and the reason."""

import math

import pytest
import torch

from ramospeech.config.settings import LOSSES
from ramospeech.losses.batch import AlignmentError, UtteranceError
from ramospeech.losses.registry import loss_function

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU on this machine"))]


@pytest.fixture(params=LOSSES)
def loss(request):
    return loss_function(request.param)


@pytest.fixture(params=DEVICES)
def batch(request) -> dict[str, torch.Tensor]:
    """Three valid utterances; each test breaks what it is about."""
    tensors = {
        "logits": torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1)),
        "logit_lengths": torch.tensor([6, 5, 6]),
        "targets": torch.tensor([[1, 2, 3], [2, 0, 0], [3, 1, 0]]),
        "target_lengths": torch.tensor([3, 1, 2]),
    }
    return {name: tensor.to(request.param) for name, tensor in tensors.items()}


def test_the_batch_is_valid(loss, batch):
    assert torch.isfinite(loss(**batch))


@pytest.mark.parametrize("name, place, value, reason", [
    ("targets", (1, 0), 0, r"labels must be 1 to 3 \(0 is the blank\), found 0"),
    ("targets", (1, 0), -1, "labels must be 1 to 3 .* found -1"),
    ("targets", (1, 0), 4, "labels must be 1 to 3 .* found 4"),
    ("logit_lengths", 1, 0, "0 frames, expected 1 to 6"),
    ("logit_lengths", 1, -2, "-2 frames, expected 1 to 6"),
    ("logit_lengths", 1, 7, "7 frames, expected 1 to 6"),
    ("target_lengths", 1, 4, "4 labels, expected 0 to 3"),
    ("target_lengths", 1, -1, "-1 labels, expected 0 to 3"),
    ("logits", (1, 4, 2), math.nan, "NaN or infinity in the logits"),
    ("logits", (1, 0, 0), math.inf, "NaN or infinity in the logits"),
    ("logits", (1, 2), -math.inf, "NaN or infinity in the logits"),  # of all classes
])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_the_utterance_is_named(loss, batch, name, place, value, reason, reduction):
    batch[name][place] = value
    with pytest.raises(UtteranceError, match=f"^utterance 1 of the batch: {reason}$") as caught:
        loss(**batch, reduction=reduction)
    assert caught.value.places == [1] and isinstance(caught.value, ValueError)


def test_all_utterances_with_nan_are_named(loss, batch):
    batch["logits"][0, 5, 3] = batch["logits"][2, 0, 0] = math.nan
    with pytest.raises(UtteranceError, match="^utterance 0, 2 of the batch: NaN"):
        loss(**batch)


def test_nan_in_the_padding_changes_nothing(loss, batch):
    expected = loss(**batch)
    batch["logits"][1, 5] = math.nan  # its frames are five
    assert torch.equal(loss(**batch), expected)


def test_targets_longer_than_the_frames(loss, batch):
    batch["logit_lengths"][0] = 2
    with pytest.raises(AlignmentError, match="utterance 0 .*: 3 labels need 3 frames, there are 2"):
        loss(**batch)


@pytest.mark.parametrize("name", ["logits", "logit_lengths", "targets", "target_lengths"])
def test_batches_of_several_sizes(loss, batch, name):
    batch[name] = batch[name][:2]
    with pytest.raises(UtteranceError, match=f"utterance 2 .*: missing, .*{name} 2"):
        loss(**batch)


def test_an_empty_batch(loss, batch):
    nothing = {name: tensor[:0] for name, tensor in batch.items()}
    with pytest.raises(ValueError, match="utterance 0 .*: missing, .*logits 0"):
        loss(**nothing)


@pytest.mark.parametrize("name, change", [
    ("logits", lambda x: x[0]), ("logits", lambda x: x.long()), ("logits", lambda x: x[None, None]),
    ("logit_lengths", lambda x: x[:, None]), ("logit_lengths", lambda x: x.float()),
    ("targets", lambda x: x[0]), ("targets", lambda x: x.float()),
    ("target_lengths", lambda x: x[:, None]), ("target_lengths", lambda x: x / 2),
])
def test_other_shapes_and_kinds(loss, batch, name, change):
    batch[name] = change(batch[name])
    with pytest.raises(ValueError, match=f"{name} must be .*, found "):
        loss(**batch)


def test_an_unknown_reduction(loss, batch):
    with pytest.raises(ValueError, match="no reduction 'average'; choose none, sum or mean"):
        loss(**batch, reduction="average")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_gpu_computes_the_same(loss):
    torch.manual_seed(1)
    logits, targets = torch.randn(8, 50, 200, dtype=torch.float64), torch.randint(1, 200, (8, 9))
    lengths, target_lengths = torch.randint(20, 51, (8,)), torch.randint(0, 10, (8,))
    results = []
    for device in ("cpu", "cuda"):
        leaf = logits.to(device).requires_grad_()
        losses = loss(leaf, lengths, targets, target_lengths, reduction="none")
        results.append((losses.cpu(), torch.autograd.grad(losses.sum(), leaf)[0].cpu()))
    for there, here in zip(*results):
        torch.testing.assert_close(there, here)
