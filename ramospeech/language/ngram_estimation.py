"""Estimate language models from text: count, smooth and prune n-grams."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from ramospeech.language.ngram import BEGIN, END, NEVER, LanguageModel, Ngram, Weights
from ramospeech.language.pinyin import is_syllable
from ramospeech.language.vocabulary import Vocabulary

__all__ = ["estimate", "prune"]


def estimate(
    sentences: Iterable[Sequence[str]], vocabulary: Vocabulary, order: int = 2,
    weights: Iterable[float] | None = None,
) -> LanguageModel:
    """Estimate an n-gram model from sentences (lists of syllables) with Witten-Bell smoothing.

    P(w | h) = (c(hw) + t(h) P(w | h')) / (c(h) + t(h)), where c counts, t(h) is the number of
    different tokens seen after h, and h' is h without its first token; the last backoff is to the
    uniform distribution (method C of Witten and Bell 1991, interpolated as in Chen and Goodman 1998,
    section 2.5). Unlike Kneser-Ney smoothing, it can use fractional counts: `weights` are the number
    of occurrences of each sentence. Raises ValueError, naming the sentence, for invalid syllables.
    """
    if order < 1:
        raise ValueError(f"the order of a language model is 1 at least, not {order}")
    counts = _count_ngrams(sentences, vocabulary, order, weights)
    seen: defaultdict[Ngram, float] = defaultdict(float)  # c(h)
    different: Counter[Ngram] = Counter()  # t(h)
    for ngram, count in counts.items():
        seen[ngram[:-1]] += count
        different[ngram[:-1]] += 1

    probs: dict[Ngram, float] = {}
    for token in range(len(vocabulary)):
        counts.setdefault((token,), 0.0)
    for ngram in sorted(counts, key=len):
        context = ngram[:-1]
        shorter = probs[ngram[1:]] if context else 1 / len(vocabulary)
        probs[ngram] = ((counts[ngram] + different[context] * shorter)
                        / (seen[context] + different[context]))
    backoffs = {context: math.log(different[context] / (seen[context] + different[context]))
                for context in seen}
    ngrams = {(BEGIN,): Weights(NEVER, backoffs.get((BEGIN,), 0.0))}
    return LanguageModel(vocabulary, ngrams | {
        ngram: Weights(math.log(prob), backoffs.get(ngram, 0.0)) for ngram, prob in probs.items()})


def _count_ngrams(
    sentences: Iterable[Sequence[str]], vocabulary: Vocabulary, order: int,
    weights: Iterable[float] | None,
) -> dict[Ngram, float]:
    """Count every sequence of up to `order` tokens that does not end with `<s>`."""
    counts: defaultdict[Ngram, float] = defaultdict(float)
    sentences = list(sentences)
    weights = [1.0] * len(sentences) if weights is None else list(weights)
    for number, (syllables, weight) in enumerate(zip(sentences, weights, strict=True), start=1):
        _check_sentence(number, syllables, weight)
        tokens = (BEGIN, *vocabulary.encode(syllables), END)
        for end in range(2, len(tokens) + 1):
            for start in range(max(0, end - order), end):
                counts[tokens[start:end]] += weight
    if not counts:
        raise ValueError("a language model needs at least one sentence")
    return counts


def _check_sentence(number: int, syllables: Sequence[str], weight: float) -> None:
    wrong = [syllable for syllable in syllables if not is_syllable(syllable)]
    if wrong:
        raise ValueError(f"sentence {number}: {wrong[0]!r} is not a toned pinyin syllable")
    if not 0 < weight < math.inf:
        raise ValueError(f"sentence {number}: a weight is more than 0, not {weight}")


def prune(model: LanguageModel, most: int) -> LanguageModel:
    """Prune a bigram model to the `most` bigrams that differ most from their backoff.

    The criterion for a bigram hw is P(h) P(w | h) |log P(w | h) - log P'(w | h)|, where P' backs off
    (the weighted difference of Seymore and Rosenfeld 1996); `<s>` is as frequent as `</s>`. Backoff
    weights are recomputed, so that the probabilities after each token sum to 1.
    """
    if model.order != 2:
        raise ValueError(f"only a bigram model can be pruned, not one of order {model.order}")
    single = {ngram[0]: weights for ngram, weights in model.ngrams.items() if len(ngram) == 1}

    def weight(bigram: Ngram) -> float:
        before, after = bigram
        log_prob = model.ngrams[bigram].log_prob
        backed_off = single[before].backoff + single[after].log_prob
        often = single[END if before == BEGIN else before].log_prob
        return math.exp(often + log_prob) * abs(log_prob - backed_off)

    bigrams = [ngram for ngram in model.ngrams if len(ngram) == 2]
    ranked = sorted(bigrams, key=weight)
    kept = {bigram: model.ngrams[bigram] for bigram in ranked[max(0, len(ranked) - most):]}
    left: defaultdict[int, float] = defaultdict(lambda: 1.0)  # the mass of pruned bigrams
    free: defaultdict[int, float] = defaultdict(lambda: 1.0)
    for (before, after), weights in kept.items():
        left[before] -= math.exp(weights.log_prob)
        free[before] -= math.exp(single[after].log_prob)
    ngrams: dict[Ngram, Weights] = {
        (token,): Weights(weights.log_prob, math.log(left[token] / free[token])
                          if free[token] > 1e-9 else 0.0)  # every token is seen: no mass is left
        for token, weights in single.items()}
    return LanguageModel(model.vocabulary, ngrams | kept)
