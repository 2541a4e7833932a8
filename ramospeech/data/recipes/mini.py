"""`mini`: 760 short utterances in 38 robot voices, synthesised by espeak-ng on this machine.

Everyday phrases and numbers made of forty toned syllables. The manifests in `data_config/` say which
voice speaks what; no voice is in two of them. The recordings are made on first use and kept.
"""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from ramospeech.config.paths import DATA_CONFIG, data_dir
from ramospeech.data.corpus import Corpus
from ramospeech.data.manifest import Utterance, read_manifest
from ramospeech.data.preparation import Preparation, write_recording
from ramospeech.data.tts.espeak import SPELLING_VERSION, TTS_SAMPLE_RATE, Voice, speak

__all__ = ["CORPUS", "fingerprint", "manifest_path", "parse_voice", "prepare", "speak_utterance"]

SPLITS = ("train", "dev", "test")
LABEL_SOURCE = "pypinyin 0.55"
_PATH = re.compile(r"(?P<variant>\w+)/r(?P<rate>\d+)_p(?P<pitch>\d+)(?:_a(?P<range>\d+))?"
                   r"/(?P<number>\d+)\.wav")


def manifest_path(split: str) -> Path:
    return DATA_CONFIG / f"mini_{split}.txt"


def prepare(root: Path | None = None) -> Preparation:
    """Synthesise the missing recordings in `root`, by default in the data folder."""
    found = Preparation(root or data_dir() / "mini" / fingerprint())
    for split in SPLITS:
        utterances = read_manifest(manifest_path(split))
        for utterance in tqdm(utterances, desc=f"speaking mini's {split}", leave=False):
            speak_utterance(utterance, found.root)
            found.keep(split, utterance, parse_voice(utterance.path)[0].variant)
    return found


def speak_utterance(utterance: Utterance, root: Path) -> None:
    """Write the utterance's recording below `root`, 22,050 Hz and 16 bits, unless it exists."""
    path = root / utterance.path
    if not path.exists():
        voice, seed = parse_voice(utterance.path)
        write_recording(path, speak(utterance.pinyin, voice, seed), TTS_SAMPLE_RATE)


def parse_voice(path: str) -> tuple[Voice, int]:
    """The voice and the seed in a path such as `f2/r160_p50/0007.wav`. Raises ValueError."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"{path!r} does not name a voice as mini's paths do")
    numbers = [int(match[name]) for name in ("rate", "pitch", "range") if match[name]]
    voice = Voice(match["variant"], *numbers)
    return voice, int(match["number"]) + 1


def fingerprint() -> str:
    """Changes whenever mini does: with its manifests, its label source and the way it is spoken."""
    content = b"".join(manifest_path(split).read_bytes() for split in SPLITS)
    content += (LABEL_SOURCE + SPELLING_VERSION + version("espeakng-loader")).encode()
    return hashlib.sha256(content).hexdigest()[:12]


CORPUS = Corpus(
    name="mini",
    description="everyday phrases and numbers in robot voices, made on this machine",
    licence="none needed: made on your machine by espeak-ng",
    label_source=LABEL_SOURCE,
    prepare=prepare,
    version=fingerprint(),
    embedded=True,
    synthetic=True,
)
