"""What takes long: kills, installed wheels, clean clones. Run by `make test-slow`."""

import os
import random
import signal
import site
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from test_house import REPOSITORY, build_wheel
from test_trainer import same

from ramospeech.data.corpora import open_split
from ramospeech.models.checkpoints import load_checkpoint, load_model

pytestmark = pytest.mark.slow


# Runs the command; kills itself without notice after so many steps, in the middle of something.
KILLED = """
import os, signal, sys
from ramospeech.cli.main import main
from ramospeech.models.checkpoints import torch
from ramospeech.training.runs import Run
from ramospeech.training.trainer import Trainer

steps, place = int(sys.argv[1]), sys.argv[2]

def kill_in(name):
    if steps < 0 and place == name:
        os.kill(os.getpid(), signal.SIGKILL)

def train_batch(*arguments, work=Trainer.train_batch):
    global steps
    steps -= 1
    kill_in("a step")
    return work(*arguments)

def save(state, draft, work=torch.save):
    work(state, draft)
    os.truncate(draft, os.path.getsize(draft) // 2)
    kill_in("a checkpoint")
    work(state, draft)

def evaluate(*arguments, work=Trainer.evaluate):
    kill_in("an evaluation")
    return work(*arguments)

def keep_if_best(*arguments, work=Run._keep_if_best):
    work(*arguments)
    kill_in("what follows a best model")

torch.save, Run._keep_if_best = save, keep_if_best
Trainer.train_batch, Trainer.evaluate = train_batch, evaluate
sys.exit(main(sys.argv[3:]))
"""
PLACES = ("a step", "a checkpoint", "an evaluation", "what follows a best model")
KILLS = 20


def train_flags(folder: Path) -> list[str]:
    return ["train", "--model_path", str(folder), "--epochs", "40", "--batch_size", "2",
            "--save_step", "3", "--ema_decay", "0.9"]


def test_a_training_that_is_killed_twenty_times_ends_as_if_nothing_had_happened(
    small_mini, tmp_path
):
    """At any step, in the middle of any work, with any number of workers; to the last bit."""
    rng = random.Random(2019)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # sums are added up in the same order
    checkpoint = tmp_path / "killed" / "dfcnn" / "checkpoint.pt"
    kills, steps_done = Counter(), []
    while kills.total() < KILLS:
        place, steps = rng.choice(PLACES), rng.randint(1, 9)
        flags = [*train_flags(tmp_path / "killed"), "--workers", str(rng.choice([0, 0, 1, 2])),
                 "--save_minutes", rng.choice(["0", "0.01", "5"])]
        flags += ["--load_model"] if checkpoint.exists() else []
        done = subprocess.run([sys.executable, "-c", KILLED, str(steps), place, *flags],
                              env=environment, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills[place] += 1
        steps_done.append(load_checkpoint(checkpoint)["step"])
    assert set(kills) == set(PLACES) and steps_done == sorted(steps_done)
    command = [sys.executable, "-m", "ramospeech.cli.main"]
    subprocess.run([*command, *train_flags(tmp_path / "killed"), "--load_model"],
                   env=environment, check=True)
    subprocess.run([*command, *train_flags(tmp_path / "whole")], env=environment, check=True)

    killed, whole = (load_checkpoint(tmp_path / name / "dfcnn" / "checkpoint.pt")
                     for name in ("killed", "whole"))
    assert whole["epoch"] == 40 and whole["step"] == 240
    assert [key for key in whole if not same(killed[key], whole[key])] == []
    (best, _, facts), (other, _, found) = (
        load_model(tmp_path / name / "dfcnn" / "best.safetensors") for name in ("killed", "whole"))
    assert facts == found and same(best.state_dict(), other.state_dict())


def environment_with(home: Path, **more: str) -> dict[str, str]:
    """An empty HOME, no settings of the user, and no way out to the network."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("RAMOSPEECH", "XDG_", "PYTHON", "JUPYTER", "MAKE", "MFLAGS"))}
    closed = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "HTTP", "HTTPS")}
    home.mkdir()
    return kept | closed | {"HOME": str(home)} | more


def test_an_installed_wheel_works_by_itself(small_mini, tmp_path):
    """In a virtual environment of its own, which sees the packages of this one but not RamoSpeech.

    (A .pth file shows it this environment's folder, but not the .pth files in that folder, and
    so not the editable install of the repository.)
    """
    wheel = build_wheel(tmp_path)
    venv, packages = tmp_path / "venv", f"python{sys.version_info[0]}.{sys.version_info[1]}"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--python", python, "install",
                    "--no-deps", "--no-index", wheel], check=True)
    installed = venv / "lib" / packages / "site-packages"
    (installed / "shared.pth").write_text("\n".join(site.getsitepackages()))

    environment = environment_with(tmp_path / "home")

    def call(*arguments: str | Path) -> str:
        done = subprocess.run([venv / "bin" / "ramospeech", *arguments], cwd=tmp_path,
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = subprocess.run([python, "-c", "import ramospeech; print(ramospeech.__file__)"],
                           env=environment, cwd=tmp_path, capture_output=True, text=True).stdout
    assert Path(where.strip()).is_relative_to(installed)
    assert "transcribe" in call("--help")
    assert "not prepared" in call("corpora")
    environment["RAMOSPEECH_DATA"] = str(small_mini)
    call("train", "--epochs", "1", "--model_path", "runs")
    model = tmp_path / "runs" / "dfcnn" / "best.safetensors"
    recording = open_split("mini", "test").audio_path(0)
    assert call("transcribe", "--model", model, recording).startswith(str(recording))
    assert '"commit": "unknown"' in call("evaluate", "--json", "--model", model)


def test_a_clean_clone_runs_the_tutorial(tmp_path):
    """With an empty HOME and no network. The packages are those of this environment: to install
    them anew would take longer than everything else.
    """
    clone = tmp_path / "clone"
    done = subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", REPOSITORY, clone])
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    assert [path for path in clone.rglob("*") if path.is_symlink()] == []
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={clone} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (clone / ".venv" / "ready").touch()

    environment = environment_with(tmp_path / "home")
    where = subprocess.run([python, "-c", "import ramospeech; print(ramospeech.__file__)"],
                           cwd=clone, env=environment, capture_output=True, text=True).stdout
    assert Path(where.strip()).is_relative_to(clone)
    done = subprocess.run(["make", "tutorial"], cwd=clone, env=environment, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout[done.stdout.rindex("notebook "):].splitlines()
    for notebook in sorted((clone / "notebooks").glob("*.ipynb")):
        (row,) = [line.split(maxsplit=2) for line in table if line.startswith(f"{notebook.stem} ")]
        assert len(row) == 3, "no headline"
        assert (clone / "build" / f"{notebook.stem}.html").stat().st_size > 10_000
        executed = nbformat.read(clone / "build" / notebook.name, as_version=4)
        assert all(cell.get("execution_count") for cell in executed.cells
                   if cell.cell_type == "code" and cell.source.strip())
    # Nothing but what is ignored was written into the clone, and the corpus went into HOME.
    status = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True,
                            text=True).stdout
    assert status == ""
    assert list((tmp_path / "home").rglob("ramospeech/mini/train.txt"))
