"""Build Horovod once, keep the wheel, and install it into the environment of this Python.

    make horovod

Horovod's last release (0.28.1, 2023) compiles as C++14, but PyTorch's headers need C++17, and if it
finds `nvcc` on the PATH it requires a complete CUDA toolkit. So this script downloads the source
release from the package index, patches a few lines, and caches the wheel under the versions that it
depends on. With a GPU, a CUDA toolkit and NCCL, the workers communicate through NCCL, otherwise
through Gloo. A second patch lets `horovodrun` wait for a process that was asked to stop.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

import platformdirs

VERSION = "0.28.1"
SOURCE_SHA256 = "92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0"
# CMake 4 rejects Horovod's bundled projects; newer versions of setuptools may reject its setup.py.
TOOLS = ("cmake>=3.18,<4", "setuptools>=70.1,<81", "wheel", "packaging")

# Patches: file, old text, new text.
CPP_17 = [
    ("CMakeLists.txt", "set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 17)"),
    ("horovod/torch/CMakeLists.txt", "set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 17)"),
]
# horovodrun forwards SIGTERM to the children of the shell that it starts a command in. But a shell
# with a single command replaces itself with that command, which was then killed without a warning.
STOP_GENTLY = [("horovod/runner/common/util/safe_shell_exec.py",
                "    # Terminate children gracefully.\n    for child in p.children():",
                """\
    if p.cmdline()[1:2] != ['-c']:
        p.terminate()
        try:
            p.wait(timeout=GRACEFUL_TERMINATION_TIME_S)
            return
        except psutil.TimeoutExpired:
            pass

    # Terminate children gracefully.
    for child in p.children():"""),
               ("horovod/runner/common/util/safe_shell_exec.py",
                "GRACEFUL_TERMINATION_TIME_S = 5", "GRACEFUL_TERMINATION_TIME_S = 60")]
NO_CUDA = [("cmake/Modules/FindPytorch.cmake",
            'string(TOUPPER "${Pytorch_CUDA}" Pytorch_CUDA)', "set(Pytorch_CUDA FALSE)")]
SWITCHES = {"HOROVOD_WITH_PYTORCH": "1", "HOROVOD_WITHOUT_TENSORFLOW": "1",
            "HOROVOD_WITHOUT_MXNET": "1", "HOROVOD_WITH_GLOO": "1", "HOROVOD_WITHOUT_MPI": "1"}


class CannotBuild(RuntimeError):
    """The message says what is missing and how to install it."""


def main() -> int:
    """Return 0 if Horovod is installed, 1 (and print the reason) if it cannot be built."""
    try:
        wheel = kept_wheel()
        if not wheel.exists():
            refuse_without_tools()
            build(wheel)
        install(wheel)
    except CannotBuild as error:
        print(f"Horovod {VERSION} is not installed: {error}\n"
              "Everything else works without it, on one process.", file=sys.stderr)
        return 1
    command = [str(Path(sys.executable).with_name("horovodrun")), "--check-build"]
    return subprocess.run(command).returncode


def kept_wheel() -> Path:
    """Return the cache path of the wheel for this Python and PyTorch. Raises CannotBuild."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise CannotBuild(f"PyTorch is missing in {sys.prefix}; run `make setup` first") from None
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    machine, links = os.uname().machine, "nccl" if nccl_folder() else "gloo"
    folder = platformdirs.user_cache_path("ramospeech") / "horovod"
    return (folder / f"torch-{torch}-{links}"
            / f"horovod-{VERSION}-{python}-{python}-{sys.platform}_{machine}.whl")


def nccl_folder() -> Path | None:
    """Return the folder of NCCL's headers and library, if there are also a GPU and a CUDA toolkit."""
    import torch

    nvcc = shutil.which("nvcc")
    beside = Path(nvcc).resolve().parents[1] if nvcc else "/none"
    toolkit = Path(os.environ.get("CUDA_HOME") or beside)
    if not (torch.cuda.is_available() and (toolkit / "include" / "cuda_runtime.h").exists()):
        return None  # nvcc alone is not enough
    return next((place for place in (toolkit, Path("/usr")) if _has_nccl(place)), None)


def _has_nccl(place: Path) -> bool:
    libraries = [*place.glob("lib*/libnccl.so"), *place.glob("lib/*/libnccl.so")]
    return bool(libraries) and (place / "include" / "nccl.h").exists()


def refuse_without_tools() -> None:
    """Raise CannotBuild, naming what is missing."""
    for tool, package in (("g++", "g++"), ("make", "make")):
        if shutil.which(os.environ.get("CXX", tool) if tool == "g++" else tool) is None:
            raise CannotBuild(f"{tool} is missing: apt install {package}")


def build(wheel: Path) -> None:
    """Download, patch and compile the source; the wheel is written atomically."""
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as work:
        tools = Path(work) / "tools"
        _pip("install", "--target", str(tools), *TOOLS)
        environment = _environment(tools)
        source = unpack(fetch(Path(work), environment), Path(work))
        change(source, CPP_17 + STOP_GENTLY + ([] if nccl_folder() else NO_CUDA))
        print(f"building Horovod {VERSION} for PyTorch {metadata.version('torch')}: this takes some minutes, "
              "only once", flush=True)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", work, str(source),
             environment=environment, log=wheel.with_suffix(".log"))
        (built,) = Path(work).glob("horovod-*.whl")
        built.replace(wheel)


def _environment(tools: Path) -> dict[str, str]:
    """Return the environment variables of the build: paths to its tools, and Horovod's options."""
    nccl = nccl_folder()
    gpu = {"HOROVOD_GPU_OPERATIONS": "NCCL", "HOROVOD_NCCL_HOME": str(nccl)} if nccl else {}
    return os.environ | SWITCHES | gpu | {
        "PYTHONPATH": str(tools), "HOROVOD_CMAKE": str(tools / "bin" / "cmake"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MAKEFLAGS": f"-j{len(os.sched_getaffinity(0))}",
    }


def fetch(folder: Path, environment: dict[str, str]) -> Path:
    """Download the source release from the package index. Raises CannotBuild."""
    _pip("download", "--no-deps", "--no-build-isolation", "--no-binary", "horovod",
         "--dest", str(folder), f"horovod=={VERSION}", environment=environment)
    archive = folder / f"horovod-{VERSION}.tar.gz"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        raise CannotBuild(f"{archive.name} has an unexpected checksum (SHA-256 {found})")
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the release, whose checksum is the expected one."""
    with tarfile.open(archive) as file:
        # Python 3.11.2, as in Debian 12, has no filters; this is how its manual says to do without.
        file.extraction_filter = getattr(tarfile, "data_filter", None)
        file.extractall(folder)  # noqa: S202 by the filter, or by the checksum, nothing lands outside
    return folder / f"horovod-{VERSION}"


def change(source: Path, changes: list[tuple[str, str, str]]) -> None:
    """Apply patches. Raises CannotBuild if a file lacks the text to be replaced."""
    for name, old, new in changes:
        text = (source / name).read_text(encoding="utf-8")
        if old not in text:
            raise CannotBuild(f"{name} has no line {old!r}: is this a release other than {VERSION}?")
        (source / name).write_text(text.replace(old, new), encoding="utf-8")


def install(wheel: Path) -> None:
    """Install the wheel here, even over a Horovod that was built for another PyTorch."""
    _pip("install", str(wheel))  # with its dependencies
    _pip("install", "--force-reinstall", "--no-deps", str(wheel))


def _pip(
    *arguments: str, environment: dict[str, str] | None = None, log: Path | None = None
) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, env=environment, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if log:
        log.write_text(done.stdout, encoding="utf-8")
    if done.returncode != 0:
        last = "\n".join(done.stdout.strip().splitlines()[-15:])
        where = f"; the full log is {log}" if log else ""
        raise CannotBuild(f"pip {arguments[0]} failed{where}:\n{last}")


if __name__ == "__main__":
    # Run as a file, Python searches this folder first, but the package is one level up.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    sys.exit(main())
