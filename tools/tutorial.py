"""Run the notebooks in order, as `make tutorial` does.

    python -m tools.tutorial notebooks/*.ipynb

They run in the folder where it is started. Leaves executed copies and HTML pages in `build/`, and ends
with a table. A notebook's headline is what its cell tagged `headline` prints.
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
# The pages need none of the scripts that nbconvert would have a browser fetch.
NOTHING_FROM_THE_NETWORK = {"require_js_url": "", "mathjax_url": "", "mermaid_js_url": ""}

STYLE = "<style>.highlight pre { font-family: monospace; }</style>"  # of source that a cell shows


class Result(NamedTuple):
    name: str
    seconds: float
    headline: str
    failed: bool = False


def main(paths: list[str]) -> int:
    """Run every notebook; 0 where all of them ran to their ends."""
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
    """Execute a notebook, and write its copy and its page, as far as it came."""
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
            extra_arguments=["--log-level=40"],  # errors, not that local sockets are not encrypted
            on_cell_complete=lambda cell, cell_index: bar.update(cell_index + 1 - bar.n),
        )
        client.execute(env=os.environ | {"TQDM_DISABLE": "1"})  # bars do not belong on a page
        bar.update(len(notebook.cells) - bar.n)


def find_headline(notebook: NotebookNode) -> str:
    """The first line that the cell tagged `headline` printed."""
    for cell in notebook.cells:
        if "headline" in cell.metadata.get("tags", []):
            text = "".join(output.get("text", "") for output in cell.outputs)
            return text.strip().splitlines()[0] if text.strip() else ""
    return ""


def print_table(results: list[Result]) -> None:
    """A line for each notebook: how long it took and what came of it."""
    width = max(len(result.name) for result in results)
    print(f"\n{'notebook':{width}}  seconds  headline")
    for name, seconds, headline, _ in results:
        print(f"{name:{width}}  {seconds:7.0f}  {headline}")
    print(f"\nexecuted copies and pages: {BUILD}/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
