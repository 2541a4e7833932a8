"""Measure the conversion of a line of 100,000 syllables to hanzi, and of short runs with the plain lattice.

    python benchmarks/long_line.py

The text is `mini`'s training list, repeated.
"""

import resource
import time
from collections.abc import Callable
from itertools import chain, cycle, islice

from ramospeech.data.manifest import read_manifest
from ramospeech.data.recipes.mini import manifest_path
from ramospeech.evaluation.report import commit, hardware
from ramospeech.language.pinyin_to_hanzi import LONGEST_RUN, Converter

SYLLABLES, SHORT = 100_000, 4_000


def main() -> None:
    utterances = read_manifest(manifest_path("train"))
    text = list(islice(cycle(chain.from_iterable(item.syllables for item in utterances)), SYLLABLES))
    converter, line = Converter.load(), " ".join(text)
    runs = [" ".join(text[place:place + LONGEST_RUN]) for place in range(0, SHORT, LONGEST_RUN)]
    converter.convert(" ".join(text[:2 * LONGEST_RUN]))  # compiles, or loads the compiled code
    plain = 1000 / SHORT * seconds(lambda: [converter.convert(run) for run in runs])
    for count in (1, 5):
        long = seconds(lambda count=count: converter.candidates(line, count))  # type: ignore[misc]
        each = 1000 * long / SYLLABLES
        print(f"{count} best: {long:5.1f} s, {each:.3f} ms per syllable; "
              f"the plain lattice {plain:.3f} ms, {plain / each:.1f} times as long")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory: {memory:.0f} MB; {SYLLABLES:,} syllables; commit {commit()}, {hardware()}")


def seconds(run: Callable[[], object]) -> float:
    """Return CPU seconds of one core."""
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
