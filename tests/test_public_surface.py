"""What `import ramospeech` offers, and the examples in docstrings."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ramospeech
from ramospeech.data.corpora import open_split
from ramospeech.recognition.speech_to_text import SpeechToText

PACKAGE = Path(ramospeech.__file__).parent
WITH_EXAMPLES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text(encoding="utf-8")
]


def test_the_import_is_light():
    program = "import sys, ramospeech; print({'torch', 'numpy', 'tqdm'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_all_is_there():
    assert all(hasattr(ramospeech, name) for name in ramospeech.__all__)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0 and found.failed == 0


def test_the_public_functions_have_examples():
    assert "ramospeech" in WITH_EXAMPLES


def test_recordings_are_transcribed_as_the_model_does(small_mini):
    split = open_split("mini", "test")
    paths = [split.audio_path(index) for index in range(2)]
    expected = list(SpeechToText.load().transcribe(paths))
    assert list(ramospeech.transcribe(paths)) == expected
    model = ramospeech.load_model()
    for path in (paths[0], str(paths[0])):  # one file need not be in a list
        (result,) = ramospeech.transcribe(path, model=model)
        assert (result.file, result.hanzi) == (str(path), expected[0].hanzi)
    (result,) = ramospeech.transcribe(paths[:1], model=model, nbest=3)
    assert result.hanzi == expected[0].hanzi and len(result.transcripts) == 3


def test_a_missing_model():
    with pytest.raises(ramospeech.RamoSpeechError, match="nowhere.safetensors: no such model"):
        ramospeech.load_model("nowhere.safetensors")
