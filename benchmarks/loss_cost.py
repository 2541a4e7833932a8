"""Measure time and memory of the losses alone, forward and backward, against a lower bound.

    python benchmarks/loss_cost.py

CTC is PyTorch's, with its log-softmax; `plain ace` is the formula in four lines of torch; `move`
reads the logits and writes as many numbers into new memory, the least that any loss with a gradient
must do. All take turns in one process, on one thread; the result is the median CPU time. On a GPU, if
there is one, it is the wall-clock time. Writes benchmarks/loss_cost.json.
"""

import ctypes
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from ramospeech.evaluation.report import commit, hardware
from ramospeech.losses.ace import ace_loss
from ramospeech.losses.ctc import ctc_loss
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
USUAL = {"batch": 32, "frames": 200, "classes": 1215, "labels": 30}
SIZES = [USUAL] + [USUAL | change for change in (
    {"frames": 100}, {"frames": 400}, {"frames": 800},
    {"classes": 40}, {"classes": 300}, {"classes": 5000},
    {"labels": 5}, {"labels": 90},
)]
TURNS = 9


def plain_ace(logits: Tensor, lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
    """The formula as one would write it; for targets that are all of one length."""
    ones = torch.ones_like(targets, dtype=logits.dtype)
    counts = torch.zeros_like(logits[:, 0]).scatter_add_(1, targets, ones)
    counts[:, 0] = lengths - target_lengths
    mean = logits.softmax(dim=-1).mean(dim=1)  # (batch, classes)
    return -(counts / lengths[:, None] * mean.log()).sum(dim=1).mean()


LOSSES = {"ctc": ctc_loss, "plain ace": plain_ace, "ace": ace_loss}


def make_batch(batch: int, frames: int, classes: int, labels: int, device: str) -> list[Tensor]:
    """Random logits `(batch, frames, classes)`, lengths, targets `(batch, labels)`, lengths."""
    generator = torch.Generator().manual_seed(2019)
    logits = torch.randn(batch, frames, classes, generator=generator)
    targets = torch.randint(1, classes, (batch, labels), generator=generator)
    sizes = [torch.full((batch,), size) for size in (frames, labels)]
    return [tensor.to(device) for tensor in (logits.requires_grad_(), sizes[0], targets, sizes[1])]


def jobs(size: dict[str, int], device: str) -> dict[str, Callable[[], object]]:
    """What is measured, by name; each leaves the gradient of the logits behind, or a copy."""
    logits, *others = make_batch(**size, device=device)
    logits = logits.detach().requires_grad_()

    def run(loss: Callable[..., Tensor]) -> None:
        torch.autograd.grad(loss(logits, *others), logits)

    def move() -> None:
        torch.empty_like(logits).copy_(logits.detach())

    return {name: lambda loss=loss: run(loss) for name, loss in LOSSES.items()} | {"move": move}


def measure(size: dict[str, int], device: str) -> dict:
    work = jobs(size, device)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    memory = {name: peak_megabytes(job, device) for name, job in work.items()}  # and warms up
    for _ in range(TURNS):
        for name, job in work.items():
            seconds[name].append(time_of(job, device))
    milliseconds = {name: round(1000 * median(times), 2) for name, times in seconds.items()}
    return {"size": size, "device": hardware(device), "milliseconds": milliseconds,
            "megabytes": memory}


def time_of(job: Callable[[], object], device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    _wait(device)
    started = clock()
    job()
    _wait(device)
    return clock() - started


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def peak_megabytes(job: Callable[[], object], device: str) -> float:
    """How much more memory is in use, at most, while the job runs than before it."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        job()
        return round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)
    job()  # what is loaded at the first call is not the job's
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    job()
    return round((_status("VmHWM") - before) / 1e3, 1)


def _status(name: str) -> int:
    """A line of what Linux tells of this process, in kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def table(rows: list[dict]) -> list[str]:
    names = list(rows[0]["milliseconds"])
    lines = [f"{'batch T classes labels':24}" + "".join(f"{name:>18}" for name in names)
             + "   ctc / ace"]
    for row in rows:
        cells = "".join(f"{row['milliseconds'][name]:9.1f} ms{row['megabytes'][name]:4.0f} MB"
                        for name in names)
        ratio = row["milliseconds"]["ctc"] / row["milliseconds"]["ace"]
        lines.append(f"{' '.join(map(str, row['size'].values())):24}{cells}{ratio:12.1f}")
    return lines


def usual_table(row: dict) -> list[str]:
    """One size as the README shows it."""
    names = {"ctc": "CTC (PyTorch's)", "plain ace": "ACE in four lines", "ace": "ACE",
             "move": "reading and writing the logits"}
    times, memory = row["milliseconds"], row["megabytes"]
    return ["| forward and backward of the loss alone | time | extra memory |", "| --- | --- | --- |",
            *(f"| {words} | {times[name]:.1f} ms | {memory[name]:.0f} MB |"
              for name, words in names.items())]


def main() -> None:
    torch.set_num_threads(1)
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    rows = [measure(size, device) for device in devices for size in SIZES]
    facts = {"command": "python benchmarks/loss_cost.py", "commit": commit(), "rows": rows}
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print("\n".join(table(rows)))


if __name__ == "__main__":
    main()
