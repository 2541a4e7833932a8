"""From files to pinyin: whatever is handed over, in the order it was handed over."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ramospeech.audio import segmentation
from ramospeech.audio.features import extract_features
from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.segmentation import read_segments
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.checkpoints import CheckpointError, save_model
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.recognition import streaming
from ramospeech.recognition import recogniser as recogniser_module
from ramospeech.recognition.recogniser import OUTPUT_SECONDS, Recogniser, frame_seconds


@pytest.fixture(scope="module")
def recogniser(small_data) -> Recogniser:
    """An untrained model, made to say something to everything, and not always the same."""
    torch.manual_seed(1)
    vocabulary = Vocabulary.read()
    model = AcousticModel.from_preset("lesson", len(vocabulary)).eval()
    waveform = load_audio(min((small_data / "recordings").rglob("*.wav")))
    with torch.no_grad():  # take away what all frames have in common, and the blank
        features, lengths = extract_features(waveform[None], torch.tensor([len(waveform)]))
        model.fc3.bias.sub_(model(features, lengths)[0].mean(dim=0))
        model.fc3.bias[0] = -100
    return Recogniser(model, vocabulary)


@pytest.fixture
def recordings(small_data) -> list[Path]:
    return sorted((small_data / "recordings").rglob("*.wav"))[:7]


@pytest.fixture
def bad_files(tmp_path) -> list[tuple[Path, str]]:
    """Files that cannot be recognised, and a word of the reason."""
    tone = np.sin(np.arange(16_000) / 5).astype(np.float32)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("no sound")
    (tmp_path / "folder.wav").mkdir()
    soundfile.write(tmp_path / "nothing.wav", tone[:0], 16_000)
    soundfile.write(tmp_path / "short.wav", tone[: 400 + 6 * 160], 16_000)  # 7 frames
    soundfile.write(tmp_path / "silent.flac", 0 * tone, 16_000)
    soundfile.write(tmp_path / "nan.wav", tone * np.nan, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "cut.wav", tone, 16_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:9000])
    return [(tmp_path / name, reason) for name, reason in [
        ("missing.wav", "no such file"), ("empty.wav", ""), ("text.mp3", ""), ("folder.wav", ""),
        ("nothing.wav", ""), ("short.wav", "too short"), ("silent.flac", "silent"),
        ("nan.wav", "finite"), ("cut.wav", "truncated"),
    ]]


def test_bad_files_give_errors_in_their_places(recogniser, recordings, bad_files):
    files = [item for pair in zip(recordings, (path for path, _ in bad_files)) for item in pair]
    files += [path for path, _ in bad_files[len(recordings):]]
    reasons = dict(bad_files)
    transcripts = list(recogniser.transcribe(iter(files), batch_size=3))
    assert [transcript.file for transcript in transcripts] == [str(path) for path in files]
    for path, transcript in zip(files, transcripts):
        if path in reasons:
            assert transcript.error.startswith(f"{path}: ") and reasons[path] in transcript.error
            assert transcript.syllables == transcript.seconds == ()
        else:
            assert transcript.error is None and transcript.syllables


def test_a_batch_equals_one_by_one(recogniser, recordings):
    together = list(recogniser.transcribe(recordings, batch_size=len(recordings)))
    assert together == list(recogniser.transcribe(recordings, batch_size=1))
    assert together == [next(recogniser.transcribe([path])) for path in recordings]
    assert len({tuple(transcript.syllables) for transcript in together}) > 1  # else it proves little


def test_a_long_recording_does_not_make_all_the_others_long(recogniser, recordings, monkeypatch):
    """Padded to the longest, a batch of short recordings and a lecture would fill the memory."""
    together = list(recogniser.transcribe(recordings))
    seconds, pad = [], recogniser_module.pad_sequence
    monkeypatch.setattr(streaming, "LARGEST_BATCH", 3 * SAMPLE_RATE)
    monkeypatch.setattr(recogniser_module, "pad_sequence", lambda waveforms, batch_first: (
        seconds.append([len(item) / SAMPLE_RATE for item in waveforms]) or pad(waveforms, batch_first)))
    assert list(recogniser.transcribe(recordings)) == together
    assert sum(map(len, seconds)) == len(recordings) and len(seconds) > 1
    assert all(len(batch) == 1 or len(batch) * max(batch) <= 3 for batch in seconds)


def test_a_recording_is_read_in_its_turn(recogniser, recordings):
    """What is asked for is read batch by batch, not all at once."""
    asked = []

    def watched():
        for path in recordings:
            asked.append(path)
            yield path

    transcripts = recogniser.transcribe(watched(), batch_size=2)
    next(transcripts)
    assert len(asked) == 2


def test_a_long_recording_is_read_in_segments(recogniser, recordings, tmp_path, monkeypatch):
    """As if each were a recording; and what follows a break in the file is all that is lost."""
    sound = np.concatenate([load_audio(path).numpy() for path in recordings])
    soundfile.write(tmp_path / "long.wav", sound, SAMPLE_RATE, subtype="FLOAT")
    (whole,) = recogniser.transcribe([tmp_path / "long.wav"])
    assert whole.syllables == recogniser.recognise([torch.from_numpy(sound)])[0].syllables
    for name, seconds in {"LONGEST": 4.0, "CUT_FROM": 1.0, "CUT_TO": 3.5, "BLOCK": 0.5}.items():
        monkeypatch.setattr(segmentation, name, seconds)
    parts = list(read_segments(tmp_path / "long.wav"))
    alone = recogniser.recognise([part.waveform for part in parts])
    told = []
    (result,) = recogniser.transcribe([tmp_path / "long.wav"], batch_size=2, progress=told.append)
    assert len(parts) > 2 and sum(told) == pytest.approx(len(sound) / SAMPLE_RATE)
    assert result.syllables == sum((item.syllables for item in alone), ())
    assert result.seconds == pytest.approx([part.start + second for part, item in zip(parts, alone)
                                            for second in item.seconds], abs=0.011)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "long.wav").read_bytes())
    with soundfile.SoundFile(tmp_path / "cut.wav", "r+") as file:
        file.seek(len(sound) - 1)
        file.write(np.full(1, np.nan, np.float32))
    (cut,) = recogniser.transcribe([tmp_path / "cut.wav"])
    assert "finite" in cut.error and cut.was_read
    assert cut.syllables == result.syllables[:len(cut.syllables)]


def test_when_a_syllable_was_recognised(recogniser, recordings):
    for transcript in recogniser.transcribe(recordings):
        assert len(transcript.seconds) == len(transcript.syllables)
        assert list(transcript.seconds) == sorted(set(transcript.seconds))
        assert 0 <= transcript.seconds[0]
        assert transcript.seconds[-1] < soundfile.info(transcript.file).duration
    assert OUTPUT_SECONDS == 0.08


@pytest.mark.parametrize("name, rate, channels", [
    ("a.wav", 16_000, 1), ("a.wav", 44_100, 2), ("a.flac", 8_000, 1), ("a.ogg", 48_000, 2),
    ("a.mp3", 22_050, 1),
])
def test_any_kind_of_file(recogniser, tmp_path, name, rate, channels):
    time = np.arange(rate) / rate  # a second
    tone = 0.3 * np.sin(2 * np.pi * 300 * time) * np.hanning(rate)
    soundfile.write(tmp_path / name, np.stack([tone] * channels, axis=1), rate)
    (transcript,) = recogniser.transcribe([tmp_path / name])
    assert transcript.error is None and transcript.syllables


def test_the_shortest_recording(recogniser, tmp_path):
    """Eight frames give one output frame."""
    tone = np.sin(np.arange(400 + 7 * 160) / 5)
    soundfile.write(tmp_path / "shortest.wav", tone, 16_000)
    (transcript,) = recogniser.transcribe([tmp_path / "shortest.wav"])
    assert len(transcript.syllables) == 1


def test_nothing_to_do(recogniser):
    assert list(recogniser.transcribe([])) == []


def test_a_model_file_is_recognised_with(recogniser, recordings, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, recogniser.model, recogniser.vocabulary, {"preset": "lesson"})
    loaded = Recogniser.load(path)
    assert not loaded.model.training
    heard = list(loaded.transcribe(recordings))
    assert all(transcript.syllables and transcript.error is None for transcript in heard)
    with pytest.raises(CheckpointError):
        Recogniser.load(tmp_path / "missing.safetensors")


def test_a_stride_makes_output_frames_longer():
    """80 ms each, or 160 ms; the time is that of the middle."""
    assert frame_seconds([0, 1, 5]) == (0.04, 0.12, 0.44)
    assert frame_seconds([0, 1, 5], subsampling=2) == (0.08, 0.24, 0.88)
