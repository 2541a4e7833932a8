"""Prefix beam search, compiled: the decoder for real use.

It returns the same as `reference_beam.plain_prefix_beam_search`, but does not extend every prefix by
every token. Let the beam hold W prefixes, best first, with scores s(i), and let p(k) be the frame's
log-probabilities, best first (of equal ones the smaller token first); both count from zero. Prefix i
extended by token k is the candidate (i, k) for the next beam.

**A candidate (i, k) can be among the best W only if (i + 1) k <= W.** Its score is at most s(i) + p(k);
it is lower if k is the last token of the prefix, since only paths that end in a blank can repeat it.
So in each row 0 to i, at least k of the tokens 0 to k are not repetitions and give a prefix that
scores s(i) + p(k) or more (even more if that prefix is in the beam already). These are (i + 1) k
different prefixes, one of which may be (i, k) itself: at least (i + 1) k - 1 others are as good. If W
others are better, (i, k) is out. Hence row i needs its best W / (i + 1) + 1 tokens: about W ln W
candidates in total, instead of W times the number of classes.

The search does not count them: it follows each row until the upper bound of the score is below the
worst of the best W candidates so far; the proof says how soon that is. Ties are broken in favour of
the smaller token sequence, so a row continues over equal scores, but never past its best W + 1 tokens:
(i, k) has k - 1 candidates in its own row that are better, or equal and smaller. With a language model
p does not determine the order of the scores: the bound then includes the most that the model can add,
and every token that may reach it is tried.
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

MOST_NODES = 1 << 24  # per search: 1.2 GB
NORMALISED = 1e-3  # tolerance of the sum of a frame's probabilities
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
    """Compile the search or load it from the cache; return the seconds of compilation, or 0."""
    started, compilations = time.perf_counter(), search.stats.cache_misses.total()
    prefix_beam_search(torch.zeros(1, 1))
    was_compiled = search.stats.cache_misses.total() > compilations
    return time.perf_counter() - started if was_compiled else 0.0


def _hypotheses(
    frames: np.ndarray, scores: np.ndarray, lengths: np.ndarray, tokens: np.ndarray
) -> list[Hypothesis]:
    """Frames are `(T, classes)`, scores and lengths `(nbest,)`, tokens `(nbest, longest)`."""
    rows = [row[:length] for row, length in zip(tokens, lengths)]
    return [Hypothesis(row.tolist(), score, align(frames, row).tolist())
            for row, score in zip(rows, scores.tolist())]


# Arguments


def _check_log_probs(log_probs: Tensor, lengths: Lengths) -> tuple[Tensor, list[int]]:
    """Return log-probabilities `(batch, T, classes)` and the length of each utterance."""
    if log_probs.ndim not in (2, 3) or log_probs.shape[-1] == 0:
        raise ValueError("log_probs must be (T, classes) or (batch, T, classes), not "
                         f"{tuple(log_probs.shape)}")
    if not log_probs.is_floating_point():
        raise ValueError(f"log_probs must be floating-point numbers, not {log_probs.dtype}")
    batch = log_probs if log_probs.ndim == 3 else log_probs[None]
    numbers = _check_lengths(lengths, *batch.shape[:2])
    sums = batch.float().exp().sum(dim=-1)  # (batch, T)
    counts = torch.arange(batch.shape[1]) < torch.tensor(numbers)[:, None]  # not padding
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
    """Limit the beam to the number of possible prefixes, to allocate no more than needed."""
    width = min(options.beam_width, _count_prefixes(frames, classes))
    if frames * width > MOST_NODES:
        raise ValueError(f"a beam_width of {width:,} over {frames:,} frames is too much: their "
                         f"product can be {MOST_NODES:,}")
    return options._replace(beam_width=width, nbest=min(options.nbest, width),
                            most_tokens=min(options.most_tokens, classes - 1))


def _count_prefixes(frames: int, classes: int) -> int:
    """Count the sequences of up to `frames` tokens; stop when there are more than enough."""
    count = 1
    for _ in range(frames):
        count = 1 + count * (classes - 1)
        if count > 2 * MOST_NODES or classes == 1:
            break
    return count
