"""From a file to a waveform: any format that libsndfile reads, 16 kHz, one channel."""

import struct
from functools import cache
from pathlib import Path

import soundfile
import torch
from torch import Tensor
from torchaudio.transforms import Resample

SAMPLE_RATE = 16_000  # samples a second
SILENCE = 1e-4  # a swing below this, of the full scale 1.0, holds no speech


class AudioError(ValueError):
    """A recording that cannot be used; the message names the file and says why."""


def load_audio(path: Path | str) -> Tensor:
    """Read a recording: `(samples,)`, float32, 16 kHz, channels averaged, full scale 1.0.

    Reads WAV, FLAC, OGG and MP3 at any rate. Raises AudioError, naming the file, where it is
    missing, not audio, empty, truncated, silent or not finite.
    """
    try:
        samples, rate = _decode(Path(path))
        waveform = resample(torch.from_numpy(samples).mean(dim=1), rate)
        return check_waveform(waveform)
    except (ValueError, OSError) as error:
        raise AudioError(f"{path}: {error}") from None


def _decode(path: Path):
    """Samples `(frames, channels)` as float32, and their rate."""
    if not path.is_file():
        raise ValueError("no such file")
    _check_wav_is_whole(path)
    try:
        with soundfile.SoundFile(path) as file:
            samples = file.read(dtype="float32", always_2d=True)
            if len(samples) < file.frames:
                raise ValueError(f"truncated: {len(samples)} of {file.frames} samples")
            return samples, file.samplerate
    except soundfile.LibsndfileError as error:
        raise ValueError(f"cannot be decoded ({error.error_string})") from None


def _check_wav_is_whole(path: Path) -> None:
    """libsndfile reads a WAV file that was cut off without a word; its header tells."""
    with open(path, "rb") as file:
        header = file.read(12)
    if len(header) == 12 and header[:4] == b"RIFF" and header[8:] == b"WAVE":
        (stated,) = struct.unpack("<I", header[4:8])
        actual = path.stat().st_size - 8
        if actual < stated < 0xFFFFFF00:  # a stream that never knew its length states the maximum
            raise ValueError(f"truncated: {actual} of {stated} bytes")


def resample(waveform: Tensor, rate: int) -> Tensor:
    """`(samples,)` at `rate` samples a second to `(samples,)` at 16 kHz."""
    return waveform if rate == SAMPLE_RATE else _resampler(rate, SAMPLE_RATE)(waveform)


@cache
def _resampler(old_rate: int, new_rate: int) -> Resample:
    return Resample(old_rate, new_rate)


def check_waveform(waveform: Tensor) -> Tensor:
    """Return the waveform, or raise ValueError where it is empty, silent or not finite."""
    if waveform.numel() == 0:
        raise ValueError("empty: no samples")
    if not torch.isfinite(waveform).all():
        raise ValueError("holds samples that are not finite numbers")
    if waveform.max() - waveform.min() < SILENCE:
        raise ValueError("silent")
    return waveform


def audio_seconds(path: Path | str) -> float:
    """The length of a recording, read from its header. Raises AudioError."""
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"{path}: {error}") from None
    return info.frames / info.samplerate
