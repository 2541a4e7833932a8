"""The plain output layer with its changed gradient against the parametrisation by sub-syllable units."""

import pytest
import torch

from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.training.hooks.gradient_sharing import share_gradients, sub_syllable_units

SYLLABLES = ("ma1", "ma3", "hao1", "hao3", "shi4", "shi", "lv4", "er2", "a1")
VOCABULARY = Vocabulary((PAD, UNK, *SYLLABLES))
WIDTH = 6


def layer_with_sharing(strength: float) -> torch.nn.Linear:
    torch.manual_seed(1)
    layer = torch.nn.Linear(WIDTH, len(VOCABULARY))
    share_gradients(layer, VOCABULARY, strength)
    return layer


def loss_of(weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(20, WIDTH, generator=generator)
    labels = torch.randint(0, len(VOCABULARY), (20,), generator=generator)
    return torch.nn.functional.cross_entropy(inputs @ weight.T + bias, labels)


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_the_gradient_is_how_the_sum_over_units_would_move(strength):
    """W = R + sqrt(strength) A E, with a step on R and E, moves W as the hook's gradient does."""
    layer = layer_with_sharing(strength)
    loss_of(layer.weight, layer.bias).backward()

    mix = strength**0.5 * sub_syllable_units(VOCABULARY)  # (classes, units)
    own = layer.weight.detach().clone().requires_grad_()  # R, such that W is the same with E = 0
    part = torch.zeros(mix.shape[1], WIDTH, requires_grad=True)  # E
    loss_of(own + mix @ part, layer.bias.detach()).backward()
    torch.testing.assert_close(layer.weight.grad, own.grad + mix @ part.grad)


def test_every_syllable_has_an_initial_a_final_and_a_tone():
    units = sub_syllable_units(VOCABULARY)
    assert units.sum(dim=1).tolist() == [0, 0] + [3] * len(SYLLABLES)
    shared = dict(zip(VOCABULARY.symbols, (units @ units.T).tolist()))
    row = dict(zip(VOCABULARY.symbols, shared["ma3"]))
    assert row["ma3"] == 3
    assert row["ma1"] == 2  # all but the tone
    assert row["a1"] == row["hao3"] == 1  # the final; the tone
    assert row["hao1"] == row["shi"] == row[UNK] == 0


def test_weights_begin_as_sums_over_units():
    weight = dict(zip(VOCABULARY.symbols, layer_with_sharing(1.0).weight))
    torch.testing.assert_close(
        weight["ma1"] - weight["ma3"], weight["hao1"] - weight["hao3"]  # tone 1 less tone 3
    )
    assert weight[PAD].abs().sum() == weight[UNK].abs().sum() == 0


def test_special_classes_learn_alone():
    plain, shared = layer_with_sharing(0.0), layer_with_sharing(1.0)
    with torch.no_grad():
        plain.weight.copy_(shared.weight)
    for layer in (plain, shared):
        loss_of(layer.weight, layer.bias).backward()
    torch.testing.assert_close(shared.weight.grad[:2], plain.weight.grad[:2])
    torch.testing.assert_close(shared.bias.grad, plain.bias.grad)


def test_no_strength_no_change():
    torch.manual_seed(1)
    untouched = torch.nn.Linear(WIDTH, len(VOCABULARY))
    assert torch.equal(layer_with_sharing(0.0).weight, untouched.weight)


def test_the_real_vocabulary_has_few_units():
    units = sub_syllable_units(Vocabulary.read())
    assert units.shape[0] == 1215 and units.shape[1] < 80
    assert (units.sum(dim=1)[2:] == 3).all()
