"""Prefix beam search, compiled: the decoder to use.

It finds what `beam.plain_prefix_beam_search` finds, without looking at every class for every
prefix. Let the beam hold W prefixes, the best first, and a frame's tokens be in order of their
log-probabilities, the best first; count both from zero. Prefix i with token k scores s(i) + p(k)
at most: less where k is the prefix's own last token, for only the paths that end in a blank can
repeat it. So in each of the rows 0 to i, k or more of the tokens 0 to k lead to a prefix of their
own that scores s(i) + p(k) or more, or into one that the beam has already, which then scores even
more. Without (i, k) itself, that makes (i + 1) k - 1 better ones or as good ones, and (i, k) can be
among the best W only if (i + 1) k <= W. The W + 1 best tokens of a frame are thus enough, and of
row i the first W / (i + 1) + 1: about W ln W candidates in all, where W x classes seem to be needed.

Equal scores are decided by the smaller sequence of tokens, and with a language model the order of
p(k) is no longer that of the scores. So the search does not count; it goes along each row until the
highest score that a token there can have is below the worst of the best W so far. What the proof
says is how soon that happens: within the W + 1 best tokens, unless scores are equal or a language
model speaks. Then, and only then, `_sweep` looks at the others too.
"""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ramospeech.decoders import Hypothesis
from ramospeech.language_model import END, Arrays, LanguageModel
from ramospeech.losses import BLANK

NOTHING = -1  # no node, no place in the beam
ROOT = 0  # the node of the empty prefix
STAY = BLANK  # a candidate's token where the prefix does not grow
MOST_NODES = 1 << 24  # of a search: 1 GB
NORMALISED = 1e-3  # how far from 1 the probabilities of a frame may sum up
ROUNDING = 1e-6  # scores with a language model are added up in another order than their bounds

compiled = njit(cache=True, nogil=True)
NO_LANGUAGE = Arrays(
    np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(1),
    np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64), 0, 0.0,
)


class Options(NamedTuple):
    """The knobs of a search, as the compiled code takes them."""

    beam_width: int
    nbest: int
    most_tokens: int  # of a frame, beside the blank
    nodes: int  # how many prefixes there can be in all
    skip_above: float  # log-probability of the blank
    lm_weight: float
    length_bonus: float


class Trie(NamedTuple):
    """All prefixes that were ever in the beam: a prefix is its parent and one token more."""

    parent: np.ndarray  # (nodes,)
    token: np.ndarray  # (nodes,)
    depth: np.ndarray  # (nodes,) how many tokens
    place: np.ndarray  # (nodes,) in the beam, or NOTHING
    extra: np.ndarray  # (nodes,) what language model and length add to the score
    state: np.ndarray  # (nodes,) of the language model
    slots: np.ndarray  # (a power of two,) nodes by the hash of parent and token
    size: np.ndarray  # (1,)


class Beam(NamedTuple):
    """The best prefixes, best first; natural logarithms."""

    node: np.ndarray  # (width,)
    blank: np.ndarray  # (width,) probability of the paths that end in a blank
    token: np.ndarray  # (width,) of those that end in the prefix's last token
    total: np.ndarray  # (width,) of both
    size: np.ndarray  # (1,)


class Candidates(NamedTuple):
    """The best candidates for the next beam; `heap` has the worst of them at its root."""

    score: np.ndarray  # (width,)
    total: np.ndarray  # (width,) without language model and length
    beam: np.ndarray  # (width,) the prefix that it comes from
    token: np.ndarray  # (width,) what it is extended by, or STAY
    heap: np.ndarray  # (width,) of places in the arrays above
    size: np.ndarray  # (1,)


# For Python


def prefix_beam_search(
    log_probs: Tensor,
    lengths: Tensor | Sequence[int] | int | None = None,
    beam_width: int = 30,
    nbest: int = 1,
    *,
    tokens_per_frame: int | None = None,
    skip_blanks_above: float | None = None,
    language_model: LanguageModel | None = None,
    lm_weight: float = 0.5,
    length_bonus: float = 0.0,
) -> list[Hypothesis] | list[list[Hypothesis]]:
    """The `nbest` best labellings that a beam of `beam_width` prefixes finds, best first.

    `log_probs` is `(T, classes)`, for a list of hypotheses, or `(batch, T, classes)` with `lengths`
    `(batch,)`, for a list of such lists; class 0 is the blank. The score is the natural logarithm
    of the probability of all paths that spell the tokens and stayed in the beam: minus the CTC loss
    where the beam holds every prefix. Of equal scores, the smaller sequence of tokens is first. The
    timesteps are those of the most probable single path.

    With a `language_model` (shallow fusion), the score is that logarithm plus `lm_weight` times the
    model's, plus `length_bonus` for each token; the beam is chosen by it, and the end of the
    sentence judged in the last frame.

    Two settings save time and can lose something. `tokens_per_frame` takes all but that many of a
    frame's tokens for impossible: a labelling that needs another one is lost, and scores lack the
    paths through them. `skip_blanks_above` takes a frame for a certain blank where the blank is
    more probable than that: tokens that peak there are lost.

    The utterances of a batch are shared among as many threads as PyTorch uses. The first call
    compiles, or loads what was compiled before: see `warm_up`. Raises ValueError for whatever is
    not as described.
    """
    log_probs = torch.as_tensor(log_probs).detach().cpu()
    batch, lengths = _check_log_probs(log_probs, lengths)
    options = _check_options(beam_width, nbest, tokens_per_frame, skip_blanks_above,
                             lm_weight, length_bonus)
    language = _check_language(language_model, classes=batch.shape[2])
    if not language_model:
        options = options._replace(lm_weight=0.0)
    options = _limit(options, max(lengths, default=0), classes=batch.shape[2])

    def decode(utterance: Tensor, length: int) -> list[Hypothesis]:
        frames = utterance[:length].double().contiguous().numpy()  # (T, classes)
        return _hypotheses(*_search(frames, options, language))

    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        share = pool.map if len(batch) > 1 else map
        found = list(share(decode, batch, lengths))
    return found if log_probs.ndim == 3 else found[0]


def _hypotheses(
    scores: np.ndarray, lengths: np.ndarray, tokens: np.ndarray, timesteps: np.ndarray
) -> list[Hypothesis]:
    """From `(nbest,)` scores and lengths, `(nbest, longest)` tokens and timesteps."""
    return [Hypothesis(row[:length].tolist(), score, steps[:length].tolist())
            for score, length, row, steps in zip(scores.tolist(), lengths, tokens, timesteps)]


def warm_up() -> float:
    """Compile the search, or load it from the cache; the seconds that it took."""
    started = time.perf_counter()
    prefix_beam_search(torch.zeros(1, 1))
    return time.perf_counter() - started


def _check_log_probs(log_probs: Tensor, lengths) -> tuple[Tensor, list[int]]:
    """As a batch, with lengths as numbers."""
    if log_probs.ndim not in (2, 3) or log_probs.shape[-1] == 0:
        raise ValueError("log_probs must be (T, classes) or (batch, T, classes), not "
                         f"{tuple(log_probs.shape)}")
    if not log_probs.is_floating_point():
        raise ValueError(f"log_probs must be floating-point numbers, not {log_probs.dtype}")
    batch = log_probs if log_probs.ndim == 3 else log_probs[None]
    lengths = _check_lengths(lengths, *batch.shape[:2])
    sums = batch.float().exp().sum(dim=-1)  # (batch, T)
    counts = torch.arange(batch.shape[1]) < torch.tensor(lengths)[:, None]  # what is no padding
    wrong = (counts & ~((sums - 1).abs() <= NORMALISED)).nonzero().tolist()
    if wrong:
        utterance, frame = wrong[0]
        raise ValueError(f"utterance {utterance}, frame {frame}: not normalised log-probabilities: "
                         f"the probabilities sum to {sums[utterance, frame]:g}")
    return batch, lengths


def _check_lengths(lengths, utterances: int, frames: int) -> list[int]:
    if lengths is None:
        return [frames] * utterances
    numbers = torch.as_tensor(lengths).reshape(-1).tolist()
    if len(numbers) != utterances:
        raise ValueError(f"{len(numbers)} lengths for {utterances} utterances")
    for utterance, length in enumerate(numbers):
        if length not in range(frames + 1):
            raise ValueError(f"utterance {utterance}: a length of {length}, with {frames} frames")
    return [int(length) for length in numbers]


def _check_options(
    beam_width: int, nbest: int, tokens_per_frame: int | None,
    skip_blanks_above: float | None, lm_weight: float, length_bonus: float,
) -> Options:
    tokens = MOST_NODES if tokens_per_frame is None else tokens_per_frame
    for name, number in [("beam_width", beam_width), ("nbest", nbest), ("tokens_per_frame", tokens)]:
        if not isinstance(number, Integral) or number < 1:
            raise ValueError(f"{name} must be a whole number above 0, not {number!r}")
    if not (skip_blanks_above is None or 0 < skip_blanks_above <= 1):
        raise ValueError(f"skip_blanks_above must be a probability, not {skip_blanks_above}")
    if not (0 <= lm_weight < math.inf and math.isfinite(length_bonus)):
        raise ValueError("lm_weight must be finite and not negative, length_bonus finite, not "
                         f"{lm_weight} and {length_bonus}")
    skip = math.inf if skip_blanks_above is None else math.log(skip_blanks_above)
    return Options(beam_width, nbest, tokens, 0, skip, float(lm_weight), float(length_bonus))


def _check_language(model: LanguageModel | None, classes: int) -> Arrays:
    if model is None:
        return NO_LANGUAGE
    if len(model.inventory) != classes:
        raise ValueError(f"a language model of another vocabulary: it has {len(model.inventory)} "
                         f"classes, the log-probabilities {classes}")
    return model.arrays


def _limit(options: Options, frames: int, classes: int) -> Options:
    """No more than there can be, so that nothing too large is reserved."""
    prefixes = _count_prefixes(frames, classes)
    width = min(options.beam_width, prefixes)
    nodes = min(1 + frames * width, prefixes)
    if nodes > MOST_NODES:
        raise ValueError(f"a beam_width of {width:,} over {frames:,} frames is too much: their "
                         f"product can be {MOST_NODES:,}")
    return options._replace(beam_width=width, nbest=min(options.nbest, width), nodes=nodes,
                            most_tokens=min(options.most_tokens, classes - 1))


def _count_prefixes(frames: int, classes: int) -> int:
    """How many sequences of up to `frames` tokens there are; at some point, enough."""
    count = 1
    for _ in range(frames):
        count = 1 + count * (classes - 1)
        if count > 2 * MOST_NODES or classes == 1:
            break
    return count


# Compiled


@compiled
def _search(log_probs, options, language):
    """Scores and lengths `(nbest,)`, tokens and timesteps `(nbest, longest)`."""
    width, tokens = options.beam_width, log_probs.shape[1] - 1
    pruned = options.most_tokens < tokens
    trie, candidates = _new_trie(options.nodes, language.start), _new_candidates(width)
    beam, stayed, following = _new_beam(width), _new_beam(width), _new_beam(width)
    best = np.empty(options.most_tokens if pruned else min(tokens, width + 1), np.int64)
    best_log_probs, kept = np.empty(len(best)), np.empty(tokens + 1)
    _begin(beam, trie)
    for frame in log_probs:
        if frame[BLANK] > options.skip_above:
            _skip(beam, frame[BLANK])
            continue
        count = _best_tokens(frame, best, best_log_probs)
        if pruned:
            frame = _prune(frame, best[:count], kept)
        candidates.size[0] = 0
        _stay(frame, beam, stayed, trie, candidates)
        _extend(frame, best[:count], beam, trie, candidates, options, language)
        if count == len(best) and not pruned:
            _sweep(frame, best, beam, trie, candidates, options, language)
        _choose(candidates, beam, stayed, following, trie, options, language)
        beam, following = following, beam
    return _read(log_probs, beam, trie, candidates, options, language)


@compiled
def _new_trie(nodes, start):
    slots = 4
    while slots < 2 * nodes:
        slots *= 2
    trie = Trie(
        np.empty(nodes, np.int32), np.empty(nodes, np.int32), np.empty(nodes, np.int32),
        np.empty(nodes, np.int32), np.empty(nodes), np.empty(nodes, np.int64),
        np.full(slots, NOTHING, np.int32), np.zeros(1, np.int64),
    )
    _add_node(trie, ROOT, BLANK, 0, 0.0, start)
    return trie


@compiled
def _new_beam(width):
    return Beam(np.empty(width, np.int64), np.empty(width), np.empty(width), np.empty(width),
                np.zeros(1, np.int64))


@compiled
def _new_candidates(width):
    return Candidates(np.empty(width), np.empty(width), np.empty(width, np.int64),
                      np.empty(width, np.int64), np.empty(width, np.int64), np.zeros(1, np.int64))


@compiled
def _begin(beam, trie):
    """Before the first frame there is the empty prefix alone."""
    beam.size[0] = 1
    beam.node[0], beam.blank[0], beam.token[0], beam.total[0] = ROOT, 0.0, -np.inf, 0.0
    trie.place[ROOT] = 0


@compiled
def _skip(beam, log_prob):
    """A frame that is taken for a blank: what follows it is a new token, even if the same."""
    for place in range(beam.size[0]):
        beam.total[place] += log_prob
        beam.blank[place], beam.token[place] = beam.total[place], -np.inf


@compiled
def _best_tokens(frame, best, log_probs):
    """Write the best tokens of a frame, best first, and of equal ones the smaller first; how many.

    A token of no probability is never among them.
    """
    count, log_probs[:] = 0, -np.inf
    for token in range(1, len(frame)):
        if frame[token] > log_probs[-1]:
            count = min(count + 1, len(best))
            place = count - 1
            while place > 0 and log_probs[place - 1] < frame[token]:
                best[place], log_probs[place] = best[place - 1], log_probs[place - 1]
                place -= 1
            best[place], log_probs[place] = token, frame[token]
    return count


@compiled
def _prune(frame, best, kept):
    """The frame as if all other tokens were impossible."""
    kept[:] = -np.inf
    kept[BLANK] = frame[BLANK]
    for token in best:
        kept[token] = frame[token]
    return kept


@compiled
def _stay(frame, beam, stayed, trie, candidates):
    """Offer the prefixes as they are, with what their parents in the beam add to them."""
    for place in range(beam.size[0]):
        node = beam.node[place]
        stayed.blank[place] = beam.total[place] + frame[BLANK]
        stayed.token[place] = -np.inf
        if node != ROOT:
            token = trie.token[node]
            repeated = beam.token[place] + frame[token]
            stayed.token[place] = _add_logs(repeated, _grown(frame, beam, trie, trie.place[trie.parent[node]], token))
        total = _add_logs(stayed.blank[place], stayed.token[place])
        _offer(candidates, beam, trie, total + trie.extra[node], total, place, STAY)


@compiled
def _grown(frame, beam, trie, place, token):
    """The mass that a prefix of the beam hands on to itself with one more token."""
    if place == NOTHING:
        return -np.inf
    repeats = trie.token[beam.node[place]] == token  # possible only after a blank
    return (beam.blank[place] if repeats else beam.total[place]) + frame[token]


@compiled
def _extend(frame, best, beam, trie, candidates, options, language):
    """Offer every prefix with the best tokens, as far as they have a chance."""
    gain = _largest_gain(options, language)
    for place in range(beam.size[0]):
        for token in best:
            if _bound(frame, beam, trie, place, token, gain) < _worst(candidates):
                break
            _offer_grown(frame, beam, trie, place, token, candidates, options, language)


@compiled
def _sweep(frame, best, beam, trie, candidates, options, language):
    """Offer the prefixes with the other tokens too, where even the last of the best may do."""
    gain, last = _largest_gain(options, language), best[-1]
    for place in range(beam.size[0]):
        if _bound(frame, beam, trie, place, last, gain) < _worst(candidates):
            continue
        for token in range(1, len(frame)):
            done = frame[token] > frame[last] or frame[token] == frame[last] and token <= last
            if done or _bound(frame, beam, trie, place, token, gain) < _worst(candidates):
                continue
            _offer_grown(frame, beam, trie, place, token, candidates, options, language)


@compiled
def _largest_gain(options, language):
    """The most that language model and length can add for one token."""
    if options.lm_weight == 0.0:
        return options.length_bonus
    return options.lm_weight * language.highest + options.length_bonus + ROUNDING


@compiled
def _bound(frame, beam, trie, place, token, gain):
    """The highest score that a prefix can have with a token; the score itself, as a rule."""
    return beam.total[place] + frame[token] + (trie.extra[beam.node[place]] + gain)


@compiled
def _offer_grown(frame, beam, trie, place, token, candidates, options, language):
    total = _grown(frame, beam, trie, place, token)
    child = _find(trie, beam.node[place], token)
    in_beam = child != NOTHING and trie.place[child] != NOTHING  # then `_stay` has offered it
    if total > -np.inf and not in_beam:
        extra, _ = _continue(trie, beam.node[place], token, options, language)
        _offer(candidates, beam, trie, total + extra, total, place, token)


@compiled
def _continue(trie, node, token, options, language):
    """What language model and length add to the score with one more token; the model's state."""
    if options.lm_weight == 0.0:
        return trie.extra[node] + options.length_bonus, 0
    log_prob, state = _follow(language, trie.state[node], token)
    return trie.extra[node] + (options.lm_weight * log_prob + options.length_bonus), state


@compiled
def _follow(language, state, token):
    """How probable a token is in a state of the language model, and the state after it."""
    backoff = 0.0
    while True:
        low, high = language.first[state], language.first[state + 1]
        while low < high:
            middle = (low + high) // 2
            if language.token[middle] < token:
                low = middle + 1
            else:
                high = middle
        if low < language.first[state + 1] and language.token[low] == token:
            return backoff + language.log_prob[low], language.target[low]
        backoff += language.backoff[state]
        state = language.shorter[state]


# Compiled: candidates


@compiled
def _worst(candidates):
    """The score to reach."""
    if candidates.size[0] < len(candidates.heap):
        return -np.inf
    return candidates.score[candidates.heap[0]]


@compiled
def _offer(candidates, beam, trie, score, total, place, token):
    """Take a candidate in, in place of the worst one where there is no room."""
    if total == -np.inf or score < _worst(candidates):
        return
    size, full = candidates.size[0], candidates.size[0] == len(candidates.heap)
    if not full:
        candidates.heap[size] = size
        _write(candidates, size, score, total, place, token)
        candidates.size[0] += 1
        _rise(candidates, beam, trie, size)
        return
    worst = candidates.heap[0]
    if score > candidates.score[worst] or _precedes(
            trie, beam.node[place], token,
            beam.node[candidates.beam[worst]], candidates.token[worst]):
        _write(candidates, worst, score, total, place, token)
        _sink(candidates, beam, trie)


@compiled
def _write(candidates, index, score, total, place, token):
    candidates.score[index], candidates.total[index] = score, total
    candidates.beam[index], candidates.token[index] = place, token


@compiled
def _rise(candidates, beam, trie, child):
    """Restore the heap where the last entry may be worse than those above it."""
    heap = candidates.heap
    while child > 0:
        parent = (child - 1) // 2
        if not _is_worse(candidates, beam, trie, heap[child], heap[parent]):
            break
        heap[child], heap[parent] = heap[parent], heap[child]
        child = parent


@compiled
def _sink(candidates, beam, trie):
    """Restore the heap where its root may be better than those below it."""
    heap, parent, size = candidates.heap, 0, candidates.size[0]
    while 2 * parent + 1 < size:
        child = 2 * parent + 1
        if child + 1 < size and _is_worse(candidates, beam, trie, heap[child + 1], heap[child]):
            child += 1
        if not _is_worse(candidates, beam, trie, heap[child], heap[parent]):
            break
        heap[child], heap[parent] = heap[parent], heap[child]
        parent = child


@compiled
def _take_worst(candidates, beam, trie):
    worst = candidates.heap[0]
    candidates.size[0] -= 1
    candidates.heap[0] = candidates.heap[candidates.size[0]]
    _sink(candidates, beam, trie)
    return worst


@compiled
def _is_worse(candidates, beam, trie, one, other):
    if candidates.score[one] != candidates.score[other]:
        return candidates.score[one] < candidates.score[other]
    return _precedes(trie, beam.node[candidates.beam[other]], candidates.token[other],
                     beam.node[candidates.beam[one]], candidates.token[one])


@compiled
def _precedes(trie, node, token, other_node, other_token):
    """Whether a node's prefix with a token (or STAY) is the smaller sequence of the two."""
    depth = trie.depth[node] + (token != STAY)
    other_depth = trie.depth[other_node] + (other_token != STAY)
    smaller = depth < other_depth  # where one begins like the other
    while depth > other_depth:
        _, node, token = _without_last(trie, node, token)
        depth -= 1
    while other_depth > depth:
        _, other_node, other_token = _without_last(trie, other_node, other_token)
        other_depth -= 1
    while node != other_node or token != other_token:
        last, node, token = _without_last(trie, node, token)
        other_last, other_node, other_token = _without_last(trie, other_node, other_token)
        if last != other_last:
            smaller = last < other_last
    return smaller


@compiled
def _without_last(trie, node, token):
    """The last token of a node's prefix with a token (or STAY), and what is before it."""
    if token != STAY:
        return token, node, STAY
    return trie.token[node], trie.parent[node], STAY


# Compiled: prefixes


@compiled
def _choose(candidates, beam, stayed, following, trie, options, language):
    """Make the next beam of the candidates, best first."""
    following.size[0] = candidates.size[0]
    for place in range(candidates.size[0] - 1, -1, -1):
        index = _take_worst(candidates, beam, trie)
        origin, token = candidates.beam[index], candidates.token[index]
        following.node[place], following.total[place] = beam.node[origin], candidates.total[index]
        if token == STAY:
            following.blank[place] = stayed.blank[origin]
            following.token[place] = stayed.token[origin]
        else:
            following.node[place] = _child(trie, beam.node[origin], token, options, language)
            following.blank[place], following.token[place] = -np.inf, following.total[place]
    for place in range(beam.size[0]):
        trie.place[beam.node[place]] = NOTHING
    for place in range(following.size[0]):
        trie.place[following.node[place]] = place


@compiled
def _child(trie, parent, token, options, language):
    """The node of a prefix with one more token, new where there was none."""
    node = _find(trie, parent, token)
    if node != NOTHING:
        return node
    extra, state = _continue(trie, parent, token, options, language)
    node = _add_node(trie, parent, token, trie.depth[parent] + 1, extra, state)
    trie.slots[_slot(trie, parent, token)] = node
    return node


@compiled
def _add_node(trie, parent, token, depth, extra, state):
    node = trie.size[0]
    trie.size[0] += 1
    trie.parent[node], trie.token[node], trie.depth[node] = parent, token, depth
    trie.place[node], trie.extra[node], trie.state[node] = NOTHING, extra, state
    return node


@compiled
def _find(trie, parent, token):
    """The node of a prefix with one more token, or NOTHING."""
    return trie.slots[_slot(trie, parent, token)]


@compiled
def _slot(trie, parent, token):
    """Where the hash table has that node, or has room for it."""
    last = len(trie.slots) - 1
    key = parent * 2654435761 + token * 40503
    slot = (key ^ (key >> 17)) & last
    while trie.slots[slot] != NOTHING:
        node = trie.slots[slot]
        if trie.parent[node] == parent and trie.token[node] == token:
            break
        slot = (slot + 1) & last
    return slot


# Compiled: what was found


@compiled
def _read(log_probs, beam, trie, candidates, options, language):
    """The best of the last beam, now that the sentence has ended."""
    candidates.size[0] = 0
    for place in range(beam.size[0]):
        node, end = beam.node[place], 0.0
        if options.lm_weight > 0.0:
            end = options.lm_weight * _follow(language, trie.state[node], END)[0]
        score = beam.total[place] + (trie.extra[node] + end)
        _offer(candidates, beam, trie, score, beam.total[place], place, STAY)
    while candidates.size[0] > options.nbest:
        _take_worst(candidates, beam, trie)
    count = candidates.size[0]
    scores, lengths = np.empty(count), np.empty(count, np.int64)
    longest = trie.depth[:trie.size[0]].max()
    tokens = np.zeros((count, longest), np.int64)
    timesteps = np.zeros((count, longest), np.int64)
    for rank in range(count - 1, -1, -1):
        index = _take_worst(candidates, beam, trie)
        node = beam.node[candidates.beam[index]]
        scores[rank], lengths[rank] = candidates.score[index], trie.depth[node]
        _spell(trie, node, tokens[rank])
        _align(log_probs, tokens[rank, :lengths[rank]], timesteps[rank])
    return scores, lengths, tokens, timesteps


@compiled
def _spell(trie, node, tokens):
    while node != ROOT:
        tokens[trie.depth[node] - 1] = trie.token[node]
        node = trie.parent[node]


@compiled
def _align(log_probs, tokens, timesteps):
    """The frame at which each token begins in the most probable path that spells the tokens.

    Viterbi's algorithm over the blanks (even states) and tokens (odd ones) of Graves et al. 2006;
    it takes as many bytes as frames times states.
    """
    states = 2 * len(tokens) + 1
    scores = np.full(states, -np.inf)
    scores[0] = 0.0
    steps = np.zeros((len(log_probs), states), np.int8)  # by which each state was reached
    for time, frame in enumerate(log_probs):
        for state in range(states - 1, -1, -1):
            token = tokens[state // 2] if state % 2 else BLANK
            if state > 0 and scores[state - 1] > scores[state]:
                steps[time, state] = 1
            if state > 2 and state % 2 and tokens[state // 2 - 1] != token:
                if scores[state - 2] > scores[state - steps[time, state]]:
                    steps[time, state] = 2
            scores[state] = scores[state - steps[time, state]] + frame[token]
    state = states - 1
    if state > 0 and scores[state - 1] > scores[state]:
        state -= 1
    for time in range(len(log_probs) - 1, -1, -1):
        if state % 2:
            timesteps[state // 2] = time
        state -= steps[time, state]


@compiled
def _add_logs(one, other):
    """The logarithm of the sum of two numbers given by their logarithms."""
    high, low = max(one, other), min(one, other)
    return high if low == -np.inf else high + math.log1p(math.exp(low - high))
