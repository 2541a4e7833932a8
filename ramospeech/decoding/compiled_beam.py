"""The inner loops of the prefix beam search, compiled by numba. Read `prefix_beam` first.

numba recompiles a cached function if its own file has changed, but not if a function that it calls
has: so everything that is compiled together is in this file. Probabilities are natural logarithms.
A prefix is a node of a tree. Related values are records of one array, which numba passes at no cost,
unlike a tuple of many arrays.
"""

import math
from typing import NamedTuple

import numpy as np

from ramospeech.language.ngram import END
from ramospeech.language.vocabulary import BLANK
from ramospeech.utils.compiler import compiled, inlined

__all__ = ["Options", "extend_prefixes", "keep_prefixes", "search"]

NOTHING = -1  # no node, no place in the beam
ROOT = 0  # the node of the empty prefix
STAY = BLANK  # a candidate's token if its prefix does not grow
NEGLIGIBLE = 40.0  # a probability smaller by e^-40 changes no float64
SLACK = 1e-6  # for rounding errors in a bound

NODE = np.dtype([  # a prefix that has been in the beam: its parent and one more token
    ("parent", np.int64),
    ("token", np.int64),
    ("depth", np.int64),  # number of tokens
    ("child", np.int64),  # the newest one, or NOTHING
    ("sibling", np.int64),  # the next older child of the parent, or NOTHING
    ("place", np.int64),  # in the beam, or NOTHING
    ("state", np.int64),  # of the language model
    ("language", np.float64),  # log-probability of the prefix in the language model
])
ENTRY = np.dtype([  # of the beam, best first
    ("node", np.int64),
    ("blank", np.float64),  # log-probability of the paths that end in a blank
    ("token", np.float64),  # of those that end in the prefix's last token
    ("total", np.float64),  # of both
    ("score", np.float64),  # with language model and length
])
CANDIDATE = np.dtype([  # for the next beam, best first
    ("score", np.float64),  # minus infinity: none
    ("node", np.int64),  # of the prefix
    ("token", np.int64),  # that extends it, or STAY
])


class Options(NamedTuple):
    """The settings of a search."""

    beam_width: int
    nbest: int
    most_tokens: int  # of a frame, beside the blank
    skip_above: float  # log-probability of the blank
    lm_weight: float
    length_bonus: float


@compiled
def search(log_probs, options, model):
    """Return scores and lengths `(nbest,)` and tokens `(nbest, longest)` of the best labellings.

    `log_probs` is `(T, classes)`, `model` the `Arrays` of a language model.
    """
    (frames, classes), width = log_probs.shape, options.beam_width
    tree = np.empty(1 + frames * width, NODE)  # at most `width` new prefixes per frame
    beam, stayed, following = np.empty(width, ENTRY), np.empty(width, ENTRY), np.empty(width, ENTRY)
    candidates = np.empty(width, CANDIDATE)
    best, pruned = np.empty(_enough_tokens(options, classes), np.int64), np.empty(classes)
    size = _begin(tree, beam, model)
    for time in range(frames):
        frame = log_probs[time]
        if frame[BLANK] > options.skip_above:
            _skip(frame, beam[:size])
            continue
        if options.most_tokens < classes - 1:
            frame = _prune(frame, best, pruned)
        keep_prefixes(frame, tree, beam[:size], stayed, candidates, options)
        extend_prefixes(frame, tree, beam[:size], best, candidates, options, model)
        free = 1 + time * width
        size = _choose(frame, tree, beam[:size], stayed, following, free, candidates, options, model)
        beam, following = following, beam
    return _read(tree, beam[:size], candidates, options, model)


@compiled
def _enough_tokens(options, classes):
    """Return how many of a frame's tokens to try; `prefix_beam` has the proof."""
    enough = classes - 1 if options.lm_weight > 0.0 else options.beam_width + 1
    return min(enough, options.most_tokens, classes - 1)


@compiled
def _begin(tree, beam, model):
    """Start with the empty prefix."""
    _add_node(tree, ROOT, ROOT, BLANK, model.start, 0.0)
    tree[ROOT].depth = tree[ROOT].place = 0
    _write_entry(beam[0], ROOT, 0.0, -np.inf, 0.0)
    return 1


@compiled
def _write_entry(entry, node, blank, token, extra):
    entry.node, entry.blank, entry.token = node, blank, token
    entry.total = _add_logs(blank, token)
    entry.score = entry.total + extra


@compiled
def _skip(frame, beam):
    """Treat a frame as blank: the next token is a new one, even if it is the same."""
    for place in range(len(beam)):
        entry = beam[place]
        extra = entry.score - entry.total
        _write_entry(entry, entry.node, entry.total + frame[BLANK], -np.inf, extra)


@compiled
def _best_tokens(frame, floor, best):
    """Write the best tokens of a frame above the floor, of equal ones the smaller first; return how many."""
    count = 0
    for token in range(1, len(frame)):
        log_prob = frame[token]
        if log_prob > floor:
            count = min(count + 1, len(best))
            rank = count - 1
            while rank > 0 and frame[best[rank - 1]] < log_prob:
                best[rank] = best[rank - 1]
                rank -= 1
            best[rank] = token
            if count == len(best):
                floor = frame[best[-1]]
    return count


@compiled
def _prune(frame, best, pruned):
    """Return the frame with all but the best tokens made impossible."""
    pruned[:] = -np.inf
    pruned[BLANK] = frame[BLANK]
    for token in best[:_best_tokens(frame, -np.inf, best)]:
        pruned[token] = frame[token]
    return pruned


@compiled
def keep_prefixes(frame, tree, beam, stayed, candidates, options):
    """Offer all prefixes unchanged, with the probability passed on by parents in the beam."""
    candidates["score"][:] = -np.inf
    for place in range(len(beam)):
        entry, node, token = beam[place], tree[beam[place].node], -np.inf
        if entry.node != ROOT:
            parent = tree[node.parent].place
            grown = _grown(frame, tree, beam[parent], node.token) if parent != NOTHING else -np.inf
            token = _add_logs(entry.token + frame[node.token], grown)
        extra = _extra(node.language, node.depth, options)
        _write_entry(stayed[place], entry.node, entry.total + frame[BLANK], token, extra)
        _offer(tree, candidates[: place + 1], stayed[place].score, entry.node, STAY)


@inlined
def _grown(frame, tree, entry, token):
    """Return the probability that a prefix passes on to its extension by a token."""
    repeats = tree[entry.node].token == token  # possible only after a blank
    return (entry.blank if repeats else entry.total) + frame[token]


@compiled
def extend_prefixes(frame, tree, beam, best, candidates, options, model):
    """Offer every prefix extended by the best tokens, until the bound rules the rest out."""
    gain = options.lm_weight * model.highest + options.length_bonus + SLACK  # by a token, at most
    floor = candidates[-1].score - beam[0].score - gain
    count = _best_tokens(frame, floor, best)
    for place in range(len(beam)):
        for token in best[:count]:
            if beam[place].score + frame[token] + gain < candidates[-1].score:
                break
            _offer_grown(frame, tree, beam[place], token, candidates, options, model)


@inlined
def _offer_grown(frame, tree, entry, token, candidates, options, model):
    """Offer a prefix with one more token, unless the result is in the beam already."""
    child = _find(tree, entry.node, token)
    if child == NOTHING or tree[child].place == NOTHING:
        language, _ = _continue(tree[entry.node], token, options, model)
        extra = _extra(language, tree[entry.node].depth + 1, options)
        _offer(tree, candidates, _grown(frame, tree, entry, token) + extra, entry.node, token)


@compiled
def _choose(frame, tree, beam, stayed, following, free, candidates, options, model):
    """Write the next beam, return its size. New nodes are stored from `free` on."""
    size = 0
    for candidate in candidates:
        if candidate.score == -np.inf:
            break
        place = tree[candidate.node].place
        if candidate.token == STAY:
            following[size] = stayed[place]
        else:
            node = _grow(tree, candidate.node, candidate.token, free + size, options, model)
            token = _grown(frame, tree, beam[place], candidate.token)
            extra = _extra(tree[node].language, tree[node].depth, options)
            _write_entry(following[size], node, -np.inf, token, extra)
        size += 1
    for entry in beam:
        tree[entry.node].place = NOTHING
    for place in range(size):
        tree[following[place].node].place = place
    return size


@compiled
def _read(tree, beam, candidates, options, model):
    """Return the best of the last beam, with the end of the sentence scored."""
    candidates["score"][:] = -np.inf
    for place in range(len(beam)):
        entry, node = beam[place], tree[beam[place].node]
        language, _ = _continue(node, END, options, model)
        score = entry.total + _extra(language, node.depth, options)
        _offer(tree, candidates[: place + 1], score, entry.node, STAY)
    count = min(options.nbest, len(beam))
    scores, lengths = np.empty(count), np.empty(count, np.int64)
    for rank in range(count):
        scores[rank] = candidates[rank].score
        lengths[rank] = tree[candidates[rank].node].depth
    tokens = np.zeros((count, lengths.max()), np.int64)
    for rank in range(count):
        _spell(tree, candidates[rank].node, tokens[rank])
    return scores, lengths, tokens


@compiled
def _add_logs(one, other):
    """Return the logarithm of the sum of two numbers given as logarithms."""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high)) if low > high - NEGLIGIBLE else high


# Candidates


@inlined
def _offer(tree, candidates, score, node, token):
    """Insert a candidate by its score; the last one drops out."""
    rank = len(candidates) - 1
    if not _is_better(tree, candidates[rank], score, node, token):
        return
    while rank > 0 and candidates[rank - 1].score < score:  # decides nearly always
        rank = _move_down(candidates, rank)
    while rank > 0 and _is_better(tree, candidates[rank - 1], score, node, token):
        rank = _move_down(candidates, rank)
    _write_candidate(candidates[rank], score, node, token)


@inlined
def _move_down(candidates, rank):
    """Move the candidate above down to a rank; return the rank that is then free."""
    above = candidates[rank - 1]
    _write_candidate(candidates[rank], above.score, above.node, above.token)
    return rank - 1


@inlined
def _write_candidate(candidate, score, node, token):
    candidate.score, candidate.node, candidate.token = score, node, token


@compiled
def _is_better(tree, candidate, score, node, token):
    """Return whether a score, or for equal scores a sequence, ranks before a candidate."""
    if score != candidate.score or score == -np.inf:
        return score > candidate.score
    return _precedes(tree, node, token, candidate.node, candidate.token)


@compiled
def _precedes(tree, node, token, other_node, other_token):
    """Return whether a node's prefix with a token (or STAY) is the smaller of two sequences."""
    depth = tree[node].depth + (token != STAY)
    other_depth = tree[other_node].depth + (other_token != STAY)
    smaller = depth < other_depth  # if one begins like the other
    for _ in range(depth - other_depth):
        _, node, token = _without_last(tree, node, token)
    for _ in range(other_depth - depth):
        _, other_node, other_token = _without_last(tree, other_node, other_token)
    while node != other_node or token != other_token:
        last, node, token = _without_last(tree, node, token)
        other_last, other_node, other_token = _without_last(tree, other_node, other_token)
        if last != other_last:
            smaller = last < other_last
    return smaller


@compiled
def _without_last(tree, node, token):
    """Return the last token of a node's prefix with a token (or STAY), and what precedes it."""
    if token != STAY:
        return token, node, STAY
    return tree[node].token, tree[node].parent, STAY


# The tree


@compiled
def _grow(tree, parent, token, free, options, model):
    """Return the node of a prefix with one more token; create it at `free` if there is none."""
    node = _find(tree, parent, token)
    if node == NOTHING:
        node = free
        language, state = _continue(tree[parent], token, options, model)
        _add_node(tree, node, parent, token, state, language)
        tree[node].sibling, tree[parent].child = tree[parent].child, node
    return node


@compiled
def _add_node(tree, node, parent, token, state, language):
    new = tree[node]
    new.parent, new.token, new.depth = parent, token, tree[parent].depth + 1
    new.child = new.sibling = new.place = NOTHING
    new.state, new.language = state, language


@compiled
def _find(tree, parent, token):
    """Return the node of a prefix with one more token, or NOTHING."""
    node = tree[parent].child
    while node != NOTHING and tree[node].token != token:
        node = tree[node].sibling
    return node


@compiled
def _spell(tree, node, tokens):
    while node != ROOT:
        tokens[tree[node].depth - 1] = tree[node].token
        node = tree[node].parent


# The language model


@compiled
def _extra(language, depth, options):
    """Return what language model and length add to a score."""
    return options.lm_weight * language + options.length_bonus * depth


@compiled
def _continue(node, token, options, model):
    """Return the language model's log-probability of a prefix with one more token, and its state."""
    if options.lm_weight == 0.0:
        return 0.0, 0
    log_prob, state = _follow(model, node.state, token)
    return node.language + log_prob, state


@compiled
def _follow(model, state, token):
    """Return the log-probability of a token in a state of the language model, and the next state."""
    token, backoff = model.known[token], 0.0
    while True:
        low, end = model.first[state], model.first[state + 1]
        low += np.searchsorted(model.token[low:end], token)
        if low < end and model.token[low] == token:
            return backoff + model.log_prob[low], model.target[low]
        backoff += model.backoff[state]
        state = model.shorter[state]
