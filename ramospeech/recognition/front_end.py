"""The front end of every command that listens: recordings of any length, a few segments at once.

    recordings -> segments -> batches -> results of segments -> results of recordings

Segments of several recordings share a batch, and a recording's may lie in several. What is held in
memory does not depend on how many recordings there are, or how long.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from torch import Tensor

from ramospeech.audio.io import SAMPLE_RATE, AudioError
from ramospeech.audio.segmentation import LONGEST, Segment, read_segments
from ramospeech.recognition.results import Result
from ramospeech.utils.memory import in_halves, tidy

LARGEST_BATCH = round(LONGEST * SAMPLE_RATE)  # samples, padding included: as much as one segment
Listen = Callable[[list[Tensor]], list[Result]]  # to a batch of waveforms, (samples,) each
Work = tuple[Result, Segment | None]  # a segment, and the result of its recording; None at its end


def read_recordings(
    paths: Iterable[Path | str], listen: Listen, batch_size: int = 8, count: int = 1,
    tell: Callable[[float], object] = lambda seconds: None,
) -> Iterator[Result]:
    """What `listen` finds in recordings, in the order given, each with its `count` best readings.

    It is handed `batch_size` segments at most, each of a minute at most. A recording that cannot be
    read has an `error`, and what was found before it broke. `tell` hears how many seconds were done.
    """
    for batch in _batches(_segments(paths), batch_size):
        found = iter(_listen(batch, listen))
        for result, segment in batch:
            if segment is None:
                yield result
            else:
                result.add(next(found), segment.start, count)
                tell(len(segment.waveform) / SAMPLE_RATE)


def _segments(paths: Iterable[Path | str]) -> Iterator[Work]:
    """Every segment of every recording, and after them the recording's end."""
    for path in paths:
        result = Result(str(path))
        try:
            for segment in read_segments(path):
                yield result, segment
        except AudioError as error:
            result.error = str(error)
        yield result, None


def _batches(work: Iterable[Work], size: int) -> Iterator[list[Work]]:
    """As many segments as may share a batch, and the ends among them."""
    batch: list[Work] = []
    for item in work:
        if item[1] and not _fits([*_waveforms(batch), item[1].waveform], size):
            yield batch
            batch = []
        batch.append(item)
        if len(batch) >= 2 * size or not _waveforms(batch):  # no result waits longer than it must
            yield batch
            batch = []
    if batch:
        yield batch


def _fits(waveforms: list[Tensor], size: int) -> bool:
    padded = len(waveforms) * max(map(len, waveforms))
    return len(waveforms) == 1 or (len(waveforms) <= size and padded <= LARGEST_BATCH)


def _waveforms(batch: list[Work]) -> list[Tensor]:
    return [segment.waveform for _, segment in batch if segment]


def _listen(batch: list[Work], listen: Listen) -> list[Result]:
    """A result for each segment of a batch; its time is shared by length."""
    started = time.perf_counter()
    waiting = [(result, segment.waveform) for result, segment in batch if segment]
    found = in_halves(waiting, lambda part: listen([waveform for _, waveform in part]), _refuse)
    a_sample = (time.perf_counter() - started) / max(1, sum(len(waveform) for _, waveform in waiting))
    for result, (_, waveform) in zip(found, waiting):
        result.elapsed = a_sample * len(waveform)
    tidy()
    return found


def _refuse(item: tuple[Result, Tensor]) -> Result:
    result, waveform = item
    seconds = len(waveform) / SAMPLE_RATE
    return Result(error=f"{result.file}: {seconds:.1f} s of it do not fit into memory", refused=True)
