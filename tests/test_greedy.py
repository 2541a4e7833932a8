"""Greedy decoding against plain loops, and which model is decoded how."""

from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.config.settings import LOSSES
from ramospeech.decoding.greedy import DECODERS, ace_decode, greedy_decode
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition.recogniser import Recogniser

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


@given(rows=st.lists(paths, min_size=1, max_size=4), seed=st.integers(0, 2**16))
def test_ace_keeps_what_is_said_twice(rows, seed):
    log_probs, lengths = log_probs_of(rows, seed)
    for hypothesis, row, scores in zip(ace_decode(log_probs, lengths), rows, log_probs):
        spoken = [(frame, label) for frame, label in enumerate(row) if label != 0]
        assert list(zip(hypothesis.timesteps, hypothesis.tokens)) == spoken
        best = sum(float(scores[frame, label]) for frame, label in enumerate(row))
        assert abs(hypothesis.score - best) < 1e-4


def one_note_model(loss: str, vocabulary: Vocabulary) -> AcousticModel:
    """A model that hears `ma1` in every frame."""
    model = AcousticModel.from_preset("lesson", len(vocabulary), recurrent=False, loss=loss)
    torch.nn.init.zeros_(model.fc3.weight)
    model.fc3.bias.data = 9.0 * torch.eye(len(vocabulary))[vocabulary.encode(["ma1"])[0]]
    return model.eval()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_model_is_decoded_as_its_loss_taught_it(loss):
    """Held for twenty frames, a syllable is one for CTC and twenty for ACE."""
    vocabulary = Vocabulary.read()
    model, expected = one_note_model(loss, vocabulary), ["ma1"] * (20 if loss == "ace" else 1)
    waveform = torch.randn(400 + 159 * 160, generator=torch.Generator().manual_seed(1))
    (result,) = Recogniser(model, vocabulary).recognise([waveform])
    assert list(result.syllables) == expected
    assert DECODERS.keys() == set(LOSSES)
