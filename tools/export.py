"""The training script out of the notebook on distributed training, as `make export` writes it.

    python -m tools.export [NOTEBOOK]

Cells tagged `lesson` (toys, figures, launches) stay in the notebook.
"""

import sys
from pathlib import Path

from nbconvert import PythonExporter
from nbconvert.preprocessors import TagRemovePreprocessor

from ramospeech.config.paths import NOTEBOOKS, REPOSITORY
from ramospeech.utils.files import write_text

NOTEBOOK = NOTEBOOKS / "06_distributed_training.ipynb"
BUILD = REPOSITORY / "build"


def export(notebook: Path = NOTEBOOK, folder: Path = BUILD) -> Path:
    """Write the script into `folder`; returns its path."""
    exporter = PythonExporter(exclude_input_prompt=True)
    exporter.register_preprocessor(
        TagRemovePreprocessor(remove_cell_tags={"lesson"}), enabled=True)
    source, _ = exporter.from_filename(str(notebook))
    script = folder / f"{notebook.stem}.py"
    write_text(script, source)
    return script


if __name__ == "__main__":
    print(export(Path(sys.argv[1]) if sys.argv[1:] else NOTEBOOK))
