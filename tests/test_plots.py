"""The lattice of CTC: its arrows are the moves of the paths that spell the target, and no others."""

from itertools import groupby, pairwise, product

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from ramospeech.notebook.plots import draw_lattice


def moves_of_all_paths(states: list[str], frames: int) -> set:
    """Every way through the states, in their order, that collapses to all of the labels."""
    found = set()
    for way in product(range(len(states)), repeat=frames):
        path = [states[state] for state in way]
        spelt = [label for label, _ in groupby(path) if label != "-"]
        begins_and_ends = way[0] < 2 and way[-1] >= len(states) - 2
        if begins_and_ends and list(way) == sorted(way) and spelt == states[1::2]:
            places = list(enumerate(way))
            found |= set(pairwise(places))
    return found


def arrows(alpha: np.ndarray, states: list[str]) -> set:
    axes = Figure().add_subplot()
    draw_lattice(axes, alpha, states)
    return {(tuple(text.xyann), tuple(text.xy)) for text in axes.texts if isinstance(text, Annotation)}


@pytest.mark.parametrize("labels, frames", [(["ni", "hao"], 3), (["ma"], 2), (["ni", "hao", "ma"], 5)])
def test_the_arrows_are_the_moves_of_the_paths(labels, frames):
    """Also where states are reached from which the end is out of reach."""
    states = ["-", *(state for label in labels for state in (label, "-"))]
    reached = [[state <= 2 * frame + 1 for state in range(len(states))] for frame in range(frames)]
    assert arrows(0.1 * np.array(reached), states) == moves_of_all_paths(states, frames)


def test_between_equal_labels_the_blank_is_not_left_out():
    states = ["-", "ma", "-", "ma", "-"]
    expected = moves_of_all_paths(states, frames=4)
    alpha = np.zeros((4, 5))
    for place in {place for move in expected for place in move}:
        alpha[place] = 0.1
    assert arrows(alpha, states) == expected
