"""SIGTERM and Ctrl-C: the training command saves and ends well; nothing else is changed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hangs import HANGS

from ramospeech.models.checkpoints import load_checkpoint
from ramospeech.utils.signal_handling import StopRequest

SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_asks_the_second_acts(number, capfd):
    acted = []
    before = signal.signal(number, lambda *_: acted.append(number))
    try:
        with StopRequest() as request:
            assert not request.asked
            signal.raise_signal(number)
            assert request.asked and acted == []
            signal.raise_signal(number)
            assert acted == [number]
    finally:
        signal.signal(number, before)
    assert "once more stops at once" in capfd.readouterr().err


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ZeroDivisionError), StopRequest():
        assert signal.getsignal(signal.SIGTERM) != before[0]
        raise ZeroDivisionError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def start_training(folder: Path, *flags: str) -> subprocess.Popen:
    """A long training, in a group of processes of its own, as a terminal starts it."""
    command = [sys.executable, "-m", "ramospeech.cli.main", "train", "--model_path", str(folder),
               "--epochs", "1000", "--batch_size", "4", *flags]
    process = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    while process.poll() is None and not (folder / "dfcnn" / "best.safetensors").exists():
        time.sleep(0.05)  # until an epoch is done: all processes are at work
    return process


@pytest.mark.parametrize("number, whole_group", [
    (signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True),
])
def test_a_signal_saves_and_says_how_to_go_on(small_mini, tmp_path, number, whole_group):
    process = start_training(tmp_path, "--workers", "2", "--save_minutes", "60")
    (os.killpg if whole_group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == 0, err
    assert "Traceback" not in err and err.count("once more stops at once") == 1
    said, command = out.splitlines()[-2:]
    assert said.startswith("stopped after epoch ") and command.split()[-1] == "--load_model"
    state = load_checkpoint(tmp_path / "dfcnn" / "checkpoint.pt")
    assert f"stopped after epoch {state['epoch']}" in said
    assert state["step"] == 3 * state["epoch"] + len(state["losses"]) > 3

    # The command that was printed goes on from there.
    arguments = [*command.split()[1:], "--epochs", str(state["epoch"] + 1), "--workers", "0"]
    again = subprocess.run([sys.executable, "-m", "ramospeech.cli.main", *arguments],
                           capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert said.removeprefix("stopped").split(";")[0] in again.stdout  # resuming after ...
    assert load_checkpoint(tmp_path / "dfcnn" / "checkpoint.pt")["epoch"] == state["epoch"] + 1


ENDLESS_STEP = """
import signal, sys, time
from ramospeech.cli.main import main
from ramospeech.training.trainer import Trainer

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

def train_batch(*_):
    print("a step begins", flush=True)
    time.sleep(7200)

Trainer.train_batch = train_batch
sys.exit(main(["train", "--model_path", sys.argv[1], "--workers", "0"]))
"""


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_second_signal_does_not_wait(small_mini, tmp_path, number, status):
    process = subprocess.Popen([sys.executable, "-c", ENDLESS_STEP, str(tmp_path)], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.stdout.readline() != "a step begins\n":
        assert process.poll() is None
    process.send_signal(number)
    while "once more stops at once" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=HANGS)
    assert process.returncode == status
    assert load_checkpoint(tmp_path / "dfcnn" / "checkpoint.pt")["step"] == 0
