"""Language models in files: the format of the ARPA trials, which SRILM and KenLM read and write."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ramospeech.files import write_text
from ramospeech.language_model import BEGIN, END, LanguageModel, Ngram, Weights
from ramospeech.pinyin import PAD, UNK, Inventory

LN_10 = math.log(10)  # the files hold decimal logarithms


def write_arpa(path: Path, model: LanguageModel) -> None:
    """Write a language model; the file appears whole or not at all."""
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


def read_arpa(path: Path, inventory: Inventory) -> LanguageModel:
    """Read a language model. Raises ValueError, naming the line, for a file that is broken or has
    words outside the inventory: it speaks of another vocabulary.

    Syllables of the inventory that the file lacks are as probable as its `<unk>`.
    """
    try:
        ngrams = dict(_read_ngrams(path, inventory))
        unknown = ngrams.get(tuple(inventory.encode([UNK])))
        for token in range(1, len(inventory)) if unknown else ():
            ngrams.setdefault((token,), Weights(unknown.log_prob))
        return LanguageModel(inventory, ngrams)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _read_ngrams(path: Path, inventory: Inventory) -> Iterator[tuple[Ngram, Weights]]:
    tokens = {symbol: token for token, symbol in enumerate(inventory.symbols) if symbol != PAD}
    tokens |= {"<s>": BEGIN, "</s>": END, "<unk>": tokens[UNK]}
    announced, found, length = {}, Counter(), 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        try:
            if line.startswith("ngram ") and not length:
                order, count = line[6:].split("=")
                announced[int(order)] = int(count)
            elif line.startswith("\\") and line.rstrip().endswith("-grams:"):
                length = int(line[1:].split("-")[0])
            elif line.rstrip() == "\\end\\":
                break
            elif length and fields:
                found[length] += 1
                yield _read_ngram(fields, length, tokens)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    else:
        raise ValueError("no \\end\\: not an ARPA file, or cut short")
    if found != announced:
        raise ValueError(f"{announced} n-grams are announced, {dict(found)} are there")


def _read_ngram(fields: list[str], length: int, tokens: dict[str, int]) -> tuple[Ngram, Weights]:
    if len(fields) not in (length + 1, length + 2):
        raise ValueError(f"expected {length} words between one number or two")
    foreign = [word for word in fields[1 : length + 1] if word not in tokens]
    if foreign:
        raise ValueError(f"{foreign[0]!r} is not in the inventory: "
                         "a language model of another vocabulary")
    ngram = tuple(tokens[word] for word in fields[1 : length + 1])
    numbers = map(float, (fields[0], *fields[length + 1 :]))
    return ngram, Weights(*(number * LN_10 for number in numbers))
