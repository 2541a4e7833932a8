"""Uniform segments, the entropy of frames, and when training uses which."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_losses import padded

from ramospeech.config.settings import Settings
from ramospeech.losses.ace import ace_loss, mean_entropy
from ramospeech.training.trainer import Trainer
from ramospeech.training.hooks.uniform_segmentation import segment_uniformly

utterances = st.integers(1, 20).flatmap(lambda frames: st.tuples(
    st.just(frames), st.lists(st.integers(1, 9), max_size=frames)))


def numbered_frames(frames: list[int]) -> torch.Tensor:
    """`(batch, T, 2)`: the place of the utterance and of the frame, so that each can be recognised."""
    return torch.tensor([[(place, frame) for frame in range(max(frames))]
                         for place in range(len(frames))], dtype=torch.float32)


def test_by_hand():
    """Nine frames of three labels, cut behind the first; three of three, likewise."""
    logits, lengths, targets, target_lengths = segment_uniformly(
        numbered_frames([9, 3]), torch.tensor([9, 3]), *padded([[5, 6, 7], [4, 4, 4]]))
    assert lengths.tolist() == [3, 6, 1, 2] and logits[:, 0, 0].tolist() == [0, 0, 1, 1]
    frames = [row[:length].tolist() for row, length in zip(logits[:, :, 1], lengths)]
    assert frames == [[0, 1, 2], [3, 4, 5, 6, 7, 8], [0], [1, 2]]
    assert targets.tolist() == [[5, 0], [6, 7], [4, 0], [4, 4]]
    assert target_lengths.tolist() == [1, 2, 1, 2]


@given(st.lists(utterances, min_size=1, max_size=4))
def test_the_segments_make_up_the_utterances(batch):
    frames, targets = zip(*batch)
    segments = segment_uniformly(numbered_frames(frames), torch.tensor(frames), *padded(targets))
    logits, lengths, labels, label_lengths = (tensor.tolist() for tensor in segments)
    found = [([], []) for _ in batch]
    sizes = [[] for _ in batch]
    for row, length, label_row, count in zip(logits, lengths, labels, label_lengths):
        place = int(row[0][0])
        found[place][0].extend(int(frame) for _, frame in row[:length])
        found[place][1].extend(label_row[:count])
        sizes[place].append((length, count))
        assert count <= length  # ACE can take it
    assert found == [(list(range(length)), list(target)) for length, target in batch]
    for (length, target), of_one in zip(batch, sizes):
        counts = [count for _, count in of_one]
        assert max(counts) - min(counts) <= 1
        assert all(abs(size - length * count / max(1, len(target))) < 1 or len(of_one) == 1
                   for size, count in of_one)


def test_an_utterance_without_labels_is_one_segment():
    for width in (0, 2):
        segments = segment_uniformly(torch.zeros(1, 5, 3), torch.tensor([5]),
                                     torch.zeros(1, width, dtype=torch.long), torch.tensor([0]))
        assert segments[1].tolist() == [5] and segments[3].tolist() == [0]
        assert torch.isfinite(ace_loss(*segments))


def test_the_gradient_reaches_the_logits():
    logits = torch.randn(2, 12, 5, requires_grad=True)
    ace_loss(*segment_uniformly(logits, torch.tensor([12, 7]), *padded([[1, 2, 3, 4], [2, 2]]))).backward()
    touched = logits.grad.abs().sum(dim=2) > 0
    assert touched[0].all() and touched[1].tolist() == [True] * 7 + [False] * 5


def test_entropy_by_hand():
    even, sure = torch.zeros(4), torch.tensor([50.0, 0, 0, 0])
    logits = torch.stack([torch.stack([even, even]), torch.stack([even, sure])])  # (2, 2, 4)
    for lengths, expected in (([2, 2], 0.75), ([2, 1], 1.0), ([1, 2], 2 / 3)):
        found = mean_entropy(logits, torch.tensor(lengths)).item()
        assert found == pytest.approx(expected * math.log(4))


def test_entropy_agrees_with_pytorchs_and_has_a_gradient():
    logits = torch.randn(3, 5, 7, dtype=torch.float64, requires_grad=True)
    whole = torch.tensor([5, 5, 5])
    expected = torch.distributions.Categorical(logits=logits).entropy().mean()
    torch.testing.assert_close(mean_entropy(logits, whole), expected)
    assert torch.autograd.gradcheck(lambda x: mean_entropy(x, torch.tensor([5, 2, 1])), logits)


def test_padding_has_no_entropy():
    logits = torch.randn(1, 6, 4).requires_grad_()
    with torch.no_grad():
        logits[0, 4:] = math.nan
    loss = mean_entropy(logits, torch.tensor([4]))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    assert logits.grad[0, 4:].abs().sum() == 0


def test_when_training_uses_which(train, dev):
    settings = Settings(loss="ace", recurrent=False, epochs=8, uniform_segmentation=0.5, entropy_weight=0.8)
    trainer = Trainer(train, dev, settings)
    batch = torch.randn(2, 9, 40), torch.tensor([9, 7]), *padded([[3, 5, 5, 9], [8]])
    whole, cut, entropy = ace_loss(*batch), ace_loss(*segment_uniformly(*batch)), mean_entropy(*batch[:2])
    for share, expected in ((0.0, cut), (0.25, cut + 0.2 * entropy), (0.5, whole + 0.4 * entropy),
                            (0.75, whole + 0.6 * entropy), (1.0, whole + 0.8 * entropy)):
        trainer.step = round(share * trainer.total_steps)
        assert trainer.step == share * trainer.total_steps
        assert trainer.compute_loss(*batch).item() == pytest.approx(expected.item(), rel=1e-6)
    assert trainer.model.loss == "ace" and cut != whole
    plain = Trainer(train, dev, replace(settings, uniform_segmentation=0.0, entropy_weight=0.0))
    assert plain.compute_loss(*batch) == whole
