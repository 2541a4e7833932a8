"""What several test files share."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["TQDM_DISABLE"] = "1"  # read by tqdm once; bars only clutter what a test shows

import torch

from ramospeech.data.corpora import get_corpus, open_split
from ramospeech.data.corpus import Split
from ramospeech.data.manifest import read_manifest, write_manifest
from ramospeech.data.recipes.mini import manifest_path, speak_utterance

settings.register_profile("ramospeech", deadline=None)  # machines are slow at times
settings.load_profile("ramospeech")


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, so that a test neither reads nor writes the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("RAMOSPEECH_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the corpus `mini` is prepared, with few utterances."""
    data = tmp_path_factory.mktemp("data")
    counts = {"train": 12, "dev": 4, "test": 4}
    for split, count in counts.items():
        utterances = read_manifest(manifest_path(split))[:count]
        for utterance in utterances:
            speak_utterance(utterance, data / "recordings")
        write_manifest(data / "mini" / f"{split}.txt", utterances)
    facts = {"version": get_corpus("mini").version, "root": str(data / "recordings"),
             "label_source": "written for the tests", "splits": counts, "skipped": {}}
    (data / "mini" / "corpus.json").write_text(json.dumps(facts))
    return data


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: a worker process has one thread, and this process may have more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def small_mini(small_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let every command of a test find the few utterances of `small_data`."""
    monkeypatch.setenv("RAMOSPEECH_DATA", str(small_data))
    return small_data


@pytest.fixture
def train(small_mini: Path) -> Split:
    return open_split("mini", "train")


@pytest.fixture
def dev(small_mini: Path) -> Split:
    return open_split("mini", "dev")
