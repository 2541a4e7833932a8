"""Real workers, started by horovodrun: the exported script, signals, elastic jobs, two machines."""

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
import torch
from exported import NOTEBOOK, export_script
from hangs import HANGS
from test_house import REPOSITORY
from test_trainer import SETTINGS, same

from ramospeech.models.checkpoints import load_checkpoint
from ramospeech.training.state import state_of
from ramospeech.training.trainer import Trainer

HOROVODRUN = Path(sys.executable).with_name("horovodrun")
built = pytest.mark.skipif(find_spec("horovod") is None, reason="Horovod is not built: make horovod")
FLAGS = ["--data_type", "mini", "--save_step", "1", "--batch_size", "2", "--workers", "0"]


@pytest.fixture
def script(tmp_path) -> Path:
    return export_script(tmp_path)


def environment() -> dict[str, str]:
    paths = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}


def run(*command, timeout: float = HANGS) -> subprocess.CompletedProcess:
    return subprocess.run(list(map(str, command)), env=environment(), capture_output=True,
                          text=True, timeout=timeout)


# The script


def test_the_script_has_all_cells_but_lessons(script):
    text = script.read_text()
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.source.strip()]
    kept = [cell for cell in cells if "lesson" not in cell.metadata.get("tags", [])]
    assert len(kept) >= 4 and len(cells) > 3 * len(kept)
    places = [text.index(cell.source) for cell in kept if cell.cell_type == "code"]
    assert places == sorted(places)
    for cell in cells:
        if cell not in kept:
            assert cell.source not in text
    header = text[:text.index("import sys")]
    assert "horovodrun -np 2 -H localhost:2 python build/06_distributed_training.py" in header


def test_importing_the_script_starts_nothing(script):
    watch = ("import sys, subprocess, runpy\n"
             "def refuse(event, _):\n"
             "    assert event not in ('subprocess.Popen', 'os.fork', 'os.posix_spawn', 'os.system')\n"
             "sys.argv = ['x', '--no-such-flag']\n"
             "import ramospeech.training.trainer, ramospeech.training.runs\n"
             "sys.addaudithook(refuse)\n"
             f"names = runpy.run_path({str(script)!r}, run_name='notebook')\n"
             "assert callable(names['main']) and 'horovod' not in sys.modules")
    done = run(sys.executable, "-c", watch)
    assert done.returncode == 0, done.stderr


def test_the_step_of_the_script_is_that_of_the_trainer(script, train, dev, one_thread):
    worker = runpy.run_path(str(script), run_name="notebook")["Worker"]
    assert issubclass(worker, Trainer) and vars(worker)["train_batch"] is not Trainer.train_batch
    states = []
    for kind in (worker, Trainer):
        trainer = kind(train, dev, replace(SETTINGS, ema_decay=0.9))
        trainer.train_epoch()
        states.append(state_of(trainer))
    assert same(*states)


def test_the_script_trains_in_one_process(script, small_mini, tmp_path):
    done = run(sys.executable, script, *FLAGS, "--model_path", tmp_path, "--model_name", "one",
               "--gpu_rank", "1", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path / "one" / "checkpoint.pt")["epoch"] == 1
    done = run(sys.executable, script, "--data_type", "nothing")
    assert done.returncode == 1 and "Traceback" not in done.stderr


@built
def test_the_script_trains_with_two_workers_and_resumes(script, small_mini, tmp_path):
    command = [HOROVODRUN, "-np", 2, "-H", "localhost:2", sys.executable, script, *FLAGS,
               "--model_path", tmp_path, "--model_name", "two", "--gpu_rank", "2"]
    done = run(*command, "--epochs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^\[(\d)\]<stdout>:epoch +1 ", done.stdout, re.M) == ["0"]  # one reports
    checkpoint = tmp_path / "two" / "checkpoint.pt"
    first = load_checkpoint(checkpoint)
    assert (first["epoch"], first["step"]) == (1, 3)  # of twelve utterances four a step
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1
    assert run(*command, "--epochs", "2").returncode != 0  # there is a run already
    done = run(*command, "--epochs", "2", "--load_model")
    assert done.returncode == 0 and "resuming after epoch 1" in done.stdout
    assert (load_checkpoint(checkpoint)["epoch"], load_checkpoint(checkpoint)["step"]) == (2, 6)


# Two workers with batch 2, or one with batch 4: no dropout, fixed batch statistics.
SAME = """
import sys, torch
from ramospeech.data.corpora import open_split
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.config.settings import Settings
from ramospeech.training.trainer import Trainer
from ramospeech.training.distributed import join_process_group

AcousticModel.train = lambda model, mode=True: torch.nn.Module.train(model, False)
with join_process_group() as group:
    train, dev = open_split("mini", "train"), open_split("mini", "dev")
    train.utterances[:] = train.utterances[:11]  # the last batch is uneven
    settings = Settings(batch_size=4 // group.size, rate_scaling=0.0, epochs=2, seed=1,
                        compression="compress" in sys.argv)
    trainer = Trainer(train, dev, settings, group=group)
    for _ in range(2):
        loss = trainer.train_epoch()
    models = group.gather({k: v for k, v in trainer.model.state_dict().items()})
    if group.is_first:
        assert all(torch.equal(model[k], models[0][k]) for model in models for k in model)
        torch.save({"loss": loss, "model": models[0]}, sys.argv[1])
"""


@built
@pytest.mark.parametrize("more, tolerance", [([], 1e-4), (["compress"], 2e-2)])
def test_horovod_gives_what_one_process_gives(small_mini, tmp_path, more, tolerance):
    (tmp_path / "same.py").write_text(SAME)
    program = [sys.executable, tmp_path / "same.py"]
    for command in ([*program, tmp_path / "one"],
                    [HOROVODRUN, "-np", 2, "-H", "localhost:2", *program, tmp_path / "two", *more]):
        done = run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (torch.load(tmp_path / name) for name in ("one", "two"))
    assert two["loss"] == pytest.approx(one["loss"], rel=tolerance)
    for name, tensor in one["model"].items():
        assert torch.allclose(two["model"][name], tensor, rtol=1e-2, atol=max(1e-3, tolerance)), name


@built
def test_an_error_of_one_worker_ends_all(small_mini, tmp_path):
    broken = SAME.replace("    for _ in range(2):", "    if group.rank == 1:\n"
                          "        raise SystemExit(3)\n    for _ in range(2):")
    (tmp_path / "broken.py").write_text(broken)
    done = run(HOROVODRUN, "-np", 2, "-H", "localhost:2", sys.executable, tmp_path / "broken.py",
               tmp_path / "out")
    assert done.returncode != 0 and not (tmp_path / "out").exists()


# Jobs that lose workers, and jobs that are stopped


class Job:
    """A command under horovodrun; what it says goes into a file, for pipes fill up."""

    def __init__(self, log: Path, *command) -> None:
        self.log = log
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=log.open("w"), stderr=subprocess.STDOUT,
            env=environment(), start_new_session=True)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = HANGS) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None or re.search(pattern, self.said()), self.said()
            return re.search(pattern, self.said()) is not None

        wait_until(is_there, seconds, lambda: f"not seen: {pattern}\n{self.said()}")

    def workers(self, name: str) -> list[int]:
        """Processes of Python that run `name`, those of them that are started by others last."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[1:2] == [name.encode()]:
                found.append(int(folder.name))
        return sorted(found)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(HANGS)


def wait_until(is_true: Callable[[], bool], seconds: float, why: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, why()
        time.sleep(0.2)


@pytest.fixture
def jobs() -> Iterator[list[Job]]:
    """Jobs of a test; whatever is left of them is ended with it."""
    started: list[Job] = []
    yield started
    for job in started:
        if job.process.poll() is None:
            job.process.terminate()
            try:
                job.process.wait(150)
            except subprocess.TimeoutExpired:
                job.process.kill()


def losses(text: str) -> dict[int, float]:
    """The loss of every epoch, as reported last."""
    return {int(epoch): float(loss) for epoch, loss in
            re.findall(r"epoch +(\d+)  loss +([\d.]+)", text)}


@pytest.mark.slow
@built
@pytest.mark.parametrize("lost", [0, 1])
def test_a_job_continues_without_a_killed_worker_and_takes_it_back(
    script, small_mini, tmp_path, jobs, lost
):
    command = [HOROVODRUN, "-np", 2, "--min-np", 1, "--max-np", 2, "-H",
               "localhost:1,127.0.0.1:1", "--network-interfaces", "lo",
               "--blacklist-cooldown-range", 5, 10, sys.executable, script, *FLAGS,
               "--learning_rate", 0.02, "--model_path", tmp_path, "--model_name", "elastic"]
    jobs.append(Job(tmp_path / "log", *command, "--epochs", 1000))
    (job,) = jobs
    job.wait_for(r"2 workers from step 0 of epoch 1")
    job.wait_for(r"epoch +3 ")
    (victim,) = [pid for pid in job.workers(str(script)) if rank_of(pid) == lost]
    os.kill(victim, signal.SIGKILL)
    job.wait_for(r"\n.*1 workers from step")
    job.wait_for(r"1 workers from step(.|\n)*2 workers from step(.|\n)*epoch +\d+ ")  # cooled down
    assert job.stop() == 0, job.said()
    state = load_checkpoint(tmp_path / "elastic" / "checkpoint.pt")
    found = losses(job.said())
    assert sorted(found) == list(range(1, max(found) + 1))  # no epoch is left out
    assert found[max(found)] < 0.8 * found[1]
    assert state["epoch"] in (max(found), max(found) - 1)
    assert "; saved in " in job.said()
    done = run(*command, "--epochs", state["epoch"] + 1, "--load_model")  # elastic, as before
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(losses(done.stdout)) == [state["epoch"] + 1]


def rank_of(pid: int) -> int:
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(int(word.split(b"=")[1]) for word in words if word.startswith(b"HOROVOD_RANK="))


@pytest.mark.slow
@built
@pytest.mark.parametrize("whole_job", [False, True])
def test_a_job_that_is_asked_to_stop_saves_and_resumes(
    script, small_mini, tmp_path, jobs, whole_job
):
    """Asked through horovodrun, or as batch systems ask: every process of the job."""
    command = [HOROVODRUN, "-np", 2, "-H", "localhost:2", sys.executable, script, *FLAGS,
               "--model_path", tmp_path, "--model_name", "stopped"]
    jobs.append(Job(tmp_path / "log", *command, "--epochs", 1000))
    (job,) = jobs
    job.wait_for(r"epoch +2 ")
    for pid in job.workers(str(script)) if whole_job else []:
        os.kill(pid, signal.SIGTERM)
    assert job.stop() == 0, job.said()
    state = load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")
    assert f"stopped after epoch {state['epoch']}" in job.said()
    done = run(*command, "--epochs", state["epoch"] + 1, "--load_model")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resuming after epoch {state['epoch']}" in done.stdout
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.pt")["epoch"] == state["epoch"] + 1
