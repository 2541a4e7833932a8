"""Where things lie: what the project ships, and what it writes on the user's machine."""

import os
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).parent.parent
# In a checkout data_config/ and models/ lie beside the package, in an installed wheel inside it.
SHIPPED = PACKAGE if (PACKAGE / "data_config").is_dir() else PACKAGE.parent
DATA_CONFIG = SHIPPED / "data_config"
MODELS = SHIPPED / "models"
SHIPPED_MODEL = MODELS / "audio-cmn.safetensors"
SHIPPED_LANGUAGE_MODEL = DATA_CONFIG / "syllables.arpa"
# What only a checkout has; the notebooks run in whatever folder they are started.
REPOSITORY = PACKAGE.parent
NOTEBOOKS = REPOSITORY / "notebooks"
BENCHMARKS = REPOSITORY / "benchmarks"


def data_dir() -> Path:
    """The folder of prepared corpora: `$RAMOSPEECH_DATA`, or the platform's folder for user data."""
    return Path(os.environ.get("RAMOSPEECH_DATA") or platformdirs.user_data_dir("ramospeech"))
