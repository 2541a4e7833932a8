"""The corpora that RamoSpeech knows, and the lists of what was prepared of them.

Each corpus is a file in `recipes/` with one `Corpus` in it. Preparing a corpus writes manifests,
and `corpus.json` beside them, into a folder of its own under the data folder; `open_split` reads
them back, the same way for every corpus.
"""

import importlib
import json
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from ramospeech.config.paths import data_dir
from ramospeech.data.manifest import Utterance, read_manifest, write_manifest
from ramospeech.data.preparation import CorpusError, Preparation
from ramospeech.utils.files import brief, write_text
from ramospeech.utils.logs import LOGGER

FACTS = ("version", "root", "label_source", "splits", "skipped")  # in corpus.json
MODULES = {"mini": "mini", "audio-cmn": "audio_cmn", "thchs": "thchs",
           "aishell": "aishell", "primewords": "primewords",
           "st-cmds": "st_cmds", "espeak": "espeak",
           "ttskit": "ttskit", "spliced": "spliced"}
ALL = "all"  # the real corpora that are prepared


@dataclass(frozen=True)
class Corpus:
    """What there is to know of a corpus, and how to get it onto this machine."""

    name: str
    description: str
    licence: str
    label_source: str  # who read the hanzi: error rates against other labels do not compare
    prepare: Callable[..., Preparation]  # takes the root of a copy, and a choice of labels
    download: Callable[..., Path] | None = None  # takes a target folder and a mirror, gives a root
    size: int = 0  # of the download, in bytes
    mirrors: Collection[str] = ()  # to download from; an address will do, too
    version: str = "1"  # another version means: prepare again
    embedded: bool = False  # needs no download: prepared on first use
    synthetic: bool = False  # spoken by a machine: no part of `all`
    label_choices: Mapping[str, str] = field(default_factory=dict)  # other sources, by name


@dataclass(frozen=True)
class Split:
    """One list of a prepared corpus, or of several."""

    corpus: str
    name: str
    utterances: list[Utterance]
    root: Path  # the utterances' paths are relative to it
    label_source: str

    def __len__(self) -> int:
        return len(self.utterances)

    def audio_path(self, index: int) -> Path:
        return self.root / self.utterances[index].path


def get_corpus(name: str) -> Corpus:
    """The corpus of that name. Raises CorpusError with the names there are."""
    if name not in MODULES:
        raise CorpusError(f"no corpus {name!r}; there are {', '.join(MODULES)}")
    return importlib.import_module(f"ramospeech.data.recipes.{MODULES[name]}").CORPUS


def download(name: str, target: Path | None = None, mirror: str | None = None) -> Path:
    """Fetch a corpus into `target`, or the data folder; returns the root of the copy.

    Raises CorpusError where it needs no download, or has no such mirror.
    """
    corpus = get_corpus(name)
    if corpus.download is None:
        raise CorpusError(f"{name} needs no download: {corpus.description}")
    if mirror and not corpus.mirrors:
        raise CorpusError(f"{name} has no mirrors")
    target = target or data_dir() / name / "recordings"
    target.parent.mkdir(parents=True, exist_ok=True)
    return corpus.download(target, mirror) if mirror else corpus.download(target)


def prepare(name: str, root: Path | None = None, labels: str | None = None) -> Preparation:
    """Find a corpus's recordings under `root` and write its manifests into the data folder.

    `labels` names another source of the labels than the corpus's usual one. Raises CorpusError
    where there is nothing to list, or no such source.
    """
    corpus = get_corpus(name)
    label_source = choose_labels(corpus, labels)
    found = corpus.prepare(root, labels) if labels else corpus.prepare(root)
    if not found.splits:
        reasons = [f"{count} skipped: {found.with_example(reason)}"
                   for reason, count in found.skipped.items()]
        raise CorpusError("; ".join([f"no recording of {name} was kept in {found.root}", *reasons]))
    facts = {"version": corpus.version, "root": str(found.root.resolve()),
             "label_source": label_source,
             "splits": {split: len(found.splits[split]) for split in found.names()},
             "speakers": {split: len(found.speakers[split]) for split in found.names()},
             "shared": found.shared(), "skipped": dict(found.skipped)}
    folder = data_dir() / name
    (folder / "corpus.json").unlink(missing_ok=True)  # the lists and their facts change as one
    for split, utterances in found.splits.items():
        write_manifest(folder / f"{split}.txt", utterances)
    write_text(folder / "corpus.json", json.dumps(facts, ensure_ascii=False, indent=2))
    return found


def choose_labels(corpus: Corpus, labels: str | None) -> str:
    """The label source that a choice stands for. Raises CorpusError where there is none."""
    if labels is None:
        return corpus.label_source
    if labels not in corpus.label_choices:
        there = ", ".join(corpus.label_choices) or f"only {corpus.label_source}"
        raise CorpusError(f"{corpus.name} has no labels {labels!r}; there are {there}")
    return corpus.label_choices[labels]


def open_split(name: str, split: str, make: bool = True) -> Split:
    """One list of a prepared corpus; an embedded one, where `make` allows it, is made on first use.

    Names joined by `+` give the union of their lists, and `all` that of the real corpora that are
    prepared; what lacks the list is left out. Raises CorpusError where a corpus is not prepared, or
    none has such a list.
    """
    facts = {part: _prepared_facts(part, make) for part in corpus_names(name)}
    parts = [_open_part(part, split, facts[part]) for part in facts
             if split in facts[part]["splits"]]
    if not parts:
        there = dict.fromkeys(item for part in facts.values() for item in part["splits"])
        raise CorpusError(f"{name} has no split {split!r}; it has {', '.join(there)}")
    return parts[0] if len(facts) == 1 else join_splits("+".join(facts), parts)


def corpus_names(name: str) -> list[str]:
    """The corpora that a name stands for: `thchs`, `thchs+aishell` or `all`."""
    parts = [real_corpora() if part == ALL else [part] for part in name.split("+")]
    return list(dict.fromkeys(chain(*parts)))


def real_corpora() -> list[str]:
    """The corpora of human speech that are prepared. Raises CorpusError where there are none."""
    real = [name for name in MODULES if not get_corpus(name).synthetic]
    prepared = [name for name in real if is_prepared(name)]
    for name in real:
        if name not in prepared and read_facts(name):  # it was once
            LOGGER.warning("%s: left out: %s", ALL, why_not_prepared(name))
    if not prepared:
        raise CorpusError(f"{ALL}: no corpus of human speech is prepared; {how_to_get(real[0])}; "
                          f"there are {', '.join(real)}")
    return prepared


def _prepared_facts(name: str, make: bool) -> dict[str, Any]:
    if make and get_corpus(name).embedded and not is_prepared(name):
        prepare(name)
    if not is_prepared(name):
        raise CorpusError(f"the corpus {why_not_prepared(name)}")
    return read_facts(name)


def _open_part(name: str, split: str, facts: dict[str, Any]) -> Split:
    utterances = read_manifest(data_dir() / name / f"{split}.txt")
    return Split(name, split, utterances, Path(facts["root"]), facts["label_source"])


def join_splits(name: str, parts: list[Split]) -> Split:
    """The union of some lists: one root for all of them, and the label source of each."""
    utterances = [Utterance(f"{part.root}/{path}".lstrip("/"), pinyin, hanzi)
                  for part in parts for path, pinyin, hanzi in part.utterances]
    sources = {part.label_source for part in parts}
    told = [f"{part.label_source} ({part.corpus})" for part in parts]
    label_source = sources.pop() if len(sources) == 1 else ", ".join(told)
    return Split(name, parts[0].name, utterances, Path("/"), label_source)


def is_prepared(name: str) -> bool:
    """Whether manifests, written by this version of the corpus's file, and recordings are here."""
    facts = read_facts(name)
    return bool(facts) and facts["version"] == get_corpus(name).version \
        and Path(facts["root"]).is_dir()


def read_facts(name: str) -> dict[str, Any]:
    """What preparing the corpus wrote down of it; empty where it is not prepared."""
    path = data_dir() / name / "corpus.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return facts | {key: facts[key] for key in FACTS}  # one that is missing is an error
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError) as error:
        raise CorpusError(f"{path} is not what `ramospeech prepare {name}` wrote "
                          f"({brief(error)}): delete it, and prepare the corpus again") from None


def why_not_prepared(name: str) -> str:
    """The corpus, what is missing of it, and the command that mends it."""
    facts, corpus = read_facts(name), get_corpus(name)
    if not facts or corpus.embedded:
        return f"{name} is not prepared: {how_to_get(name)}"
    again = f"ramospeech prepare {name} --root"
    labels = "".join(f" --labels {choice}" for choice, source in corpus.label_choices.items()
                     if source == facts["label_source"] != corpus.label_source)
    if not Path(facts["root"]).is_dir():
        return (f"{name} is no longer in {facts['root']}: if it has moved, run "
                f"`{again} DIR{labels}` with its new place")
    return (f"{name} was prepared by another version of RamoSpeech: run "
            f"`{again} {shlex.quote(facts['root'])}{labels}`")


def how_to_get(name: str) -> str:
    if get_corpus(name).embedded:
        return f"run `ramospeech prepare {name}`"
    return f"run `ramospeech download {name}`, or `ramospeech prepare {name} --root DIR` on a copy"
