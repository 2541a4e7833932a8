"""Measure the latency and the speed of `ramospeech speech2text`.

    python benchmarks/speech_to_text.py           # the first result, and a recording of 10 s
    python benchmarks/speech_to_text.py --hour    # also a recording of an hour (takes minutes)

Writes benchmarks/speech_to_text.json. The recordings are phrases of mini's test list with pauses
between them. Times are CPU seconds, which other load on the machine
affects less; a first run, which compiles, is not counted.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile
import torch

from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.data.corpora import open_split
from ramospeech.data.corpus import Split
from ramospeech.evaluation.report import commit, hardware
from ramospeech.recognition.speech_to_text import SpeechToText
from ramospeech.utils.files import write_text

OUTPUT = Path(__file__).with_suffix(".json")
ROUNDS = 3
PAUSE = np.zeros(SAMPLE_RATE // 5, np.float32)  # a fifth of a second


def main() -> None:
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    split = open_split("mini", "test")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        write_recording(path, split, 10)
        facts = {"command": "python benchmarks/speech_to_text.py", "commit": commit(),
                 "hardware": hardware(), "load_before": round(load, 1),
                 "ten_seconds": real_time_factor(path), "first_result": first_result(path)}
        if "--hour" in sys.argv:
            write_recording(path, split, 3600)
            facts["hour"] = whole_run(path)
        elif OUTPUT.exists():
            facts["hour"] = json.loads(OUTPUT.read_text()).get("hour")
    write_text(OUTPUT, json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))


def write_recording(path: Path, split: Split, seconds: int) -> None:
    """Return this many seconds of phrases in sequence; the last one is cut off."""
    left = seconds * SAMPLE_RATE
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        for index in cycle(range(len(split))):
            samples = np.concatenate([load_audio(split.audio_path(index)).numpy(), PAUSE])[:left]
            file.write(samples)
            left -= len(samples)
            if not left:
                return


def real_time_factor(path: Path) -> dict:
    """Measure one thread from the file to the hanzi, after loading the model."""
    speech, seconds = SpeechToText.load(), []
    next(speech.transcribe([path]))  # compiles
    for _ in range(ROUNDS):
        speech = SpeechToText.load()  # clears the caches
        started = time.process_time()
        (text,) = speech.transcribe([path])
        seconds.append(time.process_time() - started)
    return {"syllables": len(text.best.syllables), "cpu_seconds": round(min(seconds), 3),
            "real_time_factor": round(min(seconds) / soundfile.info(path).duration, 3)}


def first_result(path: Path) -> dict:
    """Measure the whole command on one recording of ten seconds."""
    runs = [whole_run(path) for _ in range(ROUNDS)]
    return {name: min(run[name] for run in runs) for name in ("wall_seconds", "cpu_seconds")}


def whole_run(path: Path) -> dict:
    """Run the command in its own process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "ramospeech.cli.main", "speech2text", "--json", path],
                          check=True, capture_output=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2),
            "megabytes": round(after.ru_maxrss / 1024),  # of the largest process up to now
            "syllables": len(json.loads(done.stdout)["pinyin"])}


def table(facts: dict) -> list[str]:
    """Return the table in the README."""
    ten, first, hour = facts["ten_seconds"], facts["first_result"], facts["hour"]
    rows = [(f"| ten seconds, {ten['syllables']} syllables, on one core | {ten['cpu_seconds']} s, "
             f"{ten['real_time_factor']} of real time |"),
            f"| the command for it, including its start | {first['wall_seconds']} s |"]
    if hour:
        rows.append(f"| the command for an hour, {hour['syllables']:,} syllables | "
                    f"{hour['wall_seconds']} s, {hour['megabytes']:,} MB |")
    return ["| recording | takes |", "| --- | --- |", *rows,
            "", f"By `{facts['command']}` at commit {facts['commit']}"]


if __name__ == "__main__":
    main()
