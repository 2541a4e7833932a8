"""Compiled code is kept where it may be, and does not read outside its arrays."""

import os
import pickle
import runpy
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from llvmlite.binding import get_host_cpu_name
from numba.core.dispatcher import Dispatcher

from ramospeech.decoding import alignment, compiled_beam

TESTS = Path(__file__).parent
SCRIPT = """
from ramospeech.utils.compiler import compiled

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


def test_code_for_one_processor_is_not_run_on_another(tmp_path):
    """Both are kept, side by side: a folder may be shared by machines."""
    if (host := get_host_cpu_name()) == "generic":
        pytest.skip("LLVM does not know this processor")
    for name in (host, "generic"):
        assert run_script(tmp_path, NUMBA_CPU_NAME=name) == ["3", "0", "1"]
    for name in (host, "generic"):
        assert run_script(tmp_path, NUMBA_CPU_NAME=name) == ["3", "1", "0"]


def test_where_nothing_can_be_kept_it_compiles_each_time(tmp_path):
    """Read-only, as for an installation of the system's, and a user without a home."""
    (tmp_path / "__pycache__").touch()  # a file: no folder can be made there, not even by root
    nowhere = {name: "/dev/null" for name in ("HOME", "XDG_CACHE_HOME")}
    for _ in range(2):
        assert run_script(tmp_path, **nowhere) == ["3", "0", "1"]


# Damage


def start(folder: Path) -> tuple[int, int, int]:
    """A fresh start of the script in this process: the sum, how often it loaded, and compiled."""
    path = folder / "script.py"
    if not path.exists():
        path.write_text(SCRIPT[:SCRIPT.index("print")])
    add = runpy.run_path(str(path))["add"]
    return add(1, 2), sum(add.stats.cache_hits.values()), sum(add.stats.cache_misses.values())


def flip(data: bytes) -> bytes:
    """One bit of the machine code, in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]


DAMAGES = [
    lambda data: b"", lambda data: data[:10], lambda data: data[:-1], lambda data: bytes(len(data)),
    lambda data: b"garbage\n", lambda data: pickle.dumps("0.1") + data,  # of another version
    lambda data: pickle.dumps(("another", "thing")),
]


@pytest.mark.parametrize("kind, damage", [*product(["nbi", "nbc"], DAMAGES), ("nbc", flip)])
def test_damaged_code_is_compiled_anew(tmp_path, kind, damage):
    assert start(tmp_path) == (3, 0, 1) and start(tmp_path) == (3, 1, 0)
    kept, = tmp_path.glob(f"__pycache__/*.{kind}")
    kept.write_bytes(damage(kept.read_bytes()))
    assert start(tmp_path) == (3, 0, 1)
    assert start(tmp_path) == (3, 1, 0)  # and it was kept


def test_code_that_is_gone_is_compiled_anew(tmp_path):
    start(tmp_path)
    next(tmp_path.glob("__pycache__/*.nbc")).unlink()
    assert start(tmp_path) == (3, 0, 1) and start(tmp_path) == (3, 1, 0)


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_where_code_cannot_be_kept_the_search_goes_on(tmp_path, kind):
    """A folder stands in the way, which neither can be read nor replaced, not even by root."""
    start(tmp_path)
    kept, = tmp_path.glob(f"__pycache__/*.{kind}")
    kept.unlink()
    kept.mkdir()
    assert start(tmp_path) == start(tmp_path) == (3, 0, 1)


@pytest.mark.slow
def test_the_search_mends_its_cache(tmp_path):
    """All of it filled with zeros, as after a power cut."""
    def is_loaded() -> int:
        script = ("from ramospeech.decoding.prefix_beam import warm_up\n"
                  "print(int(warm_up() == 0))")
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(TESTS.parent)}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True,
                              text=True)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    assert (is_loaded(), is_loaded()) == (0, 1)
    kept = [path for path in tmp_path.rglob("*.nb?") if path.is_file()]
    assert {path.suffix for path in kept} == {".nbi", ".nbc"}
    for path in kept:
        path.write_bytes(bytes(path.stat().st_size))
    assert (is_loaded(), is_loaded()) == (0, 1)


# What is compiled


@pytest.mark.parametrize("module", [compiled_beam, alignment])
def test_compiled_code_calls_none_of_another_file(module):
    """Numba does not notice when such a file changes, and would load what is out of date."""
    called = [item for item in vars(module).values() if isinstance(item, Dispatcher)]
    assert called and {item.py_func.__module__ for item in called} == {module.__name__}


@pytest.mark.slow
def test_with_bounds_checked(tmp_path):
    """All tests of the searches again, in a process where an index out of bounds is an error."""
    script = ("import numpy\nfrom ramospeech.utils.compiler import compiled\n"
              "compiled(lambda array, index: array[index])(numpy.zeros(2), 5)")
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    broken = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True)
    assert b"IndexError" in broken.stderr  # the check is on
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         TESTS / "test_prefix_beam.py", TESTS / "test_ngram.py"],
        env=environment, cwd=TESTS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
