"""What is known about one corpus, and its manifests on this machine.

Preparing a corpus writes its manifests, and `corpus.json` beside them, into a folder of its own in
the data folder; `Corpus.open_split` reads them back, the same way for every corpus.
"""

import json
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ramospeech.config.paths import data_dir
from ramospeech.data.manifest import Utterance, read_manifest, write_manifest
from ramospeech.data.preparation import CorpusError, Preparation
from ramospeech.utils.files import brief, write_text

__all__ = ["Corpus", "Split"]

FACTS = ("version", "root", "label_source", "splits", "skipped")  # required in corpus.json


@dataclass(frozen=True)
class Split:
    """One list of utterances of a prepared corpus, or of several corpora."""

    corpus: str
    name: str
    utterances: list[Utterance]
    root: Path  # the utterances' paths are relative to it
    label_source: str

    def __len__(self) -> int:
        return len(self.utterances)

    def audio_path(self, index: int) -> Path:
        return self.root / self.utterances[index].path


@dataclass(frozen=True)
class Corpus:
    """Facts about a corpus, how to get it onto this machine, and whether it is there."""

    name: str
    description: str
    licence: str
    label_source: str  # where the pinyin comes from: only error rates on the same labels compare
    prepare: Callable[..., Preparation]  # takes the root of a copy and a choice of labels
    download: Callable[..., Path] | None = None  # takes a target folder and a mirror, returns a root
    size: int = 0  # of the download, in bytes
    mirrors: Collection[str] = ()  # to download from; a URL works, too
    version: str = "1"  # a different version must be prepared again
    embedded: bool = False  # needs no download: prepared on first use
    synthetic: bool = False  # machine-made speech: not part of `all`
    label_choices: Mapping[str, str] = field(default_factory=dict)  # other label sources, by name

    @property
    def folder(self) -> Path:
        """Where its manifests are."""
        return data_dir() / self.name

    def fetch(self, target: Path | None = None, mirror: str | None = None) -> Path:
        """Download the corpus into `target` (default: the data folder); return the copy's root.

        Raises CorpusError if there is nothing to download, or no such mirror.
        """
        if self.download is None:
            raise CorpusError(f"{self.name} needs no download: {self.description}")
        if mirror and not self.mirrors:
            raise CorpusError(f"{self.name} has no mirrors")
        target = target or self.folder / "recordings"
        target.parent.mkdir(parents=True, exist_ok=True)
        return self.download(target, mirror) if mirror else self.download(target)

    def write_manifests(self, root: Path | None = None, labels: str | None = None) -> Preparation:
        """Find the recordings under `root`; write their manifests into the data folder.

        `labels` selects another label source than the usual one. Raises CorpusError if no
        recording is kept, or there is no such source.
        """
        label_source = self.resolve_labels(labels)
        found = self.prepare(root, labels) if labels else self.prepare(root)
        if not found.splits:
            reasons = [f"{count} skipped: {reason}" for count, reason in found.reasons()]
            raise CorpusError("; ".join([f"no recording of {self.name} was kept in {found.root}",
                                         *reasons]))
        facts = {"version": self.version, "label_source": label_source, **found.facts()}
        (self.folder / "corpus.json").unlink(missing_ok=True)  # manifests and facts change as one
        for split, utterances in found.splits.items():
            write_manifest(self.folder / f"{split}.txt", utterances)
        write_text(self.folder / "corpus.json", json.dumps(facts, ensure_ascii=False, indent=2))
        return found

    def resolve_labels(self, labels: str | None) -> str:
        """The label source with that name, by default the usual one. Raises CorpusError."""
        if labels is None:
            return self.label_source
        if labels not in self.label_choices:
            there = ", ".join(self.label_choices) or f"only {self.label_source}"
            raise CorpusError(f"{self.name} has no labels {labels!r}; there are {there}")
        return self.label_choices[labels]

    def read_facts(self) -> dict[str, Any]:
        """The contents of `corpus.json`; empty if the corpus is not prepared."""
        path = self.folder / "corpus.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            return facts | {key: facts[key] for key in FACTS}  # a missing one is an error
        except FileNotFoundError:
            return {}
        except (ValueError, LookupError, TypeError) as error:
            raise CorpusError(
                f"{path} is not what `ramospeech prepare {self.name}` wrote ({brief(error)}): "
                "delete it, and prepare the corpus again") from None

    def is_prepared(self) -> bool:
        """Whether the recordings exist, with manifests written by this version of the recipe."""
        facts = self.read_facts()
        return bool(facts) and facts["version"] == self.version and Path(facts["root"]).is_dir()

    def require(self, make: bool = True) -> dict[str, Any]:
        """The facts of a prepared corpus; an embedded one is prepared first if `make` allows it.

        Raises CorpusError if the corpus is not prepared.
        """
        if make and self.embedded and not self.is_prepared():
            self.write_manifests()
        if not self.is_prepared():
            raise CorpusError(f"the corpus {self.why_not_prepared()}")
        return self.read_facts()

    def open_split(self, name: str, make: bool = True) -> Split:
        """Read one list. Raises CorpusError if the corpus is not prepared or has no such list."""
        facts = self.require(make)
        if name not in facts["splits"]:
            raise CorpusError(f"{self.name} has no split {name!r}; it has {', '.join(facts['splits'])}")
        utterances = read_manifest(self.folder / f"{name}.txt")
        return Split(self.name, name, utterances, Path(facts["root"]), facts["label_source"])

    def why_not_prepared(self) -> str:
        """The corpus, what is missing, and the command that gets it."""
        facts = self.read_facts()
        if not facts or self.embedded:
            return f"{self.name} is not prepared: {self.how_to_get()}"
        again = f"ramospeech prepare {self.name} --root"
        labels = "".join(f" --labels {choice}" for choice, source in self.label_choices.items()
                         if source == facts["label_source"] != self.label_source)
        if not Path(facts["root"]).is_dir():
            return (f"{self.name} is no longer in {facts['root']}: if it has moved, run "
                    f"`{again} DIR{labels}` with its new folder")
        return (f"{self.name} was prepared by another version of RamoSpeech: run "
                f"`{again} {shlex.quote(facts['root'])}{labels}`")

    def how_to_get(self) -> str:
        """The command that prepares the corpus."""
        if self.embedded:
            return f"run `ramospeech prepare {self.name}`"
        return (f"run `ramospeech download {self.name}`, or "
                f"`ramospeech prepare {self.name} --root DIR` on a copy")
