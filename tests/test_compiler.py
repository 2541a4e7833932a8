"""Compiled code is kept where it may be, and does not read outside its arrays."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.dispatcher import Dispatcher

from ramospeech import alignment, compiled_beam

TESTS = Path(__file__).parent
SCRIPT = """
from ramospeech.compiler import compiled

@compiled
def add(one, other):
    return one + other

print(add(1, 2), sum(add.stats.cache_hits.values()), sum(add.stats.cache_misses.values()))
"""


def run_script(folder: Path, **environment: str) -> list[str]:
    """What the script prints: the sum, then how often code was loaded and how often compiled."""
    (folder / "script.py").write_text(SCRIPT)
    environment = {"PYTHONPATH": str(TESTS.parent), "NUMBA_CACHE_DIR": ""} | environment
    done = subprocess.run([sys.executable, folder / "script.py"], env=os.environ | environment,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_second_start_loads(tmp_path):
    assert run_script(tmp_path) == ["3", "0", "1"]
    assert run_script(tmp_path) == ["3", "1", "0"]


def test_where_nothing_can_be_kept_it_compiles_each_time(tmp_path):
    """Read-only, as for an installation of the system's, and a user without a home."""
    (tmp_path / "__pycache__").touch()  # a file: no folder can be made there, not even by root
    nowhere = {name: "/dev/null" for name in ("HOME", "XDG_CACHE_HOME")}
    for _ in range(2):
        assert run_script(tmp_path, **nowhere) == ["3", "0", "1"]


@pytest.mark.parametrize("module", [compiled_beam, alignment])
def test_compiled_code_calls_none_of_another_file(module):
    """Numba does not notice when such a file changes, and would load what is out of date."""
    called = [item for item in vars(module).values() if isinstance(item, Dispatcher)]
    assert called and {item.py_func.__module__ for item in called} == {module.__name__}


@pytest.mark.slow
def test_with_bounds_checked(tmp_path):
    """All tests of the searches again, in a process where an index out of bounds is an error."""
    script = ("import numpy\nfrom ramospeech.compiler import compiled\n"
              "compiled(lambda array, index: array[index])(numpy.zeros(2), 5)")
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    broken = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert b"IndexError" in broken.stderr  # the check is on
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         TESTS / "test_prefix_beam.py", TESTS / "test_language_model.py"],
        env=environment, cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
