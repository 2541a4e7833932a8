"""Source code and versions, shown in a notebook."""

import inspect
from collections.abc import Callable
from importlib.metadata import version

from IPython.display import Markdown, display

__all__ = ["show_source", "show_versions"]


def show_source(*objects: Callable[..., object]) -> None:
    """Show the source code of functions and classes, each with its file."""
    for item in objects:
        module = item.__module__.replace(".", "/")
        source = inspect.getsource(item).rstrip()
        display(Markdown(f"`{module}.py`\n```python\n{source}\n```"))


def show_versions(*packages: str) -> None:
    """Print the installed version of each package, one per line."""
    for package in packages:
        print(f"{package:16} {version(package)}")
