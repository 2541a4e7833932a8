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
from ramospeech.utils.compiler import compiled, inlined

BASE = np.uint64(6364136223846793005)  # of the polynomial that tells rows of hanzi apart
NOTHING = -1
ROOT = 0  # the node before the first syllable

ENTRY = np.dtype([
    ("word", np.int64),
    ("first", np.int64), ("last", np.int64),  # its first and last hanzi
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
ARC = np.dtype([("start", np.int64), ("entry", np.int64), ("sound", np.float64)])
NODE = np.dtype([
    ("entry", np.int64), ("start", np.int64), ("sound", np.float64),
    ("forward", np.float64),  # the logarithm of the sum over all paths up to here
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
    after_words: np.ndarray  # FOLLOWERs, with how often they were seen
    hanzi: np.ndarray  # a ROW for each hanzi
    after_hanzi: np.ndarray  # FOLLOWERs, with their attraction


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
        words = {name: number for number, name in enumerate(dict.fromkeys([BEGIN, *names]))}
        hanzi = {sign: number for number, sign in enumerate(sorted(
            {name[0] for name in names} | {name[-1] for name in names}))}
        tables = Tables(_entries(names, counts, words, hanzi), *_pairs(model.word_pairs, words),
                        *_attractions(model.hanzi_pairs, hanzi))
        ends = accumulate(sizes, initial=0)
        return cls(model, names, dict(zip(model.words, pairwise(ends))), tables)


def _flat(rows: Iterable[str]) -> tuple[list[str], np.ndarray, list[int]]:
    """The names of all rows, their counts, and how many each row has."""
    rows = list(rows)
    fields = " ".join(filter(None, rows)).split(" ") if any(rows) else []
    return (fields[::2], np.array(fields[1::2], np.int64).astype(float),
            [(row.count(" ") + 1) // 2 for row in rows])


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


def _pairs(table: dict[str, str], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and followers; what has no number is counted, but cannot follow."""
    table = {name: row for name, row in table.items() if name in numbers}
    names, counts, sizes = _flat(table.values())
    first = np.repeat(np.array([numbers[name] for name in table], np.int64), sizes)
    after = np.array([numbers.get(name, NOTHING) for name in names], np.int64)
    rows = np.zeros(len(numbers), ROW)
    rows["different"] = np.bincount(first, minlength=len(numbers))
    rows["total"] = np.bincount(first, counts, len(numbers))
    order = np.lexsort((after, first))
    order = order[after[order] != NOTHING]
    rows["low"] = np.searchsorted(first[order], np.arange(len(numbers)))
    rows["high"] = np.searchsorted(first[order], np.arange(len(numbers)), side="right")
    followers = np.zeros(len(order), FOLLOWER)
    followers["number"], followers["value"] = after[order], counts[order]
    return rows, followers


def _attractions(table: dict[str, str], numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """As `WordModel.attraction`; `different` becomes that of the hanzi not seen."""
    rows, followers = _pairs(table, numbers)
    every = parse_row(table.get(BEGIN, ""))
    alone = np.array([every.get(sign, 1) for sign in numbers]) / max(1, sum(every.values()))
    alone = alone[followers["number"]]
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
        ends, arcs = _arcs(slots, numbers)
        weights = numbers.model.weights
        node_ends, nodes, ways = search(
            ends, arcs, numbers.tables, previous, weights.unseen, weights.hanzi, kept, count)
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
        words = []
        while node != ROOT:
            words.append(self.numbers.names[self.nodes["entry"][node]])
            node, place = self.ways[["node", "place"]][node, place].tolist()
        return tuple(reversed(words))

    def log_prob(self, hanzi: str) -> float:
        """The logarithm of the share of all paths, by weight, that spell these hanzi."""
        signs = np.array([hanzi], f"<U{len(hanzi)}").view("<u4")
        sums = spelt(self.ends, self.nodes, self.numbers.tables, signs)
        return float(np.logaddexp.reduce(sums[self._last])) - self.total


def _arcs(slots: Sequence[Slot], numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """Arcs by their ends: those that end at place p are `ends[p]` to `ends[p + 1]`."""
    rows = [(end, start, *numbers.rows.get(" ".join(written), (0, 0)), sound)
            for start, end, written, _, sound in grow_words(slots, numbers.model)]
    end, start, low, high, sound = np.array(sorted(rows, key=lambda row: row[0])).T
    size = (high - low).astype(np.int64)
    refuse_gaps(slots, set(end[(end - start == 1) & (size > 0)].tolist()))
    arcs = np.zeros(size.sum(), ARC)
    arcs["start"], arcs["sound"] = np.repeat(start, size), np.repeat(sound, size)
    arcs["entry"] = np.arange(len(arcs)) + np.repeat(low - np.cumsum(size) + size, size)
    return np.searchsorted(np.repeat(end, size), np.arange(len(slots) + 2)), arcs


# Compiled


@compiled
def search(arc_ends, arcs, tables, previous, unseen, hanzi, kept, count):
    """Ends, nodes and ways, as in `LongLattice`."""
    places = len(arc_ends) - 2
    most = 1 + places * kept + arc_ends[-1] - arc_ends[-2]
    ends, nodes = np.zeros(places + 2, np.int64), np.zeros(most, NODE)
    ways = np.zeros((most, count), WAY)
    for node in range(most):
        for place in range(count):
            ways[node, place]["score"] = -np.inf
    ways[ROOT, 0]["score"] = 0.0
    _know(nodes[ROOT], previous, tables, unseen, hanzi)
    ends[1] = size = 1
    for place in range(1, places + 1):
        ending = arcs[arc_ends[place]:arc_ends[place + 1]]
        sums, weights = np.empty(len(ending)), np.empty((len(ending), kept))
        for one in range(len(ending)):
            before = nodes[ends[ending[one]["start"]]:ends[ending[one]["start"] + 1]]
            _weigh(weights[one], before, ending[one], tables.entries, tables.after_words,
                   tables.after_hanzi)
            sums[one] = _sum(before, weights[one])
        order = np.argsort(-sums, kind="mergesort")
        for one in order if place == places else order[:kept]:
            node = nodes[size]
            node["start"], node["sound"] = ending[one]["start"], ending[one]["sound"]
            node["forward"] = sums[one]
            _know(node, ending[one]["entry"], tables, unseen, hanzi)
            _find_ways(ways[size], ways, ends[node["start"]], ends[node["start"] + 1], weights[one],
                       tables.entries[node["entry"]])
            size += 1
        ends[place + 1] = size
    return ends, nodes[:size], ways[:size]


@compiled
def spelt(ends, nodes, tables, signs):
    """For each node, the logarithm of the sum over the paths that spell these hanzi."""
    sums = np.full(len(nodes), -np.inf)
    sums[ROOT] = 0.0
    for place in range(1, len(signs) + 1):
        for number in range(ends[place], ends[place + 1]):
            node = nodes[number]
            if tables.entries[node["entry"]]["spelling"] == _spelling(signs[node["start"]:place]):
                total = -np.inf
                for old in range(ends[node["start"]], ends[node["start"] + 1]):
                    if sums[old] > -np.inf:
                        total = np.logaddexp(total, sums[old] + _weight(
                            nodes[old], node, tables.entries[node["entry"]], tables.after_words,
                            tables.after_hanzi))
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
    node["low"], node["high"] = word["low"], word["high"]
    node["new"] = unseen * word["different"]
    node["total"] = word["total"] + node["new"]
    if node["new"] > 0:
        node["unseen"] = np.log(node["new"] / node["total"])
    if entry != NOTHING:
        last = tables.hanzi[tables.entries[entry]["last"]]
        node["hanzi"], node["attraction"] = hanzi, last["different"]
        node["hanzi_low"], node["hanzi_high"] = last["low"], last["high"]


@compiled
def _weigh(weights, before, arc, entries, after_words, after_hanzi):
    """What an arc weighs after each of the nodes before it."""
    entry = entries[arc["entry"]]
    for old in range(len(before)):
        weights[old] = _weight(before[old], arc, entry, after_words, after_hanzi)


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


@inlined
def _weight(before, arc, entry, after_words, after_hanzi):
    """What an arc weighs after a node, by the formula of `WordModel`."""
    other = entry["frequency"]
    if before["hanzi"] > 0:
        place = _find(after_hanzi, before["hanzi_low"], before["hanzi_high"], entry["first"])
        other += before["hanzi"] * (
            before["attraction"] if place == NOTHING else after_hanzi[place]["value"])
    if before["new"] > 0:
        place = _find(after_words, before["low"], before["high"], entry["word"])
        if place == NOTHING:
            other += before["unseen"]
        else:
            other = np.log((after_words[place]["value"] + before["new"] * np.exp(other)) / before["total"])
    return arc["sound"] + entry["reading"] + other


@inlined
def _find(followers, low, high, number):
    """The place of a number, or NOTHING."""
    end = high
    while low < high:
        middle = (low + high) // 2
        if followers[middle]["number"] < number:
            low = middle + 1
        else:
            high = middle
    return low if low < end and followers[low]["number"] == number else NOTHING
