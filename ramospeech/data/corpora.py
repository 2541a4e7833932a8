"""The registry of corpora: each is a recipe in `recipes/`, opened here by its name."""

from itertools import chain
from pathlib import Path

from ramospeech.data.corpus import Corpus, Split
from ramospeech.data.manifest import Utterance
from ramospeech.data.preparation import CorpusError, Preparation
from ramospeech.data.recipes import (
    aishell, audio_cmn, espeak, mini, primewords, spliced, st_cmds, thchs, ttskit,
)
from ramospeech.utils.logs import LOGGER

__all__ = ["ALL", "CORPORA", "corpus_names", "download", "get_corpus", "join_splits", "open_split",
           "prepare", "prepared_real_corpora"]

ALL = "all"  # the real corpora that are prepared
RECIPES = (mini, audio_cmn, thchs, aishell, primewords, st_cmds, espeak, ttskit, spliced)
CORPORA: dict[str, Corpus] = {recipe.CORPUS.name: recipe.CORPUS for recipe in RECIPES}


def get_corpus(name: str) -> Corpus:
    """Return the corpus with that name. Raises CorpusError, listing the names, if there is none."""
    if name not in CORPORA:
        raise CorpusError(f"no corpus {name!r}; there are {', '.join(CORPORA)}")
    return CORPORA[name]


def download(name: str, target: Path | None = None, mirror: str | None = None) -> Path:
    """`Corpus.fetch` by name."""
    return get_corpus(name).fetch(target, mirror)


def prepare(name: str, root: Path | None = None, labels: str | None = None) -> Preparation:
    """`Corpus.write_manifests` by name."""
    return get_corpus(name).write_manifests(root, labels)


def open_split(name: str, split: str, make: bool = True) -> Split:
    """Read one list of a prepared corpus; an embedded one is prepared first if `make` allows it.

    Names joined by `+` give the union of their lists, and `all` that of the real corpora that are
    prepared; a corpus without the list is left out. Raises CorpusError if a corpus is not prepared,
    or none has such a list.
    """
    facts = {part: get_corpus(part).require(make) for part in corpus_names(name)}
    parts = [get_corpus(part).open_split(split, make) for part in facts
             if split in facts[part]["splits"]]
    if not parts:
        there = dict.fromkeys(item for part in facts.values() for item in part["splits"])
        raise CorpusError(f"{name} has no split {split!r}; it has {', '.join(there)}")
    return parts[0] if len(facts) == 1 else join_splits("+".join(facts), parts)


def corpus_names(name: str) -> list[str]:
    """The corpora that a name stands for: `thchs`, `thchs+aishell` or `all`."""
    parts = [prepared_real_corpora() if part == ALL else [part] for part in name.split("+")]
    return list(dict.fromkeys(chain(*parts)))


def prepared_real_corpora() -> list[str]:
    """The corpora of human speech that are prepared. Raises CorpusError if there are none."""
    real = [corpus for corpus in CORPORA.values() if not corpus.synthetic]
    prepared = [corpus for corpus in real if corpus.is_prepared()]
    for corpus in real:
        if corpus not in prepared and corpus.read_facts():  # it once was
            LOGGER.warning("%s: left out: %s", ALL, corpus.why_not_prepared())
    if not prepared:
        names = ", ".join(corpus.name for corpus in real)
        raise CorpusError(f"{ALL}: no corpus of human speech is prepared; {real[0].how_to_get()}; "
                          f"there are {names}")
    return [corpus.name for corpus in prepared]


def join_splits(name: str, parts: list[Split]) -> Split:
    """The union of several lists, with one root for all of them and the label source of each."""
    utterances = [Utterance(f"{part.root}/{path}".lstrip("/"), pinyin, hanzi)
                  for part in parts for path, pinyin, hanzi in part.utterances]
    sources = {part.label_source for part in parts}
    named = [f"{part.label_source} ({part.corpus})" for part in parts]
    label_source = sources.pop() if len(sources) == 1 else ", ".join(named)
    return Split(name, parts[0].name, utterances, Path("/"), label_source)
