"""Prefix beam search, compiled: the decoder to use.

It finds what `beam.plain_prefix_beam_search` finds, without looking at every token for every
prefix. Which ones can be left out? Let the beam hold W prefixes, the best first, and a frame's
tokens be in order of their log-probabilities p, the best first, of equal ones the smaller first;
count both from zero. A prefix of score s(i), with token k put to it, is a candidate (i, k) for the
next beam.

**A candidate (i, k) can be among the best W only if (i + 1) k <= W.** It scores s(i) + p(k) at most;
less where k is the prefix's own last token, which only the paths that end in a blank can repeat.
So in each of the rows 0 to i at least k of the k + 1 tokens 0 to k are no repetition, and lead to a
prefix that scores s(i) + p(k) or more. (If the beam holds that prefix already, it scores even more.)
These are different prefixes, (i + 1) k of them, and (i, k) may be one: (i + 1) k - 1 others are at
least as good. Where they are better, (i, k) is out as soon as there are W of them. Hence row i needs
its best W / (i + 1) + 1 tokens: about W ln W candidates in all, instead of W times the classes.

The search does not even count. It goes along each row until the highest score that a token there
can have is below the worst of the best W so far; the proof says how soon that happens. Equal scores
are decided by the smaller sequence of tokens, so with them it goes on, but never past the best
W + 1 tokens: in its own row, (i, k) has k - 1 better ones, or as good and smaller. With a language
model the order of p is not that of the scores. Then the bound has the most that the model can add,
and all tokens are looked at that may reach it.
"""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from ramospeech.decoding.alignment import align
from ramospeech.decoding.compiled_beam import Options, search
from ramospeech.decoding.hypothesis import Hypothesis
from ramospeech.language.ngram import Arrays, LanguageModel

__all__ = ["prefix_beam_search", "warm_up"]

Lengths = Tensor | Sequence[int] | int | None  # frames of each utterance; None: all of them

MOST_NODES = 1 << 24  # of a search: 1.2 GB
NORMALISED = 1e-3  # how far from 1 the probabilities of a frame may sum up
NO_LANGUAGE = Arrays(
    np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(1),
    np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64), 0, 0.0,
)


def prefix_beam_search(
    log_probs: Tensor,
    lengths: Lengths = None,
    beam_width: int = 30,
    nbest: int = 1,
    *,
    tokens_per_frame: int | None = None,
    skip_blanks_above: float | None = None,
    language_model: LanguageModel | None = None,
    lm_weight: float = 0.5,
    length_bonus: float = 0.0,
) -> list[Hypothesis] | list[list[Hypothesis]]:
    """Return the `nbest` best labellings found with a beam of `beam_width` prefixes, best first.

    `log_probs` is `(T, classes)`, for a list of hypotheses, or `(batch, T, classes)` with `lengths`
    `(batch,)`, for a list of such lists; class 0 is the blank. The score is the log-probability of all
    paths in the beam that collapse to the tokens: minus the CTC loss if the beam holds every prefix.
    Of equal scores, the smaller token sequence comes first. Timesteps are those of the best single path.

    With a `language_model` (shallow fusion), `lm_weight` times its log-probability and `length_bonus`
    per token are added to the score, which also selects the beam; the last frame adds the sentence end.

    Two options save time and can lose hypotheses: only the best `tokens_per_frame` tokens of a frame are
    considered, and a frame whose blank is more probable than `skip_blanks_above` counts as a blank.

    A batch is decoded in as many threads as PyTorch uses. The first call compiles, or loads compiled
    code: see `warm_up`. Raises ValueError for invalid arguments.
    """
    log_probs = torch.as_tensor(log_probs).detach().cpu()
    batch, counts = _check_log_probs(log_probs, lengths)
    options = _check_options(beam_width, nbest, tokens_per_frame, skip_blanks_above,
                             lm_weight if language_model else 0.0, length_bonus)
    options = _limit(options, max(counts, default=0), classes=batch.shape[2])
    found = _decode(batch, counts, options, _check_language(language_model, classes=batch.shape[2]))
    return found if log_probs.ndim == 3 else found[0]


def _decode(batch: Tensor, counts: list[int], options: Options, model: Arrays) -> list[list[Hypothesis]]:
    def decode(utterance: Tensor, length: int) -> list[Hypothesis]:
        frames = utterance[:length].double().contiguous().numpy()  # (T, classes)
        return _hypotheses(frames, *search(frames, options, model))

    if len(batch) <= 1:
        return list(map(decode, batch, counts))
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        return list(pool.map(decode, batch, counts))


def warm_up() -> float:
    """Compile the search, or load it from the cache; the seconds that compiling took, or 0."""
    started, compilations = time.perf_counter(), search.stats.cache_misses.total()
    prefix_beam_search(torch.zeros(1, 1))
    was_compiled = search.stats.cache_misses.total() > compilations
    return time.perf_counter() - started if was_compiled else 0.0


def _hypotheses(
    frames: np.ndarray, scores: np.ndarray, lengths: np.ndarray, tokens: np.ndarray
) -> list[Hypothesis]:
    """From `(T, classes)`, `(nbest,)` scores and lengths, `(nbest, longest)` tokens."""
    rows = [row[:length] for row, length in zip(tokens, lengths)]
    return [Hypothesis(row.tolist(), score, align(frames, row).tolist())
            for row, score in zip(rows, scores.tolist())]


# What is handed over


def _check_log_probs(log_probs: Tensor, lengths: Lengths) -> tuple[Tensor, list[int]]:
    """As a batch, with lengths as numbers."""
    if log_probs.ndim not in (2, 3) or log_probs.shape[-1] == 0:
        raise ValueError("log_probs must be (T, classes) or (batch, T, classes), not "
                         f"{tuple(log_probs.shape)}")
    if not log_probs.is_floating_point():
        raise ValueError(f"log_probs must be floating-point numbers, not {log_probs.dtype}")
    batch = log_probs if log_probs.ndim == 3 else log_probs[None]
    numbers = _check_lengths(lengths, *batch.shape[:2])
    sums = batch.float().exp().sum(dim=-1)  # (batch, T)
    counts = torch.arange(batch.shape[1]) < torch.tensor(numbers)[:, None]  # what is no padding
    wrong = (counts & ~((sums - 1).abs() <= NORMALISED)).nonzero().tolist()
    if wrong:
        utterance, frame = wrong[0]
        raise ValueError(f"utterance {utterance}, frame {frame}: not normalised log-probabilities: "
                         f"the probabilities sum to {sums[utterance, frame]:g}")
    return batch, numbers


def _check_lengths(lengths: Lengths, utterances: int, frames: int) -> list[int]:
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
        if not isinstance(number, Integral) or isinstance(number, bool) or number < 1:
            raise ValueError(f"{name} must be a whole number above 0, not {number!r}")
    if not (skip_blanks_above is None or 0 < skip_blanks_above <= 1):
        raise ValueError(f"skip_blanks_above must be a probability, not {skip_blanks_above}")
    if not (0 <= lm_weight < math.inf and math.isfinite(length_bonus)):
        raise ValueError("lm_weight must be finite and not negative, length_bonus finite, not "
                         f"{lm_weight} and {length_bonus}")
    skip = math.inf if skip_blanks_above is None else math.log(skip_blanks_above)
    return Options(beam_width, nbest, tokens, skip, float(lm_weight), float(length_bonus))


def _check_language(model: LanguageModel | None, classes: int) -> Arrays:
    if model is None:
        return NO_LANGUAGE
    if len(model.vocabulary) != classes:
        raise ValueError(f"a language model of another vocabulary: it has {len(model.vocabulary)} "
                         f"classes, the log-probabilities {classes}")
    return model.arrays


def _limit(options: Options, frames: int, classes: int) -> Options:
    """No more than there can be, so that nothing too large is reserved."""
    width = min(options.beam_width, _count_prefixes(frames, classes))
    if frames * width > MOST_NODES:
        raise ValueError(f"a beam_width of {width:,} over {frames:,} frames is too much: their "
                         f"product can be {MOST_NODES:,}")
    return options._replace(beam_width=width, nbest=min(options.nbest, width),
                            most_tokens=min(options.most_tokens, classes - 1))


def _count_prefixes(frames: int, classes: int) -> int:
    """How many sequences of up to `frames` tokens there are; at some point, enough."""
    count = 1
    for _ in range(frames):
        count = 1 + count * (classes - 1)
        if count > 2 * MOST_NODES or classes == 1:
            break
    return count
