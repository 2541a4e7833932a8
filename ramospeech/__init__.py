"""RamoSpeech: Mandarin speech recognition to learn from and to use.

    import ramospeech

    for result in ramospeech.transcribe(["a.wav", "b.mp3"]):
        print(result.file, result.error or result.hanzi, result.syllables, result.seconds)

Each package is a station of a recording on its way from sound to text: `audio`, `language`, `losses`,
`models`, `data`, `decoding`, `recognition`, `evaluation`, `training`. The docstring of each says what
it may import. `cli` is the command `ramospeech`, `demo` the page to speak to, `notebook` what the
course draws and plays. Importing `ramospeech` itself imports no torch.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ramospeech.utils.errors import RamoSpeechError

if TYPE_CHECKING:
    from ramospeech.recognition.results import Result
    from ramospeech.recognition.speech_to_text import SpeechToText

__all__ = ["RamoSpeechError", "__version__", "load_model", "transcribe"]

__version__ = "0.1.0"


def load_model(path: Path | str | None = None, device: str = "cpu") -> "SpeechToText":
    """Load the shipped model, or a model file (.safetensors), with the shipped lexicon.

    >>> model = load_model()
    >>> [result] = model.transcribe(["missing.wav"])
    >>> result.error
    'missing.wav: no such file'

    `device` is a device of PyTorch, such as "cuda". Raises CheckpointError.
    """
    from ramospeech.config.paths import SHIPPED_MODEL
    from ramospeech.recognition.speech_to_text import SpeechToText

    return SpeechToText.load(SHIPPED_MODEL if path is None else Path(path), device)


def transcribe(
    paths: Iterable[Path | str] | Path | str, *, model: "SpeechToText | None" = None,
    batch_size: int = 8, nbest: int = 1,
) -> Iterator["Result"]:
    """Yield a `Result` for each recording, in order; read batch by batch, whatever the lengths.

    A recording is WAV, FLAC, OGG or MP3. Without `model`, the shipped one is loaded. A recording that
    cannot be read has the reason in `error`, and the others are still read.

    >>> for result in transcribe(["missing.wav", "also_missing.flac"]):
    ...     print(result.error or result.hanzi)
    missing.wav: no such file
    also_missing.flac: no such file
    """
    files = [paths] if isinstance(paths, (str, Path)) else paths
    return (model or load_model()).transcribe(files, batch_size, nbest)
