"""Run the notebooks in order (`make tutorial`).

    python -m tools.tutorial notebooks/*.ipynb

Executed copies and HTML pages go to `build/`; a table of times and headlines ends the run. A notebook's
headline is the output of its cell tagged `headline`. `nbconvert --execute` could not take this over: it
stops at the first notebook that fails, writes nothing of that one, and changes the working directory.
"""

import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from tqdm import tqdm

BUILD = Path("build")
CELL_TIMEOUT = 1800  # seconds; a cell that takes longer hangs
# The pages do not need the scripts that nbconvert would load from the network.
NOTHING_FROM_THE_NETWORK = {"require_js_url": "", "mathjax_url": "", "mermaid_js_url": ""}

STYLE = "<style>.highlight pre { font-family: monospace; }</style>"  # for source shown as output


class Result(NamedTuple):
    name: str
    seconds: float
    headline: str
    failed: bool = False


def main(paths: list[str]) -> int:
    """Run every notebook; return 0 if all of them succeeded."""
    if not paths:
        print("no notebooks given: python -m tools.tutorial notebooks/*.ipynb")
        return 2
    for path in paths:
        if not Path(path).is_file():
            print(f"no such notebook: {path}")
            return 2
    BUILD.mkdir(exist_ok=True)
    results = [run_notebook(Path(path)) for path in paths]
    print_table(results)
    return 1 if any(result.failed for result in results) else 0


def run_notebook(path: Path) -> Result:
    """Execute a notebook; write its copy and its page, also if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    started, error = time.monotonic(), None
    try:
        _execute(notebook, path.stem)
    except CellExecutionError as trouble:
        error = f"failed: {trouble.ename}: {trouble.evalue}".splitlines()[0]
    except (CellTimeoutError, DeadKernelError) as trouble:
        error = f"failed: {trouble}".splitlines()[0]
    nbformat.write(notebook, BUILD / path.name)
    page, _ = HTMLExporter(**NOTHING_FROM_THE_NETWORK).from_notebook_node(notebook)
    page = page.replace("</head>", STYLE + "</head>", 1)
    (BUILD / path.with_suffix(".html").name).write_text(page, encoding="utf-8")
    seconds = time.monotonic() - started
    return Result(path.stem, seconds, error or find_headline(notebook), error is not None)


def _execute(notebook: NotebookNode, name: str) -> None:
    with tqdm(total=len(notebook.cells), desc=name, unit="cell") as bar:
        client = NotebookClient(
            notebook, timeout=CELL_TIMEOUT, resources={"metadata": {"path": os.getcwd()}},
            extra_arguments=["--log-level=40"],  # errors only: no warning about local sockets
            on_cell_complete=lambda cell, cell_index: bar.update(cell_index + 1 - bar.n),
        )
        client.execute(env=os.environ | {"TQDM_DISABLE": "1"})  # no progress bars in the pages
        bar.update(len(notebook.cells) - bar.n)


def find_headline(notebook: NotebookNode) -> str:
    """Return the first line printed by the cell tagged `headline`."""
    for cell in notebook.cells:
        if "headline" in cell.metadata.get("tags", []):
            text = "".join(output.get("text", "") for output in cell.outputs)
            return text.strip().splitlines()[0] if text.strip() else ""
    return ""


def print_table(results: list[Result]) -> None:
    """Print one line per notebook: name, seconds, and headline or error."""
    width = max(len(result.name) for result in results)
    print(f"\n{'notebook':{width}}  seconds  headline")
    for name, seconds, headline, _ in results:
        print(f"{name:{width}}  {seconds:7.0f}  {headline}")
    print(f"\nexecuted copies and pages: {BUILD}/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
