"""Forced alignment: when each token of a labelling begins. Compiled by numba."""

import numpy as np

from ramospeech.language.vocabulary import BLANK
from ramospeech.utils.compiler import compiled

__all__ = ["align"]


@compiled
def align(log_probs, tokens):
    """Return the frame `(tokens,)` at which each token begins in the most probable path.

    `log_probs` is `(T, classes)`, `tokens` `(tokens,)`. The Viterbi algorithm over the states of
    Graves et al. 2006, blanks (even) and tokens (odd); needs T x (2 tokens + 1) bytes.
    """
    states = 2 * len(tokens) + 1
    scores = np.full(states, -np.inf)
    scores[0] = 0.0
    steps = np.zeros((len(log_probs), states), np.int8)  # from the previous state
    for time, frame in enumerate(log_probs):
        for state in range(states - 1, -1, -1):  # downwards: lower states still hold the previous frame
            token = tokens[state // 2] if state % 2 else BLANK
            if state > 0 and scores[state - 1] > scores[state]:
                steps[time, state] = 1
            if (state > 2 and state % 2 and tokens[state // 2 - 1] != token
                    and scores[state - 2] > scores[state - steps[time, state]]):
                steps[time, state] = 2
            scores[state] = scores[state - steps[time, state]] + frame[token]
    return _beginnings(scores, steps)


@compiled
def _beginnings(scores, steps):
    """Trace the path back from the better one of the last two states."""
    state, beginnings = len(scores) - 1, np.zeros(len(scores) // 2, np.int64)
    if state > 0 and scores[state - 1] > scores[state]:
        state -= 1
    for time in range(len(steps) - 1, -1, -1):
        if state % 2:
            beginnings[state // 2] = time
        state -= steps[time, state]
    return beginnings
