"""Measure the efficiency of two workers: Horovod, DistributedDataParallel, and independent trainings.

    python benchmarks/distributed.py [PRESET] [ROUNDS]

Prints a table and writes benchmarks/distributed.json. Two processes of one thread each train on the same
batches, held in memory, in turns: one of them alone, both independently, both with Horovod, and both
with DistributedDataParallel over Gloo. Other load on the machine affects all alike, so quote the ratios.
Also measures the time and memory that one process needs to start with a list as long as AISHELL's and,
on a GPU, the speed of one process in float32 and in bfloat16.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from read_manifest import LINES, utterances
from torch.nn.parallel import DistributedDataParallel

from ramospeech.config.settings import Settings
from ramospeech.data.corpora import open_split
from ramospeech.data.manifest import write_manifest
from ramospeech.data.sampler import BucketSampler
from ramospeech.data.usable import find_unusable
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.training.distributed import ProcessGroup, average, join_process_group
from ramospeech.training.trainer import Trainer
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
STEPS = {"lesson": 6, "full": 2}
WAYS = ("one alone", "two apart", "Horovod", "DDP")


def main(preset: str = "lesson", rounds: str = "8") -> None:
    """Start two workers, which write the file."""
    launcher = Path(sys.executable).with_name("horovodrun")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1",
                                "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"}
    subprocess.run([launcher, "-np", "2", "-H", "localhost:2", sys.executable, __file__,
                    "--worker", preset, rounds], env=environment, check=True)


def work(preset: str, rounds: int) -> None:
    load = os.getloadavg()[0]
    with join_process_group() as group:
        turns = Turns(group, preset)
        for way in WAYS:
            turns.take(way)  # warm-up for each shape
        times = [{way: turns.take(way) for way in WAYS[first % 4:] + WAYS[:first % 4]}
                 for first in range(rounds)]  # in varying order
        exchange = turns.exchange_seconds()
        if group.is_first:
            facts = {"command": f"python benchmarks/distributed.py {preset} {rounds}",
                     "commit": commit(), "hardware": hardware(), "cores": os.cpu_count(),
                     "load_before": round(load, 1), "preset": preset,
                     **summary(times, exchange, turns), "aishell": start_up()}
            if torch.cuda.is_available():
                facts["one_gpu"] = gpu_rates(preset)
            print(json.dumps(facts, indent=2))
            write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")


class Turns:
    """Train on the same batches in several ways; all processes start a turn together."""

    def __init__(self, group: ProcessGroup, preset: str) -> None:
        self.group = group
        dist.init_process_group("gloo", rank=group.rank, world_size=group.size)
        settings, steps = Settings(preset=preset, augment=False), STEPS[preset]
        train = open_split("mini", "train")
        few = replace(train, utterances=train.utterances[:steps * settings.batch_size * group.size])
        self.ours = Trainer(few, few, settings, group=group)
        self.alone = Trainer(few, few, settings)
        self.ddp = Trainer(few, few, settings)
        for trainer in (self.ours, self.alone, self.ddp):
            trainer.model.train()
        self.ddp.forward_backward = self._through(DistributedDataParallel(self.ddp.model))
        self.batches = list(self.ours.data.loader)
        self.seconds = sum(int(batch.feature_lengths.sum()) for batch in self.batches) / 100

    def _through(self, parallel: DistributedDataParallel) -> Callable:
        """`forward_backward`, but the forward pass goes through `parallel`, which exchanges gradients."""
        def forward_backward(batch, weight=1.0):
            logits = parallel(batch.features, batch.feature_lengths)
            loss = weight * self.ddp._checked_loss(logits, batch)
            loss.backward()
            return loss.item()

        return forward_backward

    def take(self, way: str) -> tuple[float, float]:
        """Return the seconds until both have finished, and the sum of their CPU seconds."""
        trainer = {"Horovod": self.ours, "DDP": self.ddp}.get(way, self.alone)
        dist.barrier()
        started, busy = time.perf_counter(), time.process_time()
        if way != "one alone" or self.group.is_first:
            for batch in self.batches:
                trainer.train_batch(batch)
        taken = time.perf_counter() - started, time.process_time() - busy
        wall, processor = zip(*self.group.gather(taken))
        return max(wall), sum(processor)

    def exchange_seconds(self, times: int = 20) -> float:
        """Return the seconds of one exchange of all gradients, when both are ready."""
        for parameter in self.ours.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        seconds = []
        for _ in range(times):
            dist.barrier()
            started = time.perf_counter()
            average(self.group, self.ours.model, 1.0, len(self.batches[0].indices))
            seconds.append(time.perf_counter() - started)
        return statistics.median(seconds)


def summary(times: list[dict], exchange: float, turns: Turns) -> dict:
    """Return the medians of the ratios of successive turns."""
    def ratio(one: str, other: str) -> list[float]:
        """Return the ratio of the seconds, and that of the CPU seconds."""
        return [round(statistics.median(turn[one][kind] / turn[other][kind] for turn in times), 3)
                for kind in (0, 1)]

    audio = {"one alone": turns.seconds} | {way: 2 * turns.seconds for way in WAYS[1:]}
    step = statistics.median(turn["two apart"][0] for turn in times) / len(turns.batches)
    return {
        "parameters": sum(parameter.numel() for parameter in turns.ours.model.parameters()),
        "seconds_of_audio_a_second": {
            way: round(audio[way] / statistics.median(turn[way][0] for turn in times), 1)
            for way in WAYS},
        # wall-clock time, and CPU time, which other load affects less
        "efficiency_horovod": ratio("two apart", "Horovod"),
        "efficiency_ddp": ratio("two apart", "DDP"),
        "horovod_against_ddp": ratio("DDP", "Horovod"),
        "step_seconds": round(step, 4), "exchange_seconds": round(exchange, 4),
        "exchange_of_step": round(exchange / step, 4),
    }


def gpu_rates(preset: str) -> dict:
    """Return seconds of audio per second on one GPU, with batches held in memory."""
    train = open_split("mini", "train")
    rates: dict[str, str | float] = {"gpu": hardware("cuda")}
    for precision in ("float32", "bfloat16"):
        settings = Settings(preset=preset, precision=precision, batch_size=32, augment=False)
        trainer = Trainer(train, train, settings, "cuda")
        trainer.model.train()
        batches = [batch.to("cuda") for batch in trainer.data.loader]
        for _ in range(2):  # the first round is the warm-up
            torch.cuda.synchronize()
            started = time.perf_counter()
            for batch in batches:
                trainer.train_batch(batch)
            torch.cuda.synchronize()
        seconds = sum(int(batch.feature_lengths.sum()) for batch in batches) / 100
        rates[precision] = round(seconds / (time.perf_counter() - started), 1)
    return rates


def start_up() -> dict:
    """Return CPU seconds and memory of a process that reads such a list and plans an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder) / "train.txt", utterances())
        done = subprocess.run([sys.executable, __file__, "--start", folder], check=True,
                              capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def start(folder: str) -> None:
    """Without recordings: their lengths are random."""
    from ramospeech.data.corpus import Split
    from ramospeech.data.manifest import read_manifest

    before = most_megabytes()
    started = time.process_time()
    split = Split("aishell", "train", read_manifest(Path(folder) / "train.txt"), Path(folder), "")
    seconds = np.random.default_rng(0).uniform(2, 10, len(split))
    listed = time.process_time()
    find_unusable(split, seconds, Vocabulary.read())
    checked = time.process_time()
    BucketSampler(seconds, 16, True).plan(0)
    facts = {"lines": LINES, "read_seconds": round(listed - started, 2),
             "check_seconds": round(checked - listed, 2),
             "plan_seconds": round(time.process_time() - checked, 2),
             "megabytes_before": before, "megabytes_after": most_megabytes()}
    print(json.dumps(facts))


def most_megabytes() -> int:
    """Return the peak memory of this process. (`ru_maxrss` includes its parent's.)"""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines()
               if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["--start"]:
        start(sys.argv[2])
    else:
        main(*sys.argv[1:])
