"""The acoustic model against its print of 2019, and what padding must not do."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ramospeech.config.settings import PRESETS
from ramospeech.models.dfcnn import REDUCTION, AcousticModel

PRINT_OF_2019 = Path(__file__).parent / "data" / "acoustic_model.txt"
CLASSES = 17


def lively_model(preset: str) -> AcousticModel:
    """A model in eval mode whose batch normalisation is far from doing nothing."""
    torch.manual_seed(1)
    model = AcousticModel.from_preset(preset, CLASSES)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -1, 1)
    return model.eval()


MODELS = {preset: lively_model(preset) for preset in PRESETS}


def test_the_print_is_that_of_2019():
    assert repr(AcousticModel(vocab_size=1215)) + "\n" == PRINT_OF_2019.read_text()


def test_number_of_parameters():
    model = AcousticModel(vocab_size=1215)
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_779_903


def test_the_lesson_is_the_same_design_in_small():
    full, lesson = (AcousticModel.from_preset(preset) for preset in ("full", "lesson"))
    assert repr(full) == repr(AcousticModel())
    full_names = [name for name, _ in full.named_modules()]
    assert [name for name, _ in lesson.named_modules()] == full_names
    sizes = [sum(p.numel() for p in model.parameters()) for model in (lesson, full)]
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("preset", PRESETS)
@given(
    lengths=st.lists(st.integers(REDUCTION, 60), min_size=1, max_size=4),
    more_padding=st.integers(0, 20),
    garbage=st.sampled_from([0.0, 1.0, -1e4, 1e20, 3e38]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25)
def test_padding_changes_nothing(preset, lengths, more_padding, garbage, seed):
    """An utterance's logits are the same alone and in a batch, whatever lies behind it."""
    model, generator = MODELS[preset], torch.Generator().manual_seed(seed)
    batch = torch.full((len(lengths), max(lengths) + more_padding, 200), garbage)
    for row, length in zip(batch, lengths):
        row[:length] = torch.randn(length, 200, generator=generator)
    with torch.inference_mode():
        logits = model(batch, torch.tensor(lengths))
        for row, length, utterance in zip(logits, lengths, batch):
            alone = model(utterance[None, :length])[0]  # (length // 8, classes)
            torch.testing.assert_close(row[: length // 8], alone, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(logits[:, : min(lengths) // 8]).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_forward_pass_is_the_printed_chain_and_a_skip(preset):
    model, features = MODELS[preset], torch.randn(2, 48, 200)
    with torch.inference_mode():
        x = features[:, None]
        for block in (model.conv1, model.conv2, model.conv3, model.conv4):
            x = block(x)
        assert x.shape[2:] == (6, 25)  # (batch, channels, frames // 8, bins // 8)
        frames = model.fc1(x.permute(0, 2, 1, 3).reshape(2, 6, -1)).relu()
        context, _ = model.rnn(frames)
        expected = model.fc3((model.fc2(context) + frames).relu())
        torch.testing.assert_close(model(features), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [*range(8, 34), 200])
def test_output_lengths_are_those_of_the_logits(frames):
    model = MODELS["lesson"]
    with torch.inference_mode():
        logits = model(torch.zeros(2, frames, 200))
    assert logits.shape == (2, model.output_lengths(frames), CLASSES)
    assert logits.shape[1] == frames // 8
    assert model.output_lengths(torch.tensor([8, frames])).tolist() == [1, frames // 8]


@pytest.mark.parametrize("shape, lengths, reason", [
    ((1, 7, 200), None, "8 frames"),  # too short
    ((2, 20, 200), [20, 7], "8 frames"),  # one of them too short
    ((2, 20, 200), [20, 21], "8 frames"),  # longer than the batch
    ((1, 20, 201), None, "200 bins"),  # a bin too many
    ((20, 200), None, "unpack"),  # no batch
])
def test_wrong_shapes_raise(shape, lengths, reason):
    with pytest.raises(ValueError, match=reason):
        MODELS["lesson"](torch.zeros(shape), lengths and torch.tensor(lengths))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_gradient_reaches_every_parameter(preset):
    model = lively_model(preset)
    logits = model(torch.randn(2, 40, 200), torch.tensor([40, 33]))
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_the_skip_leads_round_the_lstm():
    model = lively_model("lesson")
    torch.nn.init.zeros_(model.fc2.weight)  # nothing comes through the LSTM
    logits = model(torch.randn(1, 40, 200))
    logits.square().sum().backward()
    assert model.conv1.conv1_conv1.weight.grad.abs().sum() > 0
    assert model.rnn.weight_ih_l0.grad.abs().sum() == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_convolutions_alone_are_the_model_without_its_lstm(preset):
    """And a frame sees no further than they do: 84 input frames, see notebook 3."""
    model = MODELS[preset]
    alone = AcousticModel.from_preset(preset, CLASSES, recurrent=False).eval()
    gone = alone.load_state_dict(model.state_dict(), strict=False).unexpected_keys
    assert {name.split(".")[0] for name in gone} == {"rnn", "fc2"}
    features = torch.randn(2, 400, 200, requires_grad=True)
    logits = alone(features)
    frames = model.encode(features, torch.tensor([400, 400]))
    torch.testing.assert_close(logits, model.fc3(frames))
    logits[0, 25].sum().backward()
    seen = features.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert 25 * 8 - 84 < seen.min() < seen.max() < 25 * 8 + 84 and features.grad[1].abs().sum() == 0


@given(lengths=st.lists(st.integers(REDUCTION, 60), min_size=1, max_size=3),
       subsampling=st.integers(2, 4), garbage=st.sampled_from([0.0, 1e20]))
@settings(max_examples=25)
def test_a_stride_keeps_the_maximum_of_neighbouring_frames(lengths, subsampling, garbage):
    """Against a loop over the frames of each utterance; in a batch, whatever lies behind it."""
    alone = AcousticModel.from_preset("lesson", CLASSES, recurrent=False, subsampling=subsampling).eval()
    alone.load_state_dict(MODELS["lesson"].state_dict(), strict=False)
    batch = torch.full((len(lengths), max(lengths), 200), garbage)
    for row, length in zip(batch, lengths):
        row[:length] = torch.randn(length, 200)
    with torch.inference_mode():
        logits = alone(batch, torch.tensor(lengths))
        counts = alone.output_lengths(torch.tensor(lengths)).tolist()
        for row, length, utterance, count in zip(logits, lengths, batch, counts):
            frames = alone.encode(utterance[None, :length], torch.tensor([length]))[0]
            groups = [frames[start : start + subsampling] for start in range(0, len(frames), subsampling)]
            expected = alone.fc3(torch.stack([group.max(dim=0).values for group in groups]))
            assert count == len(groups) == alone.output_lengths(length)
            torch.testing.assert_close(row[:count], expected, rtol=1e-4, atol=1e-4)
    assert logits.shape[1] == max(counts)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="no loss 'focal'; choose ctc, ace, ctc.ace"):
        AcousticModel(loss="focal")


def test_every_frame_hears_the_first_and_the_last():
    model = lively_model("lesson")
    features = torch.randn(1, 400, 200, requires_grad=True)  # far wider than what a frame sees
    model(features)[0, 25].sum().backward()
    assert features.grad[0, 0].abs().sum() > 0 and features.grad[0, -1].abs().sum() > 0
