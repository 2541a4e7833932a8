"""Stream recordings of any length through a recogniser, a few segments at a time.

    recordings -> segments -> batches -> results of segments -> results of recordings

A batch may hold segments of several recordings, and a recording may be spread over several batches.
Memory use depends neither on the number of recordings nor on their length.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from torch import Tensor

from ramospeech.audio.io import SAMPLE_RATE, AudioError
from ramospeech.audio.segmentation import LONGEST, Segment, read_segments
from ramospeech.recognition.results import Result
from ramospeech.utils.memory import in_halves, tidy

__all__ = ["recognise_recordings"]

LARGEST_BATCH = round(LONGEST * SAMPLE_RATE)  # samples, padding included: as much as one segment
Recognise = Callable[[list[Tensor]], list[Result]]  # takes a batch of waveforms, (samples,) each
Progress = Callable[[float], object]  # takes the seconds of audio done since the last call
Work = tuple[Result, Segment | None]  # a segment, and the result of its recording; None at its end


def recognise_recordings(
    paths: Iterable[Path | str], recognise: Recognise, batch_size: int = 8, nbest: int = 1,
    progress: Progress = lambda seconds: None,
) -> Iterator[Result]:
    """Yield a result with its `nbest` best transcripts for each recording, in the order given.

    `recognise` gets at most `batch_size` segments, each at most a minute long. If a recording cannot
    be read, its result has an `error`, and the transcript of what came before the damage.
    """
    for batch in _batches(_segments(paths), batch_size):
        found = iter(_recognise(batch, recognise))
        for result, segment in batch:
            if segment is None:
                yield result
            else:
                result.add(next(found), segment.start, nbest)
                progress(len(segment.waveform) / SAMPLE_RATE)


def _segments(paths: Iterable[Path | str]) -> Iterator[Work]:
    """Yield every segment of every recording, and None after the last one of each recording."""
    for path in paths:
        result = Result(str(path))
        try:
            for segment in read_segments(path):
                yield result, segment
        except AudioError as error:
            result.error = str(error)
        yield result, None


def _batches(work: Iterable[Work], size: int) -> Iterator[list[Work]]:
    """Group the segments that may share a batch, with the ends of recordings between them."""
    batch: list[Work] = []
    for item in work:
        if item[1] and not _fits([*_waveforms(batch), item[1].waveform], size):
            yield batch
            batch = []
        batch.append(item)
        if len(batch) >= 2 * size or not _waveforms(batch):  # no finished result waits for long
            yield batch
            batch = []
    if batch:
        yield batch


def _fits(waveforms: list[Tensor], size: int) -> bool:
    padded = len(waveforms) * max(map(len, waveforms))
    return len(waveforms) == 1 or (len(waveforms) <= size and padded <= LARGEST_BATCH)


def _waveforms(batch: list[Work]) -> list[Tensor]:
    return [segment.waveform for _, segment in batch if segment]


def _recognise(batch: list[Work], recognise: Recognise) -> list[Result]:
    """Return a result for each segment; the time for the batch is split by length."""
    started = time.perf_counter()
    waiting = [(result, segment.waveform) for result, segment in batch if segment]
    found = in_halves(
        waiting, lambda part: recognise([waveform for _, waveform in part]), _out_of_memory)
    per_sample = (time.perf_counter() - started) / max(1, sum(len(item) for _, item in waiting))
    for result, (_, waveform) in zip(found, waiting):
        result.elapsed = per_sample * len(waveform)
    tidy()
    return found


def _out_of_memory(item: tuple[Result, Tensor]) -> Result:
    result, waveform = item
    seconds = len(waveform) / SAMPLE_RATE
    return Result(error=f"{result.file}: {seconds:.1f} s of it do not fit into memory",
                  out_of_memory=True)
