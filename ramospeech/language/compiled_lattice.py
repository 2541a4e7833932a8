"""The word lattice of a long run of syllables, compiled by numba. Read `word_lattice` first.

Words and hanzi are numbers here. An entry is a word with one of its pronunciations; a node is an arc
that survived pruning. numba caches a function by its own file only, so everything that is compiled
together is in this file. Related values are records of an array: see `compiled_beam`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

import numpy as np

from ramospeech.language.word_lattice import (
    BEAM_SIZE, ConfusionSet, WordSequence, check_coverage, match_words,
)
from ramospeech.language.word_model import BEGIN, BILLION, LONGEST, WordModel, parse_row
from ramospeech.utils.compiler import compiled

__all__ = ["NOTHING", "CompiledLattice", "WordModelArrays"]

BASE = np.uint64(6364136223846793005)  # of the polynomial hash of a spelling
NOTHING = -1
ROOT = 0  # the node before the first syllable

ENTRY = np.dtype([
    ("word", np.int64),
    ("first", np.int64),  # its first hanzi with this pronunciation
    ("last", np.int64),  # its last hanzi
    ("length", np.int64),  # hanzi
    ("spelling", np.uint64),  # the hash of its hanzi
    ("frequency", np.float64),  # the logarithm of the word's, over all pronunciations
    ("pronunciation", np.float64),  # the logarithm of P(pronunciation | word)
])
ROW = np.dtype([  # of a table of pairs: what was seen after a word or a hanzi
    ("low", np.int64), ("high", np.int64),  # the range of its followers
    ("different", np.float64),  # the number of its followers
    ("total", np.float64),  # their summed counts
])
FOLLOWER = np.dtype([("number", np.int64), ("value", np.float64)])  # sorted by number
SPAN = np.dtype([  # a pronunciation over syllables: an arc for each entry from `low` to `high`
    ("end", np.int64), ("start", np.int64), ("low", np.int64), ("high", np.int64),
    ("acoustic", np.float64),
])
ARC = np.dtype([
    ("entry", np.int64), ("start", np.int64), ("acoustic", np.float64),
    ("forward", np.float64),  # the logarithm of the sum over all paths that end with it
])
NODE = np.dtype([
    ("entry", np.int64), ("start", np.int64), ("acoustic", np.float64),
    ("forward", np.float64),
    ("low", np.int64), ("high", np.int64),  # the range of words seen after it
    ("new", np.float64),  # the mass of unseen words
    ("total", np.float64),  # with that mass
    ("unseen", np.float64),  # the logarithm of the share of unseen words
    ("hanzi", np.float64),  # the weight of the PMI; 0 after BEGIN
    ("hanzi_low", np.int64), ("hanzi_high", np.int64),  # the range of hanzi seen after its last one
    ("pmi", np.float64),  # of its last hanzi and those not seen after it
])
HYPOTHESIS = np.dtype([  # a spelling up to a node
    ("score", np.float64),  # of its best path; -inf: none
    ("spelling", np.uint64),  # the hash of all hanzi up to here
    ("node", np.int64), ("rank", np.int64),  # the previous node, and the rank of the hypothesis there
])


class Tables(NamedTuple):
    """The arrays of a word model that compiled code reads."""

    entries: np.ndarray
    words: np.ndarray  # a ROW for each word
    after_words: np.ndarray  # FOLLOWERs: entries, with the counts of their words
    hanzi: np.ndarray  # a ROW for each hanzi
    after_hanzi: np.ndarray  # FOLLOWERs: hanzi with a pronunciation, with their PMI


# From a word model to arrays


@dataclass(frozen=True)
class WordModelArrays:
    """A word model as arrays."""

    model: WordModel
    names: list[str]  # of the entries
    rows: dict[str, tuple[int, int]]  # from a pronunciation to the range of its entries
    tables: Tables

    @classmethod
    def from_model(cls, model: WordModel) -> "WordModelArrays":
        """Convert a model; takes one or two seconds."""
        names, counts, sizes = _flat(model.words.values())
        words = _number([BEGIN, *names])
        hanzi = _number(sorted({name[0] for name in names} | {name[-1] for name in names}))
        entries = _entries(names, counts, words, hanzi)
        # Followers are numbered so that those with equal pronunciations are adjacent: see `_weigh`.
        begun = [reading.split(" ", 1)[0] for reading in model.words]
        syllables = np.repeat(np.array([*map(_number(begun).get, begun)], np.int64), sizes)
        as_read, entries["first"] = np.unique(
            syllables * len(hanzi) + entries["first"], return_inverse=True)
        tables = Tables(entries, *_pairs(model.word_pairs, words, entries["word"]),
                        *_pmi_table(model.hanzi_pairs, hanzi, as_read % max(1, len(hanzi))))
        ends = accumulate(sizes, initial=0)
        return cls(model, names, dict(zip(model.words, pairwise(ends))), tables)


def _flat(rows: Iterable[str]) -> tuple[list[str], np.ndarray, list[int]]:
    """Return the names of all rows, their counts, and the number of names of each row."""
    rows = list(rows)
    fields = " ".join(filter(None, rows)).split(" ") if any(rows) else []
    return (fields[::2], np.array(fields[1::2], np.int64).astype(float),
            [(row.count(" ") + 1) // 2 for row in rows])


def _number(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _entries(
    names: list[str], counts: np.ndarray, words: dict[str, int], hanzi: dict[str, int]
) -> np.ndarray:
    entries = np.zeros(len(names), ENTRY)
    entries["word"] = [words[name] for name in names]
    entries["first"] = [hanzi[name[0]] for name in names]
    entries["last"] = [hanzi[name[-1]] for name in names]
    entries["length"] = length = np.array([len(name) for name in names])
    signs = np.array(names, f"<U{LONGEST}").view("<u4").reshape(len(names), LONGEST)
    for place in range(LONGEST):
        longer = place < length
        entries["spelling"][longer] = (entries["spelling"] * BASE + signs[:, place])[longer]
    # A single hanzi counts with all its pronunciations; a longer word has only one.
    total = np.where(length == 1, np.bincount(entries["word"], counts)[entries["word"]], counts)
    entries["frequency"], entries["pronunciation"] = np.log(total / BILLION), np.log(counts / total)
    return entries


def _pairs(
    table: dict[str, str], numbers: dict[str, int], names_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and their followers with each pronunciation.

    `names_of[i]` is the number of the name that follower i stands for. Names without a number are
    counted, but are no followers.
    """
    table = {name: row for name, row in table.items() if name in numbers}
    names, counts, sizes = _flat(table.values())
    first = np.repeat(np.array([numbers[name] for name in table], np.int64), sizes)
    after = np.array([numbers.get(name, NOTHING) for name in names], np.int64)
    rows = np.zeros(len(numbers), ROW)
    rows["different"] = np.bincount(first, minlength=len(numbers))
    rows["total"] = np.bincount(first, counts, len(numbers))
    known = after != NOTHING
    low, high = (bound[after[known]] for bound in _bounds(names_of, len(numbers)))
    after = np.argsort(names_of, kind="stable")[_ranges(low, high)]
    first, counts = (np.repeat(column[known], high - low) for column in (first, counts))
    rows["low"], rows["high"] = _bounds(first, len(numbers))
    order = np.argsort(first * len(names_of) + after)
    followers = np.zeros(len(order), FOLLOWER)
    followers["number"], followers["value"] = after[order], counts[order]
    return rows, followers


def _bounds(numbers: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of each of `many` numbers in the sorted array."""
    size = np.bincount(numbers, minlength=many)
    return np.cumsum(size) - size, np.cumsum(size)


def _ranges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the numbers from each `low` to its `high`, concatenated."""
    size = high - low
    return np.arange(size.sum()) + np.repeat(high - np.cumsum(size), size)


def _pmi_table(
    table: dict[str, str], numbers: dict[str, int], names_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute `WordModel.pmi` of all pairs; `different` becomes that of unseen pairs."""
    rows, followers = _pairs(table, numbers, names_of)
    every = parse_row(table.get(BEGIN, ""))
    alone = np.array([every.get(sign, 1) for sign in numbers]) / max(1, sum(every.values()))
    alone = alone[names_of[followers["number"]]]
    first = np.repeat(np.arange(len(numbers)), rows["high"] - rows["low"])
    different, total = rows["different"][first], rows["total"][first]
    followers["value"] = np.log((followers["value"] + different * alone) / (total + different) / alone)
    seen = rows["total"] > 0
    rows["different"][seen] = np.log(rows["different"][seen] / (
        rows["total"][seen] + rows["different"][seen]))
    return rows, followers


# A run of syllables


@dataclass(frozen=True)
class CompiledLattice:
    """Like `Lattice`, with the same results, but fast for long runs of syllables."""

    arrays: WordModelArrays
    ends: np.ndarray  # (positions + 2,): nodes ends[p] to ends[p + 1] end at position p
    nodes: np.ndarray  # (nodes,)
    hypotheses: np.ndarray  # (nodes, nbest), best first
    end: int  # the last position

    @classmethod
    def build(cls, sets: Sequence[ConfusionSet], arrays: WordModelArrays, nbest: int = 1,
              beam_size: int = BEAM_SIZE, previous: int = NOTHING) -> "CompiledLattice":
        """Search with `nbest` hypotheses per node; `previous` is the entry of the previous word.

        Raises ValueError, naming the position, if no word matches there.
        """
        ends, spans = _spans(sets, arrays)
        weights = arrays.model.weights
        node_ends, nodes, hypotheses = search(
            ends, spans, arrays.tables, previous, weights.unseen, weights.pmi, beam_size, nbest)
        return cls(arrays, node_ends, nodes, hypotheses, len(sets))

    def up_to(self, most: int) -> "CompiledLattice":
        """Return the part that ends with a word of the best path, at position `most` at the latest.

        It is the longest part whose own best path agrees with the best path of the whole.
        """
        words = self.best(1)[0].words
        parts = [CompiledLattice(self.arrays, self.ends, self.nodes, self.hypotheses, end)
                 for end in accumulate(map(len, words)) if end <= most]
        agreeing = (part for part in reversed(parts)
                    if (best := part.best(1)[0].words) == words[:len(best)])
        return next(agreeing, parts[-1])

    @property
    def _last(self) -> range:
        return range(*self.ends[self.end:self.end + 2].tolist())

    @property
    def total(self) -> float:
        """The logarithm of the summed weight of all paths (the forward algorithm)."""
        return float(np.logaddexp.reduce(self.nodes["forward"][self._last]))

    @property
    def last_entry(self) -> int:
        """The entry of the last word of the best path."""
        best = max(self._last, key=lambda node: self.hypotheses["score"][node, 0])
        return int(self.nodes["entry"][best])

    def best(self, count: int | None = None) -> list[WordSequence]:
        """Return the `count` best sequences with different hanzi, or all, without syllables."""
        ranks = self.hypotheses.shape[1]
        nbest = count or ranks
        scored = [(float(self.hypotheses["score"][node, rank]), node, rank)
                  for node in self._last for rank in range(ranks)]
        different: dict[str, WordSequence] = {}
        for score, node, rank in sorted(scored, key=lambda item: -item[0]):
            if score > -inf and len(different) < nbest:
                sequence = WordSequence(self._words(node, rank), (), score)
                different.setdefault(sequence.hanzi, sequence)
        return list(different.values())

    def _words(self, node: int, rank: int) -> tuple[str, ...]:
        entries, nodes, ranks = self.nodes["entry"], self.hypotheses["node"], self.hypotheses["rank"]
        words = []
        while node != ROOT:
            words.append(self.arrays.names[entries[node]])
            node, rank = nodes[node, rank], ranks[node, rank]
        return tuple(reversed(words))

    def log_prob(self, hanzi: str) -> float:
        """Return the logarithm of the share of all paths, by weight, that spell `hanzi`."""
        signs = np.array([hanzi], f"<U{len(hanzi)}").view("<u4")
        sums = spelt(self.ends, self.nodes, self.arrays.tables, signs)
        return float(np.logaddexp.reduce(sums[self._last])) - self.total


def _spans(sets: Sequence[ConfusionSet], arrays: WordModelArrays) -> tuple[np.ndarray, np.ndarray]:
    """Return spans sorted by end, and ends: spans `ends[p]` to `ends[p + 1]` end at position p."""
    rows = [(end, start, *arrays.rows.get(" ".join(pronunciation), (0, 0)), acoustic)
            for start, end, pronunciation, _, acoustic in match_words(sets, arrays.model)]
    spans = np.array(rows, SPAN)
    spans = spans[np.argsort(spans["end"], kind="stable")]
    spans = spans[spans["low"] < spans["high"]]
    check_coverage(sets, set(spans["end"][spans["end"] - spans["start"] == 1].tolist()))
    return np.searchsorted(spans["end"], np.arange(len(sets) + 2)), spans


# Compiled


@compiled
def search(span_ends, spans, tables, previous, unseen, hanzi, beam_size, nbest):
    """Return ends, nodes and hypotheses, as in `CompiledLattice`."""
    positions = len(span_ends) - 2
    most = 1 + positions * beam_size + _size(spans[span_ends[-2]:])
    ends, nodes = np.zeros(positions + 2, np.int64), np.zeros(most, NODE)
    hypotheses = np.zeros((most, nbest), HYPOTHESIS)
    for node in range(most):
        for rank in range(nbest):
            hypotheses[node, rank]["score"] = -np.inf
    hypotheses[ROOT, 0]["score"] = 0.0
    _set_context(nodes[ROOT], previous, tables, unseen, hanzi)
    ends[1] = size = 1
    for position in range(1, positions + 1):
        ending = spans[span_ends[position]:span_ends[position + 1]]
        arcs, weights = _arcs(ending, ends, nodes, tables, beam_size)
        order = np.argsort(-arcs["forward"], kind="mergesort")
        for one in order if position == positions else order[:beam_size]:
            node, arc = nodes[size], arcs[one]
            node["start"], node["forward"] = arc["start"], arc["forward"]
            node["acoustic"] = arc["acoustic"]
            _set_context(node, arc["entry"], tables, unseen, hanzi)
            _extend_hypotheses(hypotheses[size], hypotheses, ends[arc["start"]],
                               ends[arc["start"] + 1], weights[one], tables.entries[arc["entry"]])
            size += 1
        ends[position + 1] = size
    return ends, nodes[:size], hypotheses[:size]


@compiled
def spelt(ends, nodes, tables, signs):
    """Return, for each node, the logarithm of the sum over the paths that spell these hanzi."""
    sums = np.full(len(nodes), -np.inf)
    sums[ROOT] = 0.0
    spans, weights = np.empty(1, SPAN), np.empty((1, len(nodes)))
    for position in range(1, len(signs) + 1):
        for number in range(ends[position], ends[position + 1]):
            node = nodes[number]
            if tables.entries[node["entry"]]["spelling"] == _spelling(signs, node["start"], position):
                total = -np.inf
                spans[0]["low"], spans[0]["high"] = node["entry"], node["entry"] + 1
                spans[0]["acoustic"] = node["acoustic"]
                low, high = ends[node["start"]], ends[node["start"] + 1]
                _weigh(weights, nodes[low:high], spans[0], tables.entries, tables.after_words,
                       tables.after_hanzi)
                for old in range(low, high):
                    if sums[old] > -np.inf:
                        total = np.logaddexp(total, sums[old] + weights[0, old - low])
                sums[number] = total
    return sums


@compiled
def _spelling(signs, start, end):
    number = np.uint64(0)
    for place in range(start, end):  # no slice: one for each node takes longer than the rest
        number = number * BASE + np.uint64(signs[place])
    return number


@compiled
def _set_context(node, entry, tables, unseen, hanzi):
    """Look up what may follow an entry; NOTHING stands for BEGIN."""
    node["entry"] = entry
    word = tables.words[0 if entry == NOTHING else tables.entries[entry]["word"]]
    node["new"] = unseen * word["different"]
    node["total"] = word["total"] + node["new"]
    if node["new"] > 0:
        node["low"], node["high"] = word["low"], word["high"]
        node["unseen"] = np.log(node["new"] / node["total"])
    if entry != NOTHING:
        last = tables.hanzi[tables.entries[entry]["last"]]
        node["hanzi"], node["pmi"] = hanzi, last["different"]
        node["hanzi_low"], node["hanzi_high"] = last["low"], last["high"]


@compiled
def _size(spans):
    size = 0
    for span in spans:
        size += span["high"] - span["low"]
    return size


@compiled
def _arcs(spans, ends, nodes, tables, beam_size):
    """Return the arcs of spans, and their weights after each of the previous nodes."""
    size = _size(spans)
    arcs, weights = np.empty(size, ARC), np.empty((size, beam_size))
    low = 0
    for span in spans:
        high = low + span["high"] - span["low"]
        before = nodes[ends[span["start"]]:ends[span["start"] + 1]]
        _weigh(weights[low:high], before, span, tables.entries, tables.after_words, tables.after_hanzi)
        for one in range(low, high):
            arcs[one]["entry"] = span["low"] + one - low
            arcs[one]["start"], arcs[one]["acoustic"] = span["start"], span["acoustic"]
            arcs[one]["forward"] = _sum(before, weights[one])
        low = high
    return arcs, weights


@compiled
def _weigh(weights, before, span, entries, after_words, after_hanzi):
    """Write the weights of a span's arcs after each previous node, by the formula of `WordModel`.

    Followers with equal pronunciations are adjacent, so those of the span are found once per node and
    then merged. Looking up each arc by itself takes three times as long.
    """
    first, entries = span["low"], entries[span["low"]:span["high"]]
    lowest = entries["first"].min()
    pmi, other = np.empty(entries["first"].max() + 1 - lowest), np.empty(len(entries))
    for old in range(len(before)):
        node = before[old]
        _read_pmi(pmi, node, lowest, after_hanzi)
        for one in range(len(entries)):
            other[one] = (entries[one]["frequency"]
                          + node["hanzi"] * pmi[entries[one]["first"] - lowest])
            weights[one, old] = span["acoustic"] + entries[one]["pronunciation"] + (
                other[one] + node["unseen"])
        index = _lower(after_words, node["low"], node["high"], first)
        while index < node["high"] and after_words[index]["number"] < span["high"]:
            one = after_words[index]["number"] - first
            weights[one, old] = span["acoustic"] + entries[one]["pronunciation"] + np.log((
                after_words[index]["value"] + node["new"] * np.exp(other[one])) / node["total"])
            index += 1


@compiled
def _read_pmi(pmi, node, lowest, after_hanzi):
    """Write the PMI of a node's last hanzi and each of those numbered from `lowest` on."""
    pmi[:] = node["pmi"]
    index = _lower(after_hanzi, node["hanzi_low"], node["hanzi_high"], lowest)
    while index < node["hanzi_high"] and after_hanzi[index]["number"] < lowest + len(pmi):
        pmi[after_hanzi[index]["number"] - lowest] = after_hanzi[index]["value"]
        index += 1


@compiled
def _lower(followers, low, high, number):
    """Return the first index from `low` on whose number is not less; `high` if there is none."""
    while low < high:
        middle = (low + high) // 2
        if followers[middle]["number"] < number:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _sum(before, weights):
    """Return the logarithm of the sum over all paths that end with an arc."""
    highest, total = -np.inf, 0.0
    for old in range(len(before)):
        highest = max(highest, before[old]["forward"] + weights[old])
    for old in range(len(before)):
        total += np.exp(before[old]["forward"] + weights[old] - highest)
    return highest + np.log(total)


@compiled
def _extend_hypotheses(found, hypotheses, low, high, weights, entry):
    """Write the best different hypotheses up to a node."""
    for old in range(low, high):
        for rank in range(len(found)):
            score = hypotheses[old, rank]["score"] + weights[old - low]
            if not score > found[-1]["score"]:
                break
            spelling = hypotheses[old, rank]["spelling"]
            for _ in range(entry["length"]):
                spelling *= BASE
            _insert(found, score, spelling + entry["spelling"], old, rank)


@compiled
def _insert(found, score, spelling, node, rank):
    """Insert a hypothesis by its score, unless its spelling has a better path."""
    low = 0
    while low < len(found) - 1 and found[low]["spelling"] != spelling:
        low += 1  # to the same hanzi, or to the last one
    if not score > found[low]["score"]:
        return
    while low > 0 and score > found[low - 1]["score"]:
        found[low] = found[low - 1]
        low -= 1
    found[low]["score"], found[low]["spelling"] = score, spelling
    found[low]["node"], found[low]["rank"] = node, rank
