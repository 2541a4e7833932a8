"""Synthesis by espeak-ng: reproducible samples, and every syllable in Mandarin."""

import ctypes
import hashlib
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest
import torch
from pypinyin.contrib.tone_convert import to_finals, to_initials

from ramospeech.audio.io import resample
from ramospeech.audio.pitch import track_pitch
from ramospeech.data.tts import espeak
from ramospeech.data.tts.espeak import TTS_SAMPLE_RATE, Voice, speak, variants
from ramospeech.language.pinyin import base_syllable
from ramospeech.language.vocabulary import Vocabulary

TEXTS = ["ni3 hao3", "shang4 hai3", "er4 shi2 qi1", "ma"]
VOICES = [Voice("f2"), Voice("m3", 190, 35), Voice("whisper"), Voice("edward2", 130, 65)]


def digest(samples: np.ndarray) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()


def mean_pitch(samples: np.ndarray) -> float:
    waveform = resample(torch.from_numpy(samples / 32768).float(), TTS_SAMPLE_RATE)
    return float(track_pitch(waveform).nanmean())


def test_samples():
    samples = speak("ni3 hao3", Voice("f2"))
    assert samples.dtype == np.int16 and samples.ndim == 1
    assert 0.3 < len(samples) / TTS_SAMPLE_RATE < 1.5
    assert np.abs(samples).max() > 3000


def test_the_order_of_speaking_changes_nothing():
    plan = [(text, voice) for text in TEXTS for voice in VOICES]
    forwards = {(text, voice): digest(speak(text, voice)) for text, voice in plan}
    backwards = {(text, voice): digest(speak(text, voice)) for text, voice in reversed(plan)}
    assert forwards == backwards
    assert len(set(forwards.values())) == len(plan)


def test_another_process_gives_the_same():
    program = ("import hashlib; from ramospeech.data.tts.espeak import Voice, speak; "
               "print(hashlib.sha256(speak('ni3 hao3', Voice('whisper')).tobytes()).hexdigest())")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                            check=True, cwd=Path(espeak.__file__).parents[1])
    assert result.stdout.strip() == digest(speak("ni3 hao3", Voice("whisper")))


def test_a_refused_voice_has_no_effect_later():
    before = digest(speak("ni3 hao3", VOICES[0]))
    for _ in range(3):
        with pytest.raises(ValueError, match="no variant 'nobody'; it has .*f2"):
            speak("ni3 hao3", Voice("nobody"))
    assert digest(speak("ni3 hao3", VOICES[0])) == before


@pytest.mark.parametrize("variant", ["", "..", "f2+m3", "F2 ", "no/where"])
def test_an_unknown_variant_is_refused(variant):
    with pytest.raises(ValueError, match="no variant"):
        speak("ma1", Voice(variant))


def test_there_are_many_variants():
    assert len(variants()) > 38 and {"f2", "m3", "whisper"} < set(variants())


def test_an_empty_text_is_silence():
    assert np.abs(speak("", Voice("f2")), dtype=np.int32).max(initial=0) < 10


@pytest.mark.parametrize("text", ["熊", "花儿", "ni3 好", "<UNK>", "ni3, hao3", "pterodactyl", "hao6"])
def test_text_that_is_not_pinyin_is_refused(text):
    with pytest.raises(ValueError, match="is not toned pinyin such as hao3; hanzi_to_pinyin"):
        speak(text, Voice("f2"))


@pytest.mark.parametrize("syllable", ["biong1", "v2", "wua4", "fvn"])
def test_a_syllable_that_would_be_read_in_english_is_refused(syllable):
    with pytest.raises(ValueError, match=f"does not say '{syllable}' in Mandarin"):
        speak(f"ni3 {syllable}", Voice("f2"))


@pytest.mark.parametrize(("other", "ours"), [("de5", "de"), ("lü4", "lv4"), ("HAO3", "hao3")])
def test_other_spellings_of_pinyin_are_accepted(other, ours):
    assert digest(speak(other, VOICES[0])) == digest(speak(ours, VOICES[0]))


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
        pitch = track_pitch(resample(samples, TTS_SAMPLE_RATE))[14:]  # m is over after 0.16 s
        contours.append(pitch[~pitch.isnan()])
    level, rising, dipping, falling = contours
    assert level.max() - level.min() < 20 and level.mean() > 190
    assert rising[-5:].mean() > rising[:5].mean() + 25
    assert dipping[:5].mean() - 10 > dipping.min() < dipping[-1] - 25
    assert 0.3 < dipping.argmin() / len(dipping) < 0.7
    assert falling[:5].mean() > falling[-5:].mean() + 40


def test_a_third_tone_before_another_is_spoken_as_a_second():
    assert digest(speak("ni3 hao3", VOICES[0])) == digest(speak("ni2 hao3", VOICES[0]))
    assert digest(speak("ni3 ma1", VOICES[0])) != digest(speak("ni2 ma1", VOICES[0]))


def test_a_long_path_to_the_data_works(tmp_path, monkeypatch):
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


def test_missing_data_is_an_error(monkeypatch):
    monkeypatch.setattr(espeak, "_data_path", lambda: b"/nowhere/espeak-ng-data")
    with pytest.raises(OSError, match="did not start with its data in /nowhere"):
        speak("ma1", Voice("f2"))


# The sounds of pinyin, as in any textbook of Mandarin, in espeak-ng's phoneme notation.
INITIALS = {"": "", "b": "p", "p": "ph", "m": "m", "f": "f", "d": "t", "t": "th", "n": "n", "l": "l",
            "g": "k", "k": "kh", "h": "X", "j": "tS;", "q": "tS;h", "x": "S;", "zh": "ts.",
            "ch": "ts.h", "sh": "s.", "r": "z.", "z": "ts", "c": "tsh", "s": "s"}
# Alternatives are allophones, or glides written separately or as part of a diphthong.
FINALS = {
    "a": "A", "ai": "ai", "an": "a n", "ang": "A N", "ao": "Au", "e": "o- or @", "ei": "ei",
    "en": "@ n", "eng": "@ N", "er": "@r", "o": "o", "ou": "ou", "ong": "ong",
    "i": "i", "ia": "iA", "ian": "iE n", "iang": "iA N", "iao": "j Au", "ie": "iE", "in": "i n",
    "ing": "i N", "iong": "j ong", "iou": "iou", "io": "io",
    "u": "u", "ua": "w A", "uai": "uai or w ai", "uan": "ua n or w a n or w A n", "uang": "w A N",
    "uei": "uei or w ei", "uen": "u@ n or w u@ n or w o- n", "ueng": "w u@ N", "uo": "uo or w o",
    "v": "y", "ve": "yE", "van": "y& n", "vn": "y@ n or yi n",
    "hm": "X m-", "hng": "X N-", "m": "m-", "n": "n-", "ng": "N-",
}


def sounds_of(syllable: str) -> set[str]:
    """The phonemes that espeak-ng may use for a syllable: `hao3` is `X Au` with pitch 214."""
    base = base_syllable(syllable)
    initial = to_initials(base) if set(base) & set("aeiouv") else ""
    has_final = initial or set(base) & set("aeiouv")
    final = {"yo": "io"}.get(base) or (to_finals(base, v_to_u=False) if has_final else base)
    if final == "i" and initial:
        final = {"z": "i[", "c": "i[", "s": "i[", "zh": "i.", "ch": "i.", "sh": "i.",
                 "r": "i."}.get(initial, "i")
    spoken = {f"{INITIALS[initial]} {way}".strip() for way in FINALS.get(final, final).split(" or ")}
    if not initial:
        spoken |= {f"{glide} {way}" for way in spoken for glide in "jw"
                   if base.startswith({"j": "y", "w": "w"}[glide])}
    return spoken


@contextmanager
def tracing(monkeypatch, path: Path):
    """Let espeak-ng write each phoneme that it speaks to a file."""
    fresh_library, libc = espeak._fresh_library, ctypes.CDLL(None)
    libc.fopen.restype, libc.fclose.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

    @contextmanager
    def traced():
        stream = libc.fopen(str(path).encode(), b"a")
        with fresh_library() as library:
            library.espeak_SetPhonemeTrace(1 | ord(" ") << 8, ctypes.c_void_p(stream))
            yield library
            library.espeak_SetPhonemeTrace(0, None)
        libc.fclose(stream)

    monkeypatch.setattr(espeak, "_fresh_library", traced)
    yield
    monkeypatch.undo()


def trace(rows: list[str], voice: Voice, monkeypatch, path: Path) -> list[tuple[str, str]]:
    """The phonemes and the tone pitches spoken for each syllable."""
    for syllable in " ".join(rows).split():
        espeak._espeak_spelling(syllable)  # cached: it calls espeak-ng, which is not to be traced
    with tracing(monkeypatch, path):
        for row in rows:
            speak(row, voice)
    spoken = [" ".join(word.split()) for word in path.read_text().split("_|") if word.strip()]
    return [(re.sub("[',]|[1-5]", "", word), "".join(re.findall("[1-5]", word))) for word in spoken]


def rows_of(symbols: list[str], length: int) -> list[str]:
    return [" ".join(symbols[start:start + length]) for start in range(0, len(symbols), length)]


def pitches_of(row: str) -> list[str]:
    """The tones in context: a third is low before others and rises before a third; neutral ones adapt."""
    tones = [syllable[len(base_syllable(syllable)):] for syllable in row.split()]
    pitches = []
    for before, tone, after in zip(["4", *tones[:-1]], tones, [*tones[1:], None], strict=True):
        if tone == "3" and after is not None:
            pitches.append("35" if after == "3" else "21")
        elif tone == "":
            pitches.append({"1": "22", "2": "33", "3": "44"}.get(before, "11"))
        else:
            pitches.append({"1": "55", "2": "35", "3": "214", "4": "51"}[tone])
    return pitches


def test_every_syllable_is_spoken_in_mandarin(monkeypatch, tmp_path):
    others = ["hng1", "m2", "n2", "ng4", "lo", "ei1", "yai2", "qiong1"]
    symbols = [*Vocabulary.read().symbols[2:], *others]
    rows = rows_of(symbols, 10)
    said = trace(rows, Voice("f2"), monkeypatch, tmp_path / "trace")
    wrong = [(symbol, sounds) for symbol, (sounds, _) in zip(symbols, said, strict=True)
             if sounds not in sounds_of(symbol)]
    assert not wrong
    assert [pitch for _, pitch in said] == [pitch for row in rows for pitch in pitches_of(row)]


def test_every_voice_speaks_the_difficult_syllables_in_mandarin(monkeypatch, tmp_path):
    row = " ".join(symbol for symbol in Vocabulary.read().symbols[2:]
                   if symbol[-1].isalpha() or "iong" in symbol)
    assert len(row.split()) == 39
    said = {variant: trace([row], Voice(variant, 220), monkeypatch, tmp_path / variant)
            for variant in variants()}
    for variant, sounds in said.items():
        assert sounds == said["f2"], variant


@pytest.mark.parametrize("symbol", ["hm", "m2", "ma", "ge", "xiong1", "qiong2", "jiong3"])
def test_every_voice_is_audible(symbol):
    for variant in variants():
        samples = speak(symbol, Voice(variant))
        assert 0.1 < len(samples) / TTS_SAMPLE_RATE < 1.5, variant
        assert np.abs(samples.astype(np.int32)).max() > 500, variant
