"""Speech by espeak-ng: the same samples for the same words, whatever was said before."""

import hashlib
import subprocess
import sys
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest
import torch

from ramospeech import espeak
from ramospeech.audio import resample
from ramospeech.espeak import SPEAKING_RATE, Voice, speak, variants
from ramospeech.pitch import track_pitch

TEXTS = ["ni3 hao3", "shang4 hai3", "er4 shi2 qi1", "ma"]
VOICES = [Voice("f2"), Voice("m3", 190, 35), Voice("whisper"), Voice("edward2", 130, 65)]


def digest(samples: np.ndarray) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()


def mean_pitch(samples: np.ndarray) -> float:
    waveform = resample(torch.from_numpy(samples / 32768).float(), SPEAKING_RATE)
    return float(track_pitch(waveform).nanmean())


def test_samples():
    samples = speak("ni3 hao3", Voice("f2"))
    assert samples.dtype == np.int16 and samples.ndim == 1
    assert 0.3 < len(samples) / SPEAKING_RATE < 1.5
    assert np.abs(samples).max() > 3000


def test_the_order_of_speaking_changes_nothing():
    plan = [(text, voice) for text in TEXTS for voice in VOICES]
    forwards = {(text, voice): digest(speak(text, voice)) for text, voice in plan}
    backwards = {(text, voice): digest(speak(text, voice)) for text, voice in reversed(plan)}
    assert forwards == backwards
    assert len(set(forwards.values())) == len(plan)


def test_another_process_says_the_same():
    program = ("import hashlib; from ramospeech.espeak import Voice, speak; "
               "print(hashlib.sha256(speak('ni3 hao3', Voice('whisper')).tobytes()).hexdigest())")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            check=True, cwd=Path(espeak.__file__).parents[1])
    assert result.stdout.strip() == digest(speak("ni3 hao3", Voice("whisper")))


def test_a_refused_voice_leaves_no_trace():
    before = digest(speak("ni3 hao3", VOICES[0]))
    for _ in range(3):
        with pytest.raises(ValueError, match="no variant 'nobody'; it has .*f2"):
            speak("ni3 hao3", Voice("nobody"))
        with pytest.raises(ValueError, match="no language 'zz-none'"):
            speak("ni3 hao3", VOICES[0], language="zz-none")
    assert digest(speak("ni3 hao3", VOICES[0])) == before


@pytest.mark.parametrize("variant", ["", "..", "f2+m3", "F2 ", "no/where"])
def test_a_variant_that_is_none_is_refused(variant):
    with pytest.raises(ValueError, match="no variant"):
        speak("ma1", Voice(variant))


def test_there_are_many_variants():
    assert len(variants()) > 38 and {"f2", "m3", "whisper"} < set(variants())


def test_nothing_to_say_is_silence():
    assert np.abs(speak("", Voice("f2")), dtype=np.int32).max(initial=0) < 10


def test_hanzi_are_read_by_the_other_language():
    samples = speak("你好", Voice("f2"), language="cmn")
    assert 0.3 < len(samples) / SPEAKING_RATE < 1.5


def test_tempo_and_pitch_are_obeyed():
    slow, fast = (len(speak(TEXTS[2], Voice("f2", rate))) for rate in (130, 190))
    assert slow > 1.2 * fast
    low, high = (mean_pitch(speak("ma1", Voice("f2", pitch=pitch))) for pitch in (35, 65))
    assert high > 1.1 * low


def test_the_four_tones_have_their_shapes():
    voice = Voice("f2", words_per_minute=120, pitch_range=99)
    contours = []
    for tone in "1234":
        samples = torch.from_numpy(speak("ma" + tone, voice) / 32768).float()
        pitch = track_pitch(resample(samples, SPEAKING_RATE))[14:]  # m is over after 0.16 s
        contours.append(pitch[~pitch.isnan()])
    level, rising, dipping, falling = contours
    assert level.max() - level.min() < 20 and level.mean() > 190
    assert rising[-5:].mean() > rising[:5].mean() + 25
    assert dipping[:5].mean() - 10 > dipping.min() < dipping[-1] - 25
    assert 0.3 < dipping.argmin() / len(dipping) < 0.7
    assert falling[:5].mean() > falling[-5:].mean() + 40


def test_a_third_tone_before_another_is_said_as_a_second():
    assert digest(speak("ni3 hao3", VOICES[0])) == digest(speak("ni2 hao3", VOICES[0]))
    assert digest(speak("ni3 ma1", VOICES[0])) != digest(speak("ni2 ma1", VOICES[0]))


def test_a_long_path_to_the_data_is_bridged(tmp_path, monkeypatch):
    expected = digest(speak("ni3 hao3", Voice("f2")))
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    folder.mkdir(parents=True)
    (folder / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(folder / "espeak-ng-data"))
    espeak._data_path.cache_clear()
    try:
        assert len(espeak._data_path()) < 160
        assert digest(speak("ni3 hao3", Voice("f2"))) == expected
    finally:
        espeak._data_path.cache_clear()


def test_data_that_is_missing_is_an_error(monkeypatch):
    monkeypatch.setattr(espeak, "_data_path", lambda: b"/nowhere/espeak-ng-data")
    with pytest.raises(OSError, match="did not start with its data in /nowhere"):
        speak("ma1", Voice("f2"))
