"""Read and write language models in the ARPA format, like SRILM and KenLM."""

import codecs
import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from ramospeech.language.ngram import BEGIN, END, LanguageModel, Ngram, Weights
from ramospeech.language.pinyin import respell
from ramospeech.language.vocabulary import PAD, UNK, Vocabulary
from ramospeech.utils.files import write_text

__all__ = ["read_arpa", "write_arpa"]

LN_10 = math.log(10)  # the files contain decimal logarithms
ROUNDING = 1e-3  # how far above 0 a rounded logarithm may be
IMPOSSIBLE = -100.0  # the value that KenLM uses for a missing <unk>
LEAST = -1000.0  # replaces the -inf of some tools, which would turn sums into NaN
SECTION = re.compile(rb"\s*\\(\d+)-grams:\s*", re.IGNORECASE)
COUNT = re.compile(rb"\s*ngram\s+(\d+)\s*=\s*(\d+)\s*", re.IGNORECASE)


def write_arpa(path: Path, model: LanguageModel) -> None:
    """Write a language model atomically."""
    orders = [sorted(ngram for ngram in model.ngrams if len(ngram) == length)
              for length in range(1, model.order + 1)]
    lines = ["\\data\\", *(f"ngram {length}={len(ngrams)}"
                           for length, ngrams in enumerate(orders, start=1))]
    for length, ngrams in enumerate(orders, start=1):
        lines += ["", f"\\{length}-grams:", *(_line(model, ngram) for ngram in ngrams)]
    write_text(path, "\n".join([*lines, "", "\\end\\", ""]))


def _line(model: LanguageModel, ngram: Ngram) -> str:
    weights = model.ngrams[ngram]
    words = " ".join(map(model.word, ngram)).replace(UNK, "<unk>")
    line = f"{weights.log_prob / LN_10:.6g}\t{words}"
    return f"{line}\t{weights.backoff / LN_10:.6g}" if weights.backoff else line


def read_arpa(path: Path, vocabulary: Vocabulary) -> LanguageModel:
    """Read a language model written by any tool, plain or compressed by gzip.

    N-grams with out-of-vocabulary words are left out; the model's `notes` state the number of these
    words. Syllables that the file lacks are its `<unk>`; without that they are almost impossible.
    Raises ValueError, naming the line, if the file is broken, or if most of its words are out of
    vocabulary.
    """
    reader = _Reader(vocabulary)
    try:
        with path.open("rb") as file:
            packed = file.peek(2).startswith(b"\x1f\x8b")
            reader.read(gzip.GzipFile(fileobj=file) if packed else file)
        return LanguageModel(vocabulary, reader.ngrams, tuple(reader.notes))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(f"{path}: cut short or damaged: gzip cannot read it") from None
    except ValueError as error:
        raise ValueError(f"{path}, line {reader.line}: {error}") from None


class _Reader:
    """The state while reading a file: what was read so far, and the current line."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        tokens = {symbol: token for token, symbol in enumerate(vocabulary.symbols) if symbol != PAD}
        tokens |= {"<s>": BEGIN, "</s>": END, "<unk>": tokens[UNK]}
        self.tokens: dict[bytes, int | None] = {word.encode(): token for word, token in tokens.items()}
        self.line = 0
        self.announced: dict[int, tuple[int, int]] = {}  # for each order its count, and the line of that
        self.found: Counter[int] = Counter()
        self.ngrams: dict[Ngram, Weights] = {}
        self.foreign: dict[bytes, int] = {}  # out-of-vocabulary words, and the first line of each
        self.notes: list[str] = []
        self.unknown = (tokens[UNK],)

    def read(self, lines: Iterable[bytes]) -> None:
        order = None  # None before \data\, 0 in that section
        for self.line, line in enumerate(lines, start=1):
            keyword = line.removeprefix(codecs.BOM_UTF8).strip().lower()
            if order is None:
                order = 0 if keyword == b"\\data\\" else None
            elif keyword == b"\\end\\":
                return self._finish()
            elif section := SECTION.fullmatch(line):
                self._refuse_another_vocabulary()
                order = int(section[1])
            elif order == 0 and keyword.startswith(b"ngram"):
                self._announce(line)
            elif order and keyword:
                self._add(line.split(), order)
        raise ValueError("no \\data\\: not an ARPA file" if order is None else
                         "no \\end\\: cut short")

    def _announce(self, line: bytes) -> None:
        match = COUNT.fullmatch(line)
        if not match:
            raise ValueError("expected ngram N=COUNT")
        self.announced[int(match[1])] = int(match[2]), self.line

    def _add(self, fields: list[bytes], order: int) -> None:
        """Add an n-gram: a logarithm, its words, and usually a backoff weight."""
        if len(fields) not in (order + 1, order + 2):
            raise ValueError(f"expected {order} words between one number or two")
        self.found[order] += 1
        weights = _weights(*map(_number, (fields[0], *fields[order + 1:])))
        tokens = map(self._token, fields[1 : order + 1])
        ngram = tuple(token for token in tokens if token is not None)
        if len(ngram) < order or BEGIN in ngram[1:] or END in ngram[:-1]:
            return  # the last two never occur in a query; some tools count across sentences
        if ngram in self.ngrams:
            raise ValueError("its words were there before")
        if order > 1 and not {ngram[:-1], ngram[-1:]} <= self.ngrams.keys():
            raise ValueError("its last word, or the words before that, have no n-gram of their own")
        self.ngrams[ngram] = weights

    def _token(self, word: bytes) -> int | None:
        if word not in self.tokens:
            spelt = respell(_text(word)).encode()  # other sources write `de5` for `de`
            self.tokens[word] = self.tokens.get(spelt)
            if self.tokens[word] is None:
                self.foreign[word] = self.line
        return self.tokens[word]

    def _refuse_another_vocabulary(self) -> None:
        if 2 * len(self.foreign) > self.found[1]:
            word, self.line = next(iter(self.foreign.items()))
            raise ValueError(f"{_text(word)!r} is not in the vocabulary, nor are {len(self.foreign) - 1} "
                             f"others of {self.found[1]}: a language model of another vocabulary")

    def _finish(self) -> None:
        self._refuse_another_vocabulary()
        for order in sorted(self.announced.keys() | self.found.keys()):
            count, line = self.announced.get(order, (0, self.line))
            if count != self.found[order]:
                self.line = line
                raise ValueError(f"{count} {order}-grams are announced, {self.found[order]} are there")
        if self.foreign:
            some = ", ".join(map(_text, islice(self.foreign, 3)))
            self.notes.append(f"left out {len(self.foreign)} of {self.found[1]} words, which the "
                              f"vocabulary lacks: {some}{' ...' if len(self.foreign) > 3 else ''}")
        if self.unknown not in self.ngrams:
            self._make_unknown()

    def _make_unknown(self) -> None:
        lacking = {token for token in self.tokens.values() if token not in (None, BEGIN)
                   and (token,) not in self.ngrams}
        if len(lacking) > 1:
            self.notes.append(f"it has neither <unk> nor {len(lacking) - 1} of the syllables, which "
                              "are taken for all but impossible")
        self.ngrams[self.unknown] = Weights(IMPOSSIBLE * LN_10)


def _text(field: bytes) -> str:
    return field.decode(errors="replace")


def _number(field: bytes) -> float:
    return max(float(_text(field)), LEAST)


def _weights(log_prob: float, backoff: float = 0.0) -> Weights:
    """Convert decimal logarithms to natural ones."""
    if not (log_prob <= ROUNDING and backoff < math.inf):
        raise ValueError(f"no logarithm of a probability: {log_prob:g}, with a backoff {backoff:g}")
    return Weights(min(log_prob, 0.0) * LN_10, backoff * LN_10)
