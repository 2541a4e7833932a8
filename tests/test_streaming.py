"""From recordings to segments, batches and results, without a model: the ear is a function."""

import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.audio.io import AudioError
from ramospeech.audio.segmentation import Segment
from ramospeech.recognition import streaming
from ramospeech.recognition.streaming import recognise_recordings
from ramospeech.recognition.results import Result, Transcript

SECOND = 100  # samples, in these tests


@pytest.fixture
def recordings(monkeypatch):
    """Let names stand for recordings: the seconds of their segments, with a ! where they break."""
    def read(path: str):
        start = 0.0
        for seconds in map(float, path.removesuffix("!").split()):
            yield Segment(start, torch.zeros(round(seconds * SECOND)))
            start += seconds
        if path.endswith("!"):
            raise AudioError(f"{path}: broken")

    monkeypatch.setattr(streaming, "read_segments", read)
    monkeypatch.setattr(streaming, "SAMPLE_RATE", SECOND)
    monkeypatch.setattr(streaming, "LARGEST_BATCH", 100 * SECOND)


def hear(waveforms: list[torch.Tensor]) -> list[Result]:
    """A syllable of each segment, in its middle: its length."""
    return [Result(transcripts=[Transcript((f"{len(item)}",), (len(item) / SECOND / 2,), -1.0)])
            for item in waveforms]


names = st.lists(st.builds(
    lambda seconds, end: " ".join(map(str, seconds)) + end,
    st.lists(st.integers(1, 60), max_size=6), st.sampled_from(["", "", "!"])), max_size=8)


@pytest.mark.usefixtures("recordings")
class TestFrontEnd:
    @given(names=names, size=st.integers(1, 5))
    def test_every_result_is_that_of_its_own_segments(self, names, size):
        batches, told = [], []

        def listen(waveforms):
            batches.append([len(item) / SECOND for item in waveforms])
            return hear(waveforms)

        results = list(recognise_recordings(names, listen, size, progress=told.append))
        lengths = [list(map(int, name.removesuffix("!").split())) for name in names]
        assert [result.file for result in results] == names
        for name, seconds, result in zip(names, lengths, results):
            assert result.syllables == tuple(str(item * SECOND) for item in seconds)
            assert result.seconds == tuple(sum(seconds[:place]) + seconds[place] / 2
                                           for place in range(len(seconds)))
            assert result.error == (f"{name}: broken" if name.endswith("!") else None)
        every = sum(lengths, [])
        assert sum(batches, []) == told == every  # nothing twice, nothing lost, in order
        assert all(len(batch) == 1 or (len(batch) <= size and len(batch) * max(batch) <= 100)
                   for batch in batches)
        assert results == list(recognise_recordings(names, hear, 1))

    def test_short_recordings_share_a_batch(self):
        sizes = []
        list(recognise_recordings(["4"] * 20, lambda items: sizes.append(len(items)) or hear(items), 8))
        assert sizes == [8, 8, 4]

    def test_a_result_does_not_wait_for_the_next_recording(self):
        asked = []
        results = recognise_recordings((asked.append(name) or name for name in ["1", "!", "2"]), hear, 1)
        assert next(results).syllables == ("100",) and asked == ["1"]
        assert next(results).error and asked == ["1", "!"]

    @pytest.mark.parametrize("size", [1, 4, 100])
    def test_hours_are_never_held(self, monkeypatch, size):
        """Of ten hours, no more than a batch, the next one, and the segment behind it."""
        alive = weakref.WeakSet()
        most = 0

        def read(path):
            nonlocal most
            for minute in range(600):
                waveform = torch.zeros(60 * SECOND)
                alive.add(waveform)
                most = max(most, len(alive))
                yield Segment(60.0 * minute, waveform)
                del waveform

        monkeypatch.setattr(streaming, "read_segments", read)
        (result,) = recognise_recordings(["hours"], hear, size)
        assert len(result.syllables) == 600 and result.seconds[-1] == 600 * 60 - 30
        assert most <= 3

    def test_what_does_not_fit_into_memory_is_halved_and_at_last_refused(self):
        tried = []

        def listen(waveforms):
            tried.append(len(waveforms))
            if len(waveforms) > 2 or 50 * SECOND in map(len, waveforms):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
            return hear(waveforms)

        results = list(recognise_recordings(["4", "4", "4", "4", "4 50 5"], listen, 4))
        assert tried == [4, 2, 2, 2, 1, 1, 1]
        assert [item.error for item in results[:4]] == [None] * 4
        assert results[4].error == "4 50 5: 50.0 s of it do not fit into memory"
        assert results[4].out_of_memory and results[4].syllables == ("400", "500")

    def test_other_errors_are_not_taken_for_a_lack_of_memory(self):
        def listen(waveforms):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        with pytest.raises(RuntimeError, match="mat1"):
            list(recognise_recordings(["4", "4"], listen))
