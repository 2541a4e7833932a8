"""The lattice of words of a long run of syllables, compiled by numba. Read `word_lattice` first.

Words and hanzi are numbers here. An entry is a word in one of its readings; a node is an arc that
others may follow, or that ends the run. All that is compiled together is in this file, and what
belongs together is a record of an array: see `compiled_beam`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import NamedTuple

import numpy as np

from ramospeech.language.word_lattice import KEPT, Slot, Writing, grow_words, refuse_gaps
from ramospeech.language.word_model import BEGIN, BILLION, LONGEST, WordModel, parse_row
from ramospeech.utils.compiler import compiled

__all__ = ["NOTHING", "LongLattice", "Numbers"]

BASE = np.uint64(6364136223846793005)  # of the polynomial that tells rows of hanzi apart
NOTHING = -1
ROOT = 0  # the node before the first syllable

ENTRY = np.dtype([
    ("word", np.int64),
    ("first", np.int64),  # its first hanzi, as it is read here
    ("last", np.int64),  # its last hanzi
    ("length", np.int64),  # hanzi
    ("spelling", np.uint64),  # its hanzi as one number
    ("frequency", np.float64),  # the logarithm of the word's, in all readings
    ("reading", np.float64),  # the logarithm of the share of this reading
])
ROW = np.dtype([  # of a table of pairs: what was seen after a word or a hanzi
    ("low", np.int64), ("high", np.int64),  # its followers, from and to
    ("different", np.float64),  # how many there are
    ("total", np.float64),  # how often they were seen
])
FOLLOWER = np.dtype([("number", np.int64), ("value", np.float64)])  # in the order of the numbers
SPAN = np.dtype([  # syllables as dictionaries write them: an arc for each entry from `low` to `high`
    ("end", np.int64), ("start", np.int64), ("low", np.int64), ("high", np.int64),
    ("sound", np.float64),
])
ARC = np.dtype([
    ("entry", np.int64), ("start", np.int64), ("sound", np.float64),
    ("forward", np.float64),  # the logarithm of the sum over all paths that end with it
])
NODE = np.dtype([
    ("entry", np.int64), ("start", np.int64), ("sound", np.float64),
    ("forward", np.float64),
    ("low", np.int64), ("high", np.int64),  # the words seen after it
    ("new", np.float64),  # how much speaks for others
    ("total", np.float64),  # with those
    ("unseen", np.float64),  # the logarithm of the share of others
    ("hanzi", np.float64),  # how much the attraction of hanzi counts; nothing after BEGIN
    ("hanzi_low", np.int64), ("hanzi_high", np.int64),  # the hanzi seen after its last one
    ("attraction", np.float64),  # of its last hanzi, for those not seen after it
])
WAY = np.dtype([  # of writing up to a node
    ("score", np.float64),  # of its best path; -inf: none
    ("spelling", np.uint64),  # all hanzi up to here, as one number
    ("node", np.int64), ("place", np.int64),  # the node before, and which of that one's ways
])


class Tables(NamedTuple):
    """A word model for compiled code."""

    entries: np.ndarray
    words: np.ndarray  # a ROW for each word
    after_words: np.ndarray  # FOLLOWERs: entries, with how often their words were seen
    hanzi: np.ndarray  # a ROW for each hanzi
    after_hanzi: np.ndarray  # FOLLOWERs: hanzi as they are read, with their attraction


# From a word model to arrays


@dataclass(frozen=True)
class Numbers:
    """A word model in numbers."""

    model: WordModel
    names: list[str]  # of the entries
    rows: dict[str, tuple[int, int]]  # for each reading its entries, from and to
    tables: Tables

    @classmethod
    def of(cls, model: WordModel) -> "Numbers":
        """Takes a second or two."""
        names, counts, sizes = _flat(model.words.values())
        words = _number([BEGIN, *names])
        hanzi = _number(sorted({name[0] for name in names} | {name[-1] for name in names}))
        entries = _entries(names, counts, words, hanzi)
        # Followers are numbered so that those which are read alike lie together: see `_weigh`.
        begun = [reading.split(" ", 1)[0] for reading in model.words]
        syllables = np.repeat(np.array([*map(_number(begun).get, begun)], np.int64), sizes)
        as_read, entries["first"] = np.unique(
            syllables * len(hanzi) + entries["first"], return_inverse=True)
        tables = Tables(entries, *_pairs(model.word_pairs, words, entries["word"]),
                        *_attractions(model.hanzi_pairs, hanzi, as_read % max(1, len(hanzi))))
        ends = accumulate(sizes, initial=0)
        return cls(model, names, dict(zip(model.words, pairwise(ends))), tables)


def _flat(rows: Iterable[str]) -> tuple[list[str], np.ndarray, list[int]]:
    """The names of all rows, their counts, and how many each row has."""
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
    # A single hanzi is judged in all its readings together; a longer word has but one.
    total = np.where(length == 1, np.bincount(entries["word"], counts)[entries["word"]], counts)
    entries["frequency"], entries["reading"] = np.log(total / BILLION), np.log(counts / total)
    return entries


def _pairs(
    table: dict[str, str], numbers: dict[str, int], readings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and their followers in each reading; `readings` has of each the number of its name.

    What has no number is counted, but cannot follow.
    """
    table = {name: row for name, row in table.items() if name in numbers}
    names, counts, sizes = _flat(table.values())
    first = np.repeat(np.array([numbers[name] for name in table], np.int64), sizes)
    after = np.array([numbers.get(name, NOTHING) for name in names], np.int64)
    rows = np.zeros(len(numbers), ROW)
    rows["different"] = np.bincount(first, minlength=len(numbers))
    rows["total"] = np.bincount(first, counts, len(numbers))
    known = after != NOTHING
    low, high = (bound[after[known]] for bound in _bounds(readings, len(numbers)))
    after = np.argsort(readings, kind="stable")[_ranges(low, high)]
    first, counts = (np.repeat(column[known], high - low) for column in (first, counts))
    rows["low"], rows["high"] = _bounds(first, len(numbers))
    order = np.argsort(first * len(readings) + after)
    followers = np.zeros(len(order), FOLLOWER)
    followers["number"], followers["value"] = after[order], counts[order]
    return rows, followers


def _bounds(numbers: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """From where to where each of `many` numbers stands when these are sorted."""
    size = np.bincount(numbers, minlength=many)
    return np.cumsum(size) - size, np.cumsum(size)


def _ranges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The numbers from each `low` to its `high`, one range after the other."""
    size = high - low
    return np.arange(size.sum()) + np.repeat(high - np.cumsum(size), size)


def _attractions(
    table: dict[str, str], numbers: dict[str, int], readings: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `WordModel.attraction`; `different` becomes that of the hanzi not seen."""
    rows, followers = _pairs(table, numbers, readings)
    every = parse_row(table.get(BEGIN, ""))
    alone = np.array([every.get(sign, 1) for sign in numbers]) / max(1, sum(every.values()))
    alone = alone[readings[followers["number"]]]
    first = np.repeat(np.arange(len(numbers)), rows["high"] - rows["low"])
    different, total = rows["different"][first], rows["total"][first]
    followers["value"] = np.log((followers["value"] + different * alone) / (total + different) / alone)
    seen = rows["total"] > 0
    rows["different"][seen] = np.log(rows["different"][seen] / (
        rows["total"][seen] + rows["different"][seen]))
    return rows, followers


# A run of syllables


@dataclass(frozen=True)
class LongLattice:
    """What `Lattice` is for a short run of syllables, with the same answers."""

    numbers: Numbers
    ends: np.ndarray  # (places + 2,): the nodes that end at place p are ends[p] to ends[p + 1]
    nodes: np.ndarray  # (nodes,)
    ways: np.ndarray  # (nodes, count), the best of each
    place: int  # where the paths end

    @classmethod
    def build(cls, slots: Sequence[Slot], numbers: Numbers, count: int = 1, kept: int = KEPT,
              previous: int = NOTHING) -> "LongLattice":
        """With the `count` best ways to write; `previous` is the entry of the word before.

        Raises ValueError, naming the place, where no word can stand.
        """
        ends, spans = _spans(slots, numbers)
        weights = numbers.model.weights
        node_ends, nodes, ways = search(
            ends, spans, numbers.tables, previous, weights.unseen, weights.hanzi, kept, count)
        return cls(numbers, node_ends, nodes, ways, len(slots))

    def up_to(self, most: int) -> "LongLattice":
        """The part up to a word of the best path that ends at a place up to `most`.

        The last place at which that path is the best also without what follows.
        """
        words = self.best()[0].words
        parts = [LongLattice(self.numbers, self.ends, self.nodes, self.ways, end)
                 for end in accumulate(map(len, words)) if end <= most]
        agreeing = (part for part in reversed(parts)
                    if (best := part.best()[0].words) == words[:len(best)])
        return next(agreeing, parts[-1])

    @property
    def _last(self) -> range:
        return range(*self.ends[self.place:self.place + 2].tolist())

    @property
    def total(self) -> float:
        """The logarithm of the summed weight of all paths (the forward algorithm)."""
        return float(np.logaddexp.reduce(self.nodes["forward"][self._last]))

    @property
    def last_entry(self) -> int:
        """The last word of the best path."""
        return int(self.nodes["entry"][max(self._last, key=lambda node: self.ways["score"][node, 0])])

    def best(self) -> list[Writing]:
        """The ways to write, all different, whose best paths weigh most; without syllables."""
        count = self.ways.shape[1]
        ways = [(float(self.ways["score"][node, place]), node, place)
                for node in self._last for place in range(count)]
        different: dict[str, Writing] = {}
        for score, node, place in sorted(ways, key=lambda way: -way[0]):
            if score > -inf and len(different) < count:
                writing = Writing(self._words(node, place), (), score)
                different.setdefault(writing.hanzi, writing)
        return list(different.values())

    def _words(self, node: int, place: int) -> tuple[str, ...]:
        entries, nodes, places = self.nodes["entry"], self.ways["node"], self.ways["place"]
        words = []
        while node != ROOT:
            words.append(self.numbers.names[entries[node]])
            node, place = nodes[node, place], places[node, place]
        return tuple(reversed(words))

    def log_prob(self, hanzi: str) -> float:
        """The logarithm of the share of all paths, by weight, that spell these hanzi."""
        signs = np.array([hanzi], f"<U{len(hanzi)}").view("<u4")
        sums = spelt(self.ends, self.nodes, self.numbers.tables, signs)
        return float(np.logaddexp.reduce(sums[self._last])) - self.total


def _spans(slots: Sequence[Slot], numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Spans by their ends: those that end at place p are `ends[p]` to `ends[p + 1]`."""
    rows = [(end, start, *numbers.rows.get(" ".join(written), (0, 0)), sound)
            for start, end, written, _, sound in grow_words(slots, numbers.model)]
    spans = np.array(rows, SPAN)
    spans = spans[np.argsort(spans["end"], kind="stable")]
    spans = spans[spans["low"] < spans["high"]]
    refuse_gaps(slots, set(spans["end"][spans["end"] - spans["start"] == 1].tolist()))
    return np.searchsorted(spans["end"], np.arange(len(slots) + 2)), spans


# Compiled


@compiled
def search(span_ends, spans, tables, previous, unseen, hanzi, kept, count):
    """Ends, nodes and ways, as in `LongLattice`."""
    places = len(span_ends) - 2
    most = 1 + places * kept + _size(spans[span_ends[-2]:])
    ends, nodes = np.zeros(places + 2, np.int64), np.zeros(most, NODE)
    ways = np.zeros((most, count), WAY)
    for node in range(most):
        for place in range(count):
            ways[node, place]["score"] = -np.inf
    ways[ROOT, 0]["score"] = 0.0
    _know(nodes[ROOT], previous, tables, unseen, hanzi)
    ends[1] = size = 1
    for place in range(1, places + 1):
        ending = spans[span_ends[place]:span_ends[place + 1]]
        arcs, weights = _arcs(ending, ends, nodes, tables, kept)
        order = np.argsort(-arcs["forward"], kind="mergesort")
        for one in order if place == places else order[:kept]:
            node, arc = nodes[size], arcs[one]
            node["start"], node["sound"], node["forward"] = arc["start"], arc["sound"], arc["forward"]
            _know(node, arc["entry"], tables, unseen, hanzi)
            _find_ways(ways[size], ways, ends[arc["start"]], ends[arc["start"] + 1], weights[one],
                       tables.entries[arc["entry"]])
            size += 1
        ends[place + 1] = size
    return ends, nodes[:size], ways[:size]


@compiled
def spelt(ends, nodes, tables, signs):
    """For each node, the logarithm of the sum over the paths that spell these hanzi."""
    sums = np.full(len(nodes), -np.inf)
    sums[ROOT] = 0.0
    spans, weights = np.empty(1, SPAN), np.empty((1, len(nodes)))
    for place in range(1, len(signs) + 1):
        for number in range(ends[place], ends[place + 1]):
            node = nodes[number]
            if tables.entries[node["entry"]]["spelling"] == _spelling(signs[node["start"]:place]):
                total = -np.inf
                spans[0]["low"], spans[0]["high"] = node["entry"], node["entry"] + 1
                spans[0]["sound"] = node["sound"]
                low, high = ends[node["start"]], ends[node["start"] + 1]
                _weigh(weights, nodes[low:high], spans[0], tables.entries, tables.after_words,
                       tables.after_hanzi)
                for old in range(low, high):
                    if sums[old] > -np.inf:
                        total = np.logaddexp(total, sums[old] + weights[0, old - low])
                sums[number] = total
    return sums


@compiled
def _spelling(signs):
    number = np.uint64(0)
    for sign in signs:
        number = number * BASE + np.uint64(sign)
    return number


@compiled
def _know(node, entry, tables, unseen, hanzi):
    """Note what may follow an entry: of NOTHING, BEGIN."""
    node["entry"] = entry
    word = tables.words[0 if entry == NOTHING else tables.entries[entry]["word"]]
    node["new"] = unseen * word["different"]
    node["total"] = word["total"] + node["new"]
    if node["new"] > 0:
        node["low"], node["high"] = word["low"], word["high"]
        node["unseen"] = np.log(node["new"] / node["total"])
    if entry != NOTHING:
        last = tables.hanzi[tables.entries[entry]["last"]]
        node["hanzi"], node["attraction"] = hanzi, last["different"]
        node["hanzi_low"], node["hanzi_high"] = last["low"], last["high"]


@compiled
def _size(spans):
    size = 0
    for span in spans:
        size += span["high"] - span["low"]
    return size


@compiled
def _arcs(spans, ends, nodes, tables, kept):
    """The arcs of spans, and what each weighs after each of the nodes before it."""
    size = _size(spans)
    arcs, weights = np.empty(size, ARC), np.empty((size, kept))
    low = 0
    for span in spans:
        high = low + span["high"] - span["low"]
        before = nodes[ends[span["start"]]:ends[span["start"] + 1]]
        _weigh(weights[low:high], before, span, tables.entries, tables.after_words, tables.after_hanzi)
        for one in range(low, high):
            arcs[one]["entry"] = span["low"] + one - low
            arcs[one]["start"], arcs[one]["sound"] = span["start"], span["sound"]
            arcs[one]["forward"] = _sum(before, weights[one])
        low = high
    return arcs, weights


@compiled
def _weigh(weights, before, span, entries, after_words, after_hanzi):
    """What the arcs of a span weigh after each of the nodes before it, by the formula of `WordModel`.

    Of what was seen after a node, that which is read as the span lies together: it is found once, and
    each of it put where it belongs. To look up each arc by itself takes three times as long.
    """
    first, entries = span["low"], entries[span["low"]:span["high"]]
    lowest = entries["first"].min()
    attraction, other = np.empty(entries["first"].max() + 1 - lowest), np.empty(len(entries))
    for old in range(len(before)):
        node = before[old]
        _attract(attraction, node, lowest, after_hanzi)
        for one in range(len(entries)):
            other[one] = (entries[one]["frequency"]
                          + node["hanzi"] * attraction[entries[one]["first"] - lowest])
            weights[one, old] = span["sound"] + entries[one]["reading"] + (other[one] + node["unseen"])
        place = _lower(after_words, node["low"], node["high"], first)
        while place < node["high"] and after_words[place]["number"] < span["high"]:
            one = after_words[place]["number"] - first
            weights[one, old] = span["sound"] + entries[one]["reading"] + np.log((
                after_words[place]["value"] + node["new"] * np.exp(other[one])) / node["total"])
            place += 1


@compiled
def _attract(attraction, node, lowest, after_hanzi):
    """How much the last hanzi of a node attracts those numbered from `lowest` on."""
    attraction[:] = node["attraction"]
    place = _lower(after_hanzi, node["hanzi_low"], node["hanzi_high"], lowest)
    while place < node["hanzi_high"] and after_hanzi[place]["number"] < lowest + len(attraction):
        attraction[after_hanzi[place]["number"] - lowest] = after_hanzi[place]["value"]
        place += 1


@compiled
def _lower(followers, low, high, number):
    """The first place from `low` on whose number is not less; `high` if there is none."""
    while low < high:
        middle = (low + high) // 2
        if followers[middle]["number"] < number:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def _sum(before, weights):
    """The logarithm of the sum over all paths that end with an arc."""
    highest, total = -np.inf, 0.0
    for old in range(len(before)):
        highest = max(highest, before[old]["forward"] + weights[old])
    for old in range(len(before)):
        total += np.exp(before[old]["forward"] + weights[old] - highest)
    return highest + np.log(total)


@compiled
def _find_ways(found, ways, low, high, weights, entry):
    """The best ways to write up to a node, all different."""
    for old in range(low, high):
        for place in range(len(found)):
            score = ways[old, place]["score"] + weights[old - low]
            if not score > found[-1]["score"]:
                break
            spelling = ways[old, place]["spelling"]
            for _ in range(entry["length"]):
                spelling *= BASE
            _insert(found, score, spelling + entry["spelling"], old, place)


@compiled
def _insert(found, score, spelling, node, place):
    """Keep a way to write in the place that it deserves, unless its hanzi have a better path."""
    low = 0
    while low < len(found) - 1 and found[low]["spelling"] != spelling:
        low += 1  # to the same hanzi, or to the last place
    if not score > found[low]["score"]:
        return
    while low > 0 and score > found[low - 1]["score"]:
        found[low] = found[low - 1]
        low -= 1
    found[low]["score"], found[low]["spelling"] = score, spelling
    found[low]["node"], found[low]["place"] = node, place
