"""MP3 files as they are found: without a header, between tags, damaged, cut, joined.

They are written by LAME, which comes with soundfile. What is right is known: LAME's own header tells
libsndfile how long a file is and what to leave out; so what is heard without it must be the same, but
for the 1,105 samples in front that the header would have hidden.
"""

import struct
from itertools import pairwise

import numpy as np
import pytest
import soundfile

from ramospeech.audio.io import AudioError, audio_seconds, load_audio, read_blocks
from ramospeech.audio.mp3 import parse_header

DELAY = 1105  # samples that an encoder and a decoder put in front
ID3 = b"ID3\x04\0\0\0\0\x08\0" + bytes(1024)  # a tag in front of the frames, of 1,024 bytes
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + b"\xd0\x07\0\0" + b"\x12\x34\x56\x78" * 200
NOISE = np.random.default_rng(1).bytes(3000)
RATES = [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]


def speech(rate: int, seconds: float = 2.0) -> np.ndarray:
    """A sound whose loudness and pitch change, so that frames of a variable rate differ in size."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (0.1 * noise * (1 + np.sin(20 * time)) / 2
            + 0.3 * np.sin(2 * np.pi * 300 * time * (1 + 0.1 * time)))


def encode(tmp_path, rate: int = 16_000, channels: int = 1, mode: str = "VARIABLE",
           seconds: float = 2.0) -> bytes:
    path = tmp_path / "encoded.mp3"
    samples = np.stack([speech(rate, seconds)] * channels, axis=1)
    soundfile.write(path, samples, rate, bitrate_mode=mode, compression_level=0.5)
    return path.read_bytes()


def frames_of(content: bytes) -> list[bytes]:
    """The frames of a file that has nothing else; the first is an info frame."""
    places = [0]
    while places[-1] < len(content):
        places.append(places[-1] + parse_header(content[places[-1]:places[-1] + 4]).size)
    return [content[place:end] for place, end in pairwise(places)]


def hear(tmp_path, content: bytes, seconds: float = 0.3) -> np.ndarray:
    """The samples of a file at its own rate; read at once and in blocks, and of the length reported."""
    path = tmp_path / "test.wav"  # the content decides, not the name
    path.write_bytes(content)
    blocks, rates = zip(*read_blocks(path, seconds))
    (whole, rate), = read_blocks(path, 1000)
    assert np.array_equal(np.concatenate(blocks), whole) and set(rates) == {rate}
    assert audio_seconds(path) == len(whole) / rate
    assert len(load_audio(path)) == pytest.approx(len(whole) * 16_000 / rate, abs=1)
    return whole


def refusal(tmp_path, content: bytes) -> str:
    path = tmp_path / "test.mp3"
    path.write_bytes(content)
    with pytest.raises(AudioError, match="test.mp3: ") as caught:
        load_audio(path)
    with pytest.raises(AudioError):
        audio_seconds(path)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_a_file_without_its_header_is_as_long_as_its_frames(tmp_path, rate, channels, mode):
    content = encode(tmp_path, rate, channels, mode)
    whole = hear(tmp_path, content)
    assert len(whole) == 2 * rate
    assert np.corrcoef(whole, speech(rate))[0, 1] > 0.9
    header, *frames = frames_of(content)
    assert b"Xing" in header or b"Info" in header
    bare = hear(tmp_path, b"".join(frames))
    assert len(bare) == len(frames) * (1152 if rate >= 32_000 else 576)
    assert np.array_equal(bare[DELAY:DELAY + len(whole)], whole)


@pytest.mark.parametrize("front, behind", [
    (ID3, b""), (ID3 + ID3, b""), (b"", ID3V1), (ID3, APE + ID3V1), (b"", NOISE), (b"", bytes(5000)),
    (b"", b"\xff" * 500), (NOISE, b""), (bytes(2000), APE),
])
def test_data_around_the_frames_is_ignored(tmp_path, front, behind, capfd):
    content = encode(tmp_path)
    _, *frames = frames_of(content)
    whole, bare = hear(tmp_path, content), hear(tmp_path, b"".join(frames))
    assert np.array_equal(hear(tmp_path, front + content + behind), whole)
    assert np.array_equal(hear(tmp_path, front + b"".join(frames) + behind), bare)
    assert capfd.readouterr().err == ""  # a decoder that meets tags says so


def test_damage_in_the_middle_loses_only_itself(tmp_path):
    _, *frames = frames_of(encode(tmp_path))
    bare = hear(tmp_path, b"".join(frames))
    mended = hear(tmp_path, b"".join([*frames[:20], NOISE, *frames[20:]]))
    assert np.array_equal(mended, bare)
    lost = hear(tmp_path, b"".join([*frames[:20], frames[20][:-10], *frames[21:]]))
    assert len(lost) == len(bare) - 576 and np.allclose(lost[-10_000:], bare[-10_000:], atol=1e-6)


def test_a_long_file_has_no_seams(tmp_path):
    """libsndfile loses bits of the frame behind a seek, and soundfile seeks after each block."""
    content = encode(tmp_path, 44_100, 2, "CONSTANT", seconds=20)
    assert len(hear(tmp_path, content, seconds=1)) == 20 * 44_100


def test_concatenated_files_are_read_to_the_end(tmp_path):
    """As players do, although the info frame states the length of the first one."""
    content = encode(tmp_path)
    whole = hear(tmp_path, content)
    for joined in (content + content, ID3 + content + ID3V1 + ID3 + content + ID3V1):
        both = hear(tmp_path, joined)
        assert 2 * len(whole) <= len(both) <= 2 * len(whole) + 5 * 1152
        assert np.array_equal(both[-len(whole):-5000], hear(tmp_path, content + content)[-len(whole):-5000])


@pytest.mark.parametrize("change", ["frames", "bytes", "neither"])
def test_a_header_that_does_not_tell(tmp_path, change):
    header, *frames = frames_of(encode(tmp_path))
    header = bytearray(header)
    flags = max(header.find(b"Xing"), header.find(b"Info")) + 4
    bits = {"frames": 2, "bytes": 1, "neither": 0}[change]  # what is left
    numbers = header[flags + 4:flags + 8] if bits == 1 else header[flags + 8:flags + 12]
    header[flags:flags + 12] = struct.pack(">I", bits) + (numbers + bytes(8))[:8]
    bare = hear(tmp_path, b"".join(frames))
    assert np.array_equal(hear(tmp_path, bytes(header) + b"".join(frames)), bare)


def test_a_header_of_another_encoder(tmp_path):
    """Fraunhofer's, "VBRI", which libsndfile takes for a frame of sound."""
    header, *frames = frames_of(encode(tmp_path))
    numbers = struct.pack(">4sHHHII", b"VBRI", 1, 0, 0, sum(map(len, frames)), len(frames))
    header = header[:4] + bytes(32) + numbers + bytes(len(header) - 36 - len(numbers))
    bare = hear(tmp_path, b"".join(frames))
    assert np.array_equal(hear(tmp_path, header + b"".join(frames)), bare)
    assert refusal(tmp_path, header + b"".join(frames[:-3])).startswith("truncated: ")


@pytest.mark.parametrize("rate", RATES)
def test_free_format(tmp_path, rate):
    """Frames without a stated bit rate decode to the same samples."""
    _, *frames = frames_of(encode(tmp_path, rate, mode="CONSTANT"))
    free = [frame[:2] + bytes([frame[2] & 0x0F]) + frame[3:] for frame in frames]
    assert np.array_equal(hear(tmp_path, b"".join(free)), hear(tmp_path, b"".join(frames)))


def test_mp3_in_a_wav_file(tmp_path):
    content = encode(tmp_path)
    layout = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 16_000, 4000, 1, 0, 12, 1, 2, 144, 1, 0)
    wav = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(layout)) + layout
    assert np.array_equal(hear(tmp_path, wav + b"data" + struct.pack("<I", len(content)) + content),
                          hear(tmp_path, content))


def test_mp2(tmp_path):
    """Frames of layer II, in which no band has any bits: two frames a second are enough to count."""
    frame = (b"\xff\xfd\x84\xc0" + bytes(413))[:384]  # 128 kbit/s at 48 kHz
    path = tmp_path / "silence.mp2"
    path.write_bytes(frame * 50)
    assert audio_seconds(path) == 50 * 1152 / 48_000
    assert sum(len(block) for block, _ in read_blocks(path, 0.1)) == 50 * 1152


# Truncated


def test_truncation_in_any_frame_is_detected(tmp_path):
    content = encode(tmp_path)
    header, *frames = frames_of(content)
    bare = b"".join(frames)
    for keep in range(3, len(frames)):
        end = sum(map(len, frames[:keep]))
        assert refusal(tmp_path, content[:len(header) + end]).startswith("truncated: ")
        assert refusal(tmp_path, bare[:end + 30]).startswith("truncated: 30 of ")


def test_a_header_alone_is_empty(tmp_path):
    header, *_ = frames_of(encode(tmp_path))
    assert refusal(tmp_path, header)


def test_a_changing_sample_rate_raises(tmp_path):
    first, second = encode(tmp_path, 16_000), encode(tmp_path, 22_050)
    message = refusal(tmp_path, first + second)
    assert message.startswith("its sample rate or number of channels changes")
