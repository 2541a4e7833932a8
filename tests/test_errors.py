"""One base class for the errors of the module."""

import importlib
import inspect
import pkgutil

import ramospeech
from ramospeech import RamoSpeechError

OPTIONAL = {"ramospeech.demo.page", "ramospeech.training.elastic"}  # they need Gradio, or Horovod


def test_every_public_error_class_derives_from_the_base():
    names = {info.name for info in pkgutil.walk_packages(ramospeech.__path__, "ramospeech.")}
    modules = [importlib.import_module(name) for name in names - OPTIONAL]
    errors = {value for module in modules for name, value in vars(module).items()
              if inspect.isclass(value) and issubclass(value, Exception) and not name.startswith("_")
              and value.__module__.startswith("ramospeech.")}
    assert {error.__name__ for error in errors} >= {
        "AudioError", "CheckpointError", "CorpusError", "ManifestError", "UtteranceError"}
    assert [error for error in errors if not issubclass(error, RamoSpeechError)] == []
