"""The corpora that RamoSpeech knows, and the lists of what was prepared of them.

Each corpus is a file `corpus_NAME.py` with one `Corpus` in it. Preparing a corpus writes manifests,
and `corpus.json` beside them, into a folder of its own under the data folder; `open_split` reads
them back, the same way for every corpus.
"""

import importlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ramospeech.files import brief, write_text
from ramospeech.manifest import Utterance, read_manifest, write_manifest
from ramospeech.paths import data_dir

FACTS = ("version", "root", "label_source", "splits", "skipped")  # in corpus.json
MODULES = {"mini": "corpus_mini", "audio-cmn": "corpus_audio_cmn", "espeak": "corpus_espeak"}


class CorpusError(ValueError):
    """A corpus that is unknown, not prepared or not whole; the message says what to do."""


@dataclass(frozen=True)
class Corpus:
    """What there is to know of a corpus, and how to get it onto this machine."""

    name: str
    description: str
    licence: str
    label_source: str  # who read the hanzi: error rates against other labels do not compare
    prepare: Callable[[Path | None], "Preparation"]  # takes the root of a copy
    download: Callable[[Path], Path] | None = None  # takes a target folder, returns a root
    version: str = "1"  # another version means: prepare again
    embedded: bool = False  # needs no download: prepared on first use


@dataclass(frozen=True)
class Split:
    """One list of a prepared corpus."""

    corpus: str
    name: str
    utterances: list[Utterance]
    root: Path  # the utterances' paths are relative to it
    label_source: str

    def __len__(self) -> int:
        return len(self.utterances)

    def audio_path(self, index: int) -> Path:
        return self.root / self.utterances[index].path


@dataclass
class Preparation:
    """What preparing a corpus found: the lists, and what was left out for which reason."""

    root: Path
    splits: dict[str, list[Utterance]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def keep(self, split: str, utterance: Utterance) -> None:
        self.splits.setdefault(split, []).append(utterance)

    def summary(self) -> str:
        """Lines that account for every recording that was found."""
        kept = [f"  {name:10} {len(items):6} kept" for name, items in self.splits.items()]
        left = [f"  {count:17} skipped: {reason}" for reason, count in self.skipped.most_common()]
        return "\n".join(kept + left)


def get_corpus(name: str) -> Corpus:
    """The corpus of that name. Raises CorpusError with the names there are."""
    if name not in MODULES:
        raise CorpusError(f"no corpus {name!r}; there are {', '.join(MODULES)}")
    return importlib.import_module(f"ramospeech.{MODULES[name]}").CORPUS


def download(name: str, target: Path | None = None) -> Path:
    """Fetch a corpus into `target`, or the data folder; returns the root of the copy."""
    corpus = get_corpus(name)
    if corpus.download is None:
        raise CorpusError(f"{name} needs no download: {corpus.description}")
    target = target or data_dir() / name / "recordings"
    target.parent.mkdir(parents=True, exist_ok=True)
    return corpus.download(target)


def prepare(name: str, root: Path | None = None) -> Preparation:
    """Find a corpus's recordings under `root` and write its manifests into the data folder.

    Raises CorpusError where there is nothing to list.
    """
    corpus = get_corpus(name)
    found = corpus.prepare(root)
    if not found.splits:
        raise CorpusError(f"no recording of {name} was kept in {found.root}\n{found.summary()}")
    folder = data_dir() / name
    for split, utterances in found.splits.items():
        write_manifest(folder / f"{split}.txt", utterances)
    facts = {"version": corpus.version, "root": str(found.root.resolve()),
             "label_source": corpus.label_source,
             "splits": {split: len(items) for split, items in found.splits.items()},
             "skipped": dict(found.skipped)}
    write_text(folder / "corpus.json", json.dumps(facts, ensure_ascii=False, indent=2))
    return found


def open_split(name: str, split: str) -> Split:
    """One list of a prepared corpus; an embedded corpus is prepared on first use.

    Raises CorpusError where the corpus is not prepared or has no such list.
    """
    if "+" in name:
        return _union(name, split)
    corpus = get_corpus(name)
    if corpus.embedded and not is_prepared(name):
        prepare(name)
    if not is_prepared(name):
        raise CorpusError(f"the corpus {name} is not prepared: {how_to_get(name)}")
    facts = read_facts(name)
    if split not in facts["splits"]:
        raise CorpusError(f"{name} has no split {split!r}; it has {', '.join(facts['splits'])}")
    utterances = read_manifest(data_dir() / name / f"{split}.txt")
    return Split(name, split, utterances, Path(facts["root"]), facts["label_source"])


def _union(name: str, split: str) -> Split:
    parts = []
    for part in name.split("+"):
        if not is_prepared(part) or split in read_facts(part)["splits"]:
            parts.append(open_split(part, split))
    utterances = [utterance._replace(path=str(part.root / utterance.path))
                  for part in parts for utterance in part.utterances]
    label_source = "; ".join(dict.fromkeys(part.label_source for part in parts))
    return Split(name, split, utterances, Path("/"), label_source)


def is_prepared(name: str) -> bool:
    """Whether manifests, written by this version of the corpus's file, and recordings are here."""
    facts = read_facts(name)
    return bool(facts) and facts["version"] == get_corpus(name).version \
        and Path(facts["root"]).is_dir()


def read_facts(name: str) -> dict:
    """What preparing the corpus wrote down of it; empty where it is not prepared."""
    path = data_dir() / name / "corpus.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {key: facts[key] for key in FACTS}
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError) as error:
        raise CorpusError(f"{path} is not what `ramospeech prepare {name}` wrote "
                          f"({brief(error)}): delete it, and prepare the corpus again") from None


def how_to_get(name: str) -> str:
    return f"run `ramospeech download {name}`, or `ramospeech prepare {name} --root DIR` on a copy"
