"""Paths: files that the project ships, and the folder of prepared corpora."""

import os
from pathlib import Path

import platformdirs

__all__ = [
    "BENCHMARKS", "DATA_CONFIG", "MODELS", "NOTEBOOKS", "PACKAGE", "REPOSITORY", "SHIPPED",
    "SHIPPED_LANGUAGE_MODEL", "SHIPPED_MODEL", "data_dir",
]

PACKAGE = Path(__file__).parent.parent
# data_config/ and models/ are beside the package in a checkout, inside it in an installed wheel.
SHIPPED = PACKAGE if (PACKAGE / "data_config").is_dir() else PACKAGE.parent
DATA_CONFIG = SHIPPED / "data_config"
MODELS = SHIPPED / "models"
SHIPPED_MODEL = MODELS / "audio-cmn.safetensors"
SHIPPED_LANGUAGE_MODEL = DATA_CONFIG / "syllables.arpa"
# Only in a checkout.
REPOSITORY = PACKAGE.parent
NOTEBOOKS = REPOSITORY / "notebooks"
BENCHMARKS = REPOSITORY / "benchmarks"


def data_dir() -> Path:
    """Return the folder of prepared corpora: `$RAMOSPEECH_DATA`, or the platform's user data folder."""
    return Path(os.environ.get("RAMOSPEECH_DATA") or platformdirs.user_data_dir("ramospeech"))
