"""Build Horovod once, keep the wheel, and install it into the environment of this Python.

    make horovod

Its last release (0.28.1, 2023) asks for C++14, PyTorch's headers for C++17; and where a lone `nvcc`
lies on the PATH it wants all of CUDA. So the source release of that name comes from the package
index, a few lines are changed, and the wheel is kept by the versions that it depends on. With a GPU,
a CUDA toolkit and NCCL it talks by NCCL, otherwise by Gloo. And `horovodrun` is taught to let a
process that is asked to end do so.
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
# CMake 4 refuses what Horovod's third parties ask of it; newer setuptools may refuse its setup.py.
TOOLS = ("cmake>=3.18,<4", "setuptools>=70.1,<81", "wheel", "packaging")

# file, what stands there, what shall stand there
CPP_17 = [
    ("CMakeLists.txt", "set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 17)"),
    ("horovod/torch/CMakeLists.txt", "set(CMAKE_CXX_STANDARD 14)", "set(CMAKE_CXX_STANDARD 17)"),
]
# horovodrun passes SIGTERM on to the children of the shell that it starts a command in. But a shell
# with one command becomes that command, which was stopped and killed unasked.
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
    """What is missing, and what to do about it."""


def main() -> int:
    """0 where Horovod is installed, 1 where it cannot be built; the reason is printed."""
    try:
        wheel = kept_wheel()
        if not wheel.exists():
            refuse_without_tools()
            build(wheel)
        install(wheel)
    except CannotBuild as error:
        print(f"Horovod {VERSION} is not installed: {error}\n"
              "Everything works without it, on one process.", file=sys.stderr)
        return 1
    command = [str(Path(sys.executable).with_name("horovodrun")), "--check-build"]
    return subprocess.run(command).returncode


def kept_wheel() -> Path:
    """Where the wheel for this Python and this PyTorch is kept. Raises CannotBuild."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise CannotBuild(f"there is no PyTorch in {sys.prefix}; run `make setup` first") from None
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    machine, links = os.uname().machine, "nccl" if nccl_folder() else "gloo"
    folder = platformdirs.user_cache_path("ramospeech") / "horovod"
    return (folder / f"torch-{torch}-{links}"
            / f"horovod-{VERSION}-{python}-{python}-{sys.platform}_{machine}.whl")


def nccl_folder() -> Path | None:
    """NCCL's headers and library, if a GPU and a CUDA toolkit are here as well."""
    import torch

    nvcc = shutil.which("nvcc")
    beside = Path(nvcc).resolve().parents[1] if nvcc else "/none"
    toolkit = Path(os.environ.get("CUDA_HOME") or beside)
    if not (torch.cuda.is_available() and (toolkit / "include" / "cuda_runtime.h").exists()):
        return None  # a lone nvcc is no toolkit
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
    """Fetch, change and compile the source; the wheel appears whole or not at all."""
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheel.parent) as work:
        tools = Path(work) / "tools"
        _pip("install", "--target", str(tools), *TOOLS)
        environment = _environment(tools)
        source = unpack(fetch(Path(work), environment), Path(work))
        change(source, CPP_17 + STOP_GENTLY + ([] if nccl_folder() else NO_CUDA))
        print(f"building Horovod {VERSION} for PyTorch {metadata.version('torch')}: some minutes, "
              "this once", flush=True)
        _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", work, str(source),
             environment=environment, log=wheel.with_suffix(".log"))
        (built,) = Path(work).glob("horovod-*.whl")
        built.replace(wheel)


def _environment(tools: Path) -> dict[str, str]:
    """What the build sees: its own tools, PyTorch, and Horovod's switches."""
    nccl = nccl_folder()
    gpu = {"HOROVOD_GPU_OPERATIONS": "NCCL", "HOROVOD_NCCL_HOME": str(nccl)} if nccl else {}
    return os.environ | SWITCHES | gpu | {
        "PYTHONPATH": str(tools), "HOROVOD_CMAKE": str(tools / "bin" / "cmake"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MAKEFLAGS": f"-j{len(os.sched_getaffinity(0))}",
    }


def fetch(folder: Path, environment: dict[str, str]) -> Path:
    """The source release, from the package index. Raises CannotBuild."""
    _pip("download", "--no-deps", "--no-build-isolation", "--no-binary", "horovod",
         "--dest", str(folder), f"horovod=={VERSION}", environment=environment)
    archive = folder / f"horovod-{VERSION}.tar.gz"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SOURCE_SHA256:
        raise CannotBuild(f"{archive.name} is not the release that is known (SHA-256 {found})")
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / f"horovod-{VERSION}"


def change(source: Path, changes: list[tuple[str, str, str]]) -> None:
    """Put new lines for old ones. Raises CannotBuild where an old one is not there."""
    for name, old, new in changes:
        text = (source / name).read_text(encoding="utf-8")
        if old not in text:
            raise CannotBuild(f"{name} has no line {old!r}: another release than {VERSION}?")
        (source / name).write_text(text.replace(old, new), encoding="utf-8")


def install(wheel: Path) -> None:
    """Into this environment, also over a Horovod that was built for another PyTorch."""
    _pip("install", str(wheel))  # with what it needs
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
        where = f"; all of it is in {log}" if log else ""
        raise CannotBuild(f"pip {arguments[0]} failed{where}:\n{last}")


if __name__ == "__main__":
    # Run as a file, Python looks for modules in this folder first: the package lies one above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    sys.exit(main())
