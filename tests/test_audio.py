"""Recordings of every kind, intact and broken, written and read back."""

import logging
import os
import shlex
import stat
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ramospeech.audio.io import (
    MAX_RATIO_TERM, SAMPLE_RATE, AudioError, _simple_ratio, audio_seconds, check_waveform, load_audio,
    read_blocks, resample,
)
from ramospeech.audio.reader import RATES
from ramospeech.utils.logs import LOGGER, log_to_stderr

FORMATS = ["wav", "flac", "ogg", "mp3"]
RATES_OF_RECORDINGS = [8000, 11_025, 16_000, 22_050, 44_100, 48_000]


def tone(hertz: float, rate: int, seconds: float = 0.5, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def voice(samples: int = 4000) -> np.ndarray:
    """A sound that compresses as poorly as speech."""
    noise = np.random.default_rng(0).standard_normal(samples)
    return 0.05 * noise + 0.3 * np.sin(2 * np.pi * 300 * np.arange(samples) / SAMPLE_RATE)


def loudest_hertz(waveform: torch.Tensor) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.double().numpy() * np.hanning(len(waveform))))
    return spectrum.argmax() * SAMPLE_RATE / len(waveform)


def refusal(path: Path) -> str:
    """Return the reason why `load_audio` rejects a file; the error must name the file."""
    with pytest.raises(AudioError) as caught:
        load_audio(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# Intact files


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("rate", RATES_OF_RECORDINGS)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_rate_and_number_of_channels(tmp_path, extension, rate, channels):
    path = tmp_path / f"tone.{extension}"
    soundfile.write(path, np.stack([tone(1000, rate)] * channels, axis=1), rate)
    waveform = load_audio(path)
    assert waveform.shape == (8000,) and waveform.dtype == torch.float32
    assert abs(loudest_hertz(waveform) - 1000) <= 2
    assert 0.45 < waveform[1000:-1000].abs().max() < 0.6  # MP3 is not exact
    assert audio_seconds(path) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("subtype, error", [
    ("PCM_U8", 1 / 128), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6), ("FLOAT", 1e-6),
    ("DOUBLE", 1e-6), ("ULAW", 0.03), ("ALAW", 0.03), ("IMA_ADPCM", 0.3), ("GSM610", 1),
])
def test_every_kind_of_sample(tmp_path, subtype, error):
    path = tmp_path / "voice.wav"
    soundfile.write(path, voice(), SAMPLE_RATE, subtype=subtype)
    waveform = load_audio(path)[:4000].numpy()
    assert np.abs(waveform - voice()).max() <= error


def test_wav_with_more_than_two_channels_and_extensible_header(tmp_path):
    path = tmp_path / "six.wav"
    channels = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 6))
    soundfile.write(path, channels, SAMPLE_RATE, format="WAVEX", subtype="FLOAT")
    assert np.allclose(load_audio(path), channels.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("name", ["你好.wav", "with space.flac", "no_extension", "wrong.mp3"])
def test_names_do_not_matter(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, voice(), SAMPLE_RATE, format="WAV")
    assert load_audio(path).shape == load_audio(str(path)).shape == (4000,)


def test_samples_beyond_full_scale_stay(tmp_path):
    soundfile.write(tmp_path / "loud.wav", 3 * voice(), SAMPLE_RATE, subtype="FLOAT")
    assert np.allclose(load_audio(tmp_path / "loud.wav"), 3 * voice(), atol=1e-6)


# Rates


@settings(max_examples=40)
@given(rate=st.integers(4000, 200_000))
@example(rate=44_101).via("no common factor with 16,000: 20 GB if taken literally")
@example(rate=15_999)
@example(rate=192_001)
def test_any_rate_keeps_length_and_frequency(rate):
    waveform = resample(torch.from_numpy(tone(1000, rate)).float(), rate)
    assert len(waveform) == pytest.approx(8000, rel=1e-3)
    assert abs(loudest_hertz(waveform) - 1000) <= 3


@given(rate=st.sampled_from(RATES) | st.integers(15_000, 17_000))
def test_ratios_are_small_and_near(rate):
    old, new = _simple_ratio(rate, SAMPLE_RATE)
    assert 1 <= old <= MAX_RATIO_TERM and 1 <= new <= MAX_RATIO_TERM
    assert old / new == pytest.approx(rate / SAMPLE_RATE, rel=1e-3)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_ratios_of_usual_rates_are_exact(rate):
    old, new = _simple_ratio(rate, SAMPLE_RATE)
    assert old * SAMPLE_RATE == new * rate


def test_resampling_equals_the_sine_itself():
    truth = tone(700, SAMPLE_RATE)
    for rate in (8000, 44_100, 48_000):
        waveform = resample(torch.from_numpy(tone(700, rate)).float(), rate).numpy()
        assert np.abs(waveform - truth)[200:-200].max() < 5e-3


def test_what_is_above_8_khz_is_removed_and_not_aliased():
    waveform = resample(torch.from_numpy(tone(12_000, 48_000)).float(), 48_000)
    assert waveform[200:-200].abs().max() < 0.01


def test_16_khz_is_left_alone():
    waveform = torch.randn(100)
    assert resample(waveform, SAMPLE_RATE) is waveform


@pytest.mark.parametrize("rate", [1, 999, 1_000_001, 2_000_000_000])
def test_implausible_rates(tmp_path, rate):
    path = tmp_path / "odd.wav"
    soundfile.write(path, voice(), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(content)
    assert str(rate) in refusal(path) or "decoded" in refusal(path)


# Channels and offsets


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "two.wav"
    soundfile.write(path, np.stack([voice(), np.zeros(4000)], axis=1), SAMPLE_RATE, subtype="FLOAT")
    assert np.allclose(load_audio(path), voice() / 2, atol=1e-6)


@pytest.mark.parametrize("right, heard", [
    (-voice(), voice()),
    (-0.9 * voice(), voice()),  # nearly opposite
    (-1.1 * voice(), -1.1 * voice()),  # the louder one
    (0.3 - 0.9 * voice(), voice()),  # with an offset
])
def test_of_channels_that_cancel_the_loudest_is_used(tmp_path, right, heard):
    path = tmp_path / "opposite.wav"
    soundfile.write(path, np.stack([voice(), right], axis=1), SAMPLE_RATE, subtype="FLOAT")
    assert np.allclose(load_audio(path), heard, atol=1e-6)
    assert np.allclose(np.concatenate([block for block, _ in read_blocks(path, 0.01)]), heard, atol=1e-6)


def test_two_voices_on_two_channels_are_both_heard(tmp_path):
    """Even if the first ten seconds, and every block, are silent on one of them."""
    turns = np.zeros((40 * SAMPLE_RATE, 2))
    turns[:4000, 0], turns[-4000:, 1] = voice(), voice()
    path = tmp_path / "turns.wav"
    soundfile.write(path, turns, SAMPLE_RATE, subtype="FLOAT")
    assert np.allclose(load_audio(path), turns.mean(axis=1), atol=1e-6)


def test_one_of_six_channels_speaks(tmp_path):
    channels = np.zeros((4000, 6))
    channels[:, 2] = voice()
    soundfile.write(tmp_path / "six.wav", channels, SAMPLE_RATE, format="WAVEX", subtype="FLOAT")
    assert np.allclose(load_audio(tmp_path / "six.wav"), voice(), atol=1e-6)


@pytest.mark.parametrize("rate", RATES_OF_RECORDINGS)
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_a_constant_is_silence(tmp_path, rate, offset):
    path = tmp_path / "constant.wav"
    soundfile.write(path, np.full(rate, offset), rate)
    assert refusal(path) == "silent"


def test_a_voice_on_an_offset_is_heard(tmp_path):
    soundfile.write(tmp_path / "offset.wav", 0.3 + voice(), SAMPLE_RATE, subtype="FLOAT")
    assert np.allclose(load_audio(tmp_path / "offset.wav"), 0.3 + voice(), atol=1e-6)


def test_a_very_quiet_voice_is_heard(tmp_path):
    soundfile.write(tmp_path / "quiet.wav", 0.001 * voice(), SAMPLE_RATE, subtype="PCM_24")
    assert load_audio(tmp_path / "quiet.wav").abs().max() > 1e-4


# Empty, silent, not finite


@pytest.mark.parametrize("extension", ["wav", "aiff"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_no_samples(tmp_path, extension, rate):
    path = tmp_path / f"empty.{extension}"
    soundfile.write(path, np.zeros(0), rate)
    assert refusal(path) == "empty: no samples"


@pytest.mark.parametrize("extension", FORMATS + ["raw"])
def test_no_bytes(tmp_path, extension):
    path = tmp_path / f"empty.{extension}"
    path.touch()
    assert refusal(path) == "empty: no bytes"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_not_finite(tmp_path, bad, rate):
    samples = voice()
    samples[1234] = bad
    path = tmp_path / "bad.wav"
    soundfile.write(path, samples, rate, subtype="FLOAT")
    assert refusal(path) == "holds samples that are not finite numbers"


def test_check_waveform_returns_what_is_good():
    waveform = torch.tensor([0.0, 0.1])
    assert check_waveform(waveform) is waveform
    for bad in (torch.zeros(0), torch.zeros(9), torch.full((9,), torch.nan)):
        with pytest.raises(ValueError, match="empty|silent|not finite"):
            check_waveform(bad)


# Truncated


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("extension", FORMATS)
def test_truncation_anywhere_is_detected(tmp_path, extension):
    path = tmp_path / f"whole.{extension}"
    soundfile.write(path, voice(), SAMPLE_RATE)
    whole = path.read_bytes()
    assert load_audio(path).shape == (4000,)
    for end in {1, 3, 4, 11, 12, 43, 44, 45, 60, *range(1, len(whole), 61), len(whole) - 1}:
        cut = tmp_path / f"cut.{extension}"
        cut.write_bytes(whole[:end])
        refusal(cut)


def test_truncation_in_any_page_of_an_ogg_file_is_detected(tmp_path):
    path = tmp_path / "whole.ogg"
    soundfile.write(path, voice(60_000), SAMPLE_RATE)
    whole = path.read_bytes()
    assert whole.count(b"OggS") > 5 and load_audio(path).shape == (60_000,)
    pages = [place for place in range(len(whole)) if whole.startswith(b"OggS", place)]
    for end in [place + more for place in pages for more in (5, 27, 40)]:
        path.write_bytes(whole[:end])
        refusal(path)
    path.write_bytes(whole[:-1])
    assert refusal(path).startswith("truncated: its last page is missing; ")


def test_a_truncated_wav_says_how_much_is_left(tmp_path):
    path = tmp_path / "cut.wav"
    soundfile.write(path, voice(), SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:44 + 3000])
    command = f"ffmpeg -i {path} -ar 16000 -ac 1 {tmp_path}/cut-16k.wav"
    advice = f"download it again, or keep what is left: {command}"
    assert refusal(path) == f"truncated: 3000 of 8000 bytes of samples; {advice}"
    with pytest.raises(AudioError, match="truncated"):
        audio_seconds(path)


def test_what_comes_before_a_break_is_read_of_several_channels_as_of_one(tmp_path):
    broken = np.full(30_000, np.nan, np.float32)
    sound = np.concatenate([voice(12 * SAMPLE_RATE), broken]).astype(np.float32)
    for name, samples in (("one", sound), ("two", np.stack([sound, -sound], axis=1))):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples, SAMPLE_RATE, subtype="FLOAT")
        found = []
        with pytest.raises(AudioError, match="finite"):
            for block, _ in read_blocks(path, 1.0):
                found.append(block)
        assert np.array_equal(np.concatenate(found), sound[:12 * SAMPLE_RATE])


# What other containers state


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU", "W64", "RF64", "CAF", "WAVEX"])
def test_truncation_is_detected_in_every_container(tmp_path, form):
    path = tmp_path / "cut.wav"
    soundfile.write(path, voice(), SAMPLE_RATE, format=form, subtype="PCM_16")
    whole = path.read_bytes()
    assert load_audio(path).shape == (4000,) and audio_seconds(path) == 0.25
    for lost in (8, 1000, 7000):
        path.write_bytes(whole[:-lost])  # they end with their samples
        assert refusal(path).startswith("truncated: ")
        with pytest.raises(AudioError, match="truncated"):
            audio_seconds(path)


# Ogg without an end-of-stream flag


def pages_of(content: bytes) -> list[bytes]:
    places = [place for place in range(len(content)) if content.startswith(b"OggS", place)]
    return [content[start:end] for start, end in zip(places, [*places[1:], len(content)])]


def checksum(page: bytes) -> bytes:
    """Bit by bit, as in Ogg's specification."""
    register = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        register ^= byte << 24
        for _ in range(8):
            register = register << 1 ^ (0x104C11DB7 if register >> 31 else 0)
    return struct.pack("<I", register)


def unmarked(page: bytes) -> bytes:
    """A page without its end-of-stream flag."""
    page = page[:5] + bytes([page[5] & ~4]) + page[6:]
    return page[:22] + checksum(page) + page[26:]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_without_an_end_mark(tmp_path, subtype):
    path = tmp_path / "whole.ogg"
    soundfile.write(path, voice(20_000), SAMPLE_RATE, format="OGG", subtype=subtype)
    whole, pages = load_audio(path), pages_of(path.read_bytes())
    assert len(whole) == 20_000 and pages[-1][22:26] == checksum(pages[-1])
    path.write_bytes(b"".join([*pages[:-1], unmarked(pages[-1])]))
    assert torch.equal(load_audio(path), whole)
    assert audio_seconds(path) == 1.25


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_that_ends_with_any_page(tmp_path, subtype):
    """As from a recorder that was switched off."""
    path = tmp_path / "whole.ogg"
    soundfile.write(path, voice(60_000), SAMPLE_RATE, format="OGG", subtype=subtype)
    whole, pages = load_audio(path), pages_of(path.read_bytes())
    lengths = []
    for count in range(3, len(pages) + 1):
        path.write_bytes(b"".join(pages[:count]))
        part = load_audio(path)
        same = min(len(part) - 2000, 50_000)  # codecs differ near the end
        assert len(part) <= len(whole) and np.allclose(part[:same], whole[:same], atol=1e-5)
        lengths.append(len(part))
    assert lengths == sorted(set(lengths)) and lengths[-1] == 60_000


def test_junk_after_ogg_is_not_read(tmp_path):
    path = tmp_path / "junk.ogg"
    soundfile.write(path, voice(), SAMPLE_RATE)
    path.write_bytes(path.read_bytes() + b"junk" * 100)
    assert len(load_audio(path)) == 4000


def test_concatenated_ogg_files_raise(tmp_path):
    """libsndfile would read only the first."""
    parts = []
    for name in ("first.ogg", "second.ogg"):
        soundfile.write(tmp_path / name, voice(), SAMPLE_RATE)
        parts.append((tmp_path / name).read_bytes())
    assert parts[0][14:18] != parts[1][14:18]  # each stream has its number
    (tmp_path / "both.ogg").write_bytes(b"".join(parts))
    assert refusal(tmp_path / "both.ogg").startswith("several recordings concatenated")


# RIFF headers as real programs write them


def riff(*chunks: tuple[bytes, bytes, int], size: int | None = None) -> bytes:
    """A WAV file of chunks, each with a name, a content and the size that it states."""
    body = b"".join(struct.pack("<4sI", name, stated) + content for name, content, stated in chunks)
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4 if size is None else size, b"WAVE") + body


FORMAT = struct.pack("<HHIIHH", 1, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16)
SAMPLES = (voice() * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("size", [
    0, len(SAMPLES) + 36, len(SAMPLES) + 44, 0x7FFFF024, 0xFFFFFFFF, 1000,
])
@pytest.mark.parametrize("data_size", [len(SAMPLES), 0x7FFFF000, 0xFFFFFFFF])
def test_a_header_whose_lengths_are_wrong(tmp_path, size, data_size):
    path = tmp_path / "odd.wav"
    path.write_bytes(riff((b"fmt ", FORMAT, 16), (b"data", SAMPLES, data_size), size=size))
    assert len(load_audio(path)) == 4000


@pytest.mark.parametrize("size", [0, 36, 1000, 0xFFFFFFFF])
def test_a_recorder_that_never_wrote_the_length(tmp_path, size):
    path = tmp_path / "open.wav"
    path.write_bytes(riff((b"fmt ", FORMAT, 16), (b"data", SAMPLES, 0), size=size))
    assert np.allclose(load_audio(path), voice(), atol=1e-4)
    assert audio_seconds(path) == 0.25


def test_an_empty_wav_followed_by_a_list_is_empty(tmp_path):
    path = tmp_path / "empty.wav"
    path.write_bytes(riff((b"fmt ", FORMAT, 16), (b"data", b"", 0), (b"LIST", b"x" * 400, 400)))
    assert refusal(path) == "empty: no samples"


@pytest.mark.parametrize("form", ["AIFF", "AU", "W64", "RF64", "CAF", "WAVEX"])
def test_other_recorders_that_never_wrote_the_length(tmp_path, form):
    path = tmp_path / "open.wav"
    soundfile.write(path, voice(), SAMPLE_RATE, format=form, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place, count, value = {  # where the length is
        "AIFF": (content.find(b"SSND") + 4, 4, 0), "AU": (8, 4, 0),
        "W64": (content.rfind(b"data") + 16, 8, 24), "RF64": (20, 24, 0),
        "CAF": (content.find(b"data") + 4, 8, 0), "WAVEX": (content.find(b"data") + 4, 4, 0),
    }[form]
    content[place:place + count] = bytes([value]) + bytes(count - 1)
    if form == "WAVEX":
        content[4:8] = bytes(4)
    path.write_bytes(content)
    assert np.allclose(load_audio(path), voice(), atol=1e-4)
    assert audio_seconds(path) == 0.25


@pytest.mark.parametrize("before, after", [
    ([(b"LIST", b"x" * 10, 10)], []),
    ([(b"LIST", b"x" * 12, 11)], []),  # an odd length is filled up by a byte
    ([(b"JUNK", b"\0" * 28, 28), (b"bext", b"\0" * 602, 602)], []),
    ([], [(b"LIST", b"x" * 10, 10)]),
    ([], [(b"LIST", b"x" * 10, 1000)]),  # cut off behind the samples: they are whole
])
def test_other_chunks(tmp_path, before, after):
    path = tmp_path / "chunks.wav"
    chunks = [(b"fmt ", FORMAT, 16), *before, (b"data", SAMPLES, len(SAMPLES)), *after]
    path.write_bytes(riff(*chunks))
    assert len(load_audio(path)) == 4000


def test_truncation_after_another_chunk_is_detected(tmp_path):
    path = tmp_path / "cut.wav"
    chunks = [(b"fmt ", FORMAT, 16), (b"LIST", b"x" * 12, 11), (b"data", SAMPLES, len(SAMPLES))]
    path.write_bytes(riff(*chunks)[:-100])
    assert refusal(path).startswith("truncated: 7900 of 8000 bytes of samples; ")


def test_big_endian_and_64_bit_wav(tmp_path):
    for name, form, endian in (("big", "WAV", "BIG"), ("rf64", "RF64", "FILE"), ("w64", "W64", "FILE")):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, voice(), SAMPLE_RATE, format=form, endian=endian)
        assert len(load_audio(path)) == 4000


# Not audio


def test_missing_file(tmp_path):
    assert refusal(tmp_path / "missing.wav") == "no such file"
    with pytest.raises(AudioError, match="missing.wav: no such file"):
        audio_seconds(tmp_path / "missing.wav")


def test_folder(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    assert refusal(tmp_path / "folder.wav") == "a folder, not a file"


@pytest.mark.parametrize("name", ["letter.wav", "letter.mp3", "letter.txt", "letter.raw"])
def test_text(tmp_path, name):
    (tmp_path / name).write_text("This is not a sound, however long one listens. " * 20)
    assert refusal(tmp_path / name)
    with pytest.raises(AudioError):
        audio_seconds(tmp_path / name)


@pytest.mark.parametrize("begin, name, reason", [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "a.wav", "git lfs pull"),
    (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "a.mp3", "a web page (HTML)"),
    (b"<?xml version='1.0'?>", "a.wav", "XML"),
    (b'{"error": "not found"}', "a.wav", "JSON"),
    ("你好".encode() * 300, "a.wav", "text"),
    (b"PK\x03\x04" + bytes(100), "a.wav", "a zip archive"),
    (b"#!SILK_V3" + bytes(100), "a.amr", "SILK"),
    (bytes(1000), "a.raw", "ffmpeg -f s16le -ar 16000 -ac 1 -i {} -ar 16000 -ac 1 "),
    (b"\0\0\0\x20ftypM4A " + bytes(100), "a.m4a", "an MP4 file (m4a, mp4, 3gp)"),
    (b"\0\0\0\x20ftypM4A " + bytes(100), "a b.mp3", "ffmpeg -i {} -ar 16000 -ac 1 "),
    (b"\x1a\x45\xdf\xa3" + bytes(100), "a.webm", "a Matroska or WebM file"),
    (b"#!AMR\n" + bytes(100), "a.wav", "an AMR recording"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(100), "a.mp3", "a Windows Media file"),
    (b"\xff\xf1\x50\x80" + bytes(100), "a.mp3", "an AAC recording"),
    (b"\0\1\2" * 200, "a.wav", "supported formats are WAV, FLAC, Ogg (Vorbis, Opus), MP3"),
])
def test_other_files_are_described_with_a_remedy(tmp_path, begin, name, reason):
    path = tmp_path / name
    path.write_bytes(begin)
    message = refusal(path)
    assert reason.format(shlex.quote(str(path))) in message and "\n" not in message
    with pytest.raises(AudioError):
        audio_seconds(path)
    if "ffmpeg -" in message:
        words = shlex.split(message.partition("ffmpeg ")[2])
        assert words[words.index("-i") + 1] == str(path) != words[-1] and words[-1].endswith(".wav")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    assert refusal(tmp_path / "pipe.wav") == "a pipe or a device: save it as a file first"


def test_a_flac_file_that_was_written_to_a_pipe(tmp_path):
    """Its header has no length: the 36 bits before the checksum are zero."""
    path = tmp_path / "piped.flac"
    soundfile.write(path, voice(), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    assert int.from_bytes(content[21:26]) & (1 << 36) - 1 == len(voice())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert np.allclose(load_audio(path), voice(), atol=1e-4)
    assert audio_seconds(path) == 0.25


def test_unreadable_file(tmp_path):
    path = tmp_path / "secret.wav"
    soundfile.write(path, voice(), SAMPLE_RATE)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    assert refusal(path) == "Permission denied"
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def test_a_name_too_long(tmp_path):
    assert refusal(tmp_path / ("a" * 300))


# Notices


def test_a_low_rate_is_logged_once_per_command_and_not_to_standard_output(tmp_path, capsys):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, voice(16_000), 8000)
    LOGGER.handlers = [logging.NullHandler()]
    load_audio(tmp_path / "a.wav")
    assert capsys.readouterr().err == ""  # a program that uses the module decides for itself
    for _ in range(2):
        log_to_stderr()  # as each command does
        for name in ("a.wav", "b.wav"):
            load_audio(tmp_path / name)
            list(read_blocks(tmp_path / name, 1))
        out, err = capsys.readouterr()
        assert out == "" and err.count("\n") == 1
        assert "a.wav: a sample rate of 8000 Hz holds no sound above 4000 Hz" in err
    soundfile.write(tmp_path / "c.wav", voice(), SAMPLE_RATE)
    load_audio(tmp_path / "c.wav")
    assert capsys.readouterr().err == ""
    LOGGER.handlers = [logging.NullHandler()]


# Corrupted


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    extension=st.sampled_from(FORMATS),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_corruption_gives_a_waveform_or_an_error_that_names_the_file(tmp_path, extension, damage):
    path = tmp_path / f"whole.{extension}"
    if not path.exists():
        soundfile.write(path, voice(), SAMPLE_RATE)
    content = bytearray(path.read_bytes())
    for place, byte in damage:
        content[place % len(content)] = byte
    damaged = tmp_path / f"damaged.{extension}"
    damaged.write_bytes(content)
    try:
        waveform = load_audio(damaged)
    except AudioError as error:
        assert str(error).startswith(f"{damaged}: ")
    else:
        assert waveform.ndim == 1 and len(waveform) and torch.isfinite(waveform).all()
