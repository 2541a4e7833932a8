"""Speech from text by espeak-ng, a small synthesiser that runs anywhere and sounds like a robot.

The library and its voices come with the package espeakng-loader; this file calls its C functions.

espeak-ng silently reads as English what it cannot read as pinyin: `ge` is the letter G, `ne` is
"knee", `xiong1` is "kshong one". So each syllable is written in a way that it reads correctly: a
neutral tone as 5, and a syllable without such a spelling in phonemes. Hanzi are not passed to it at
all (for some, such as 熊, it knows no pronunciation that it can say): `hanzi_to_pinyin` converts them.
"""

import _ctypes
import ctypes
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import espeakng_loader
import numpy as np

from ramospeech.language.pinyin import base_syllable, is_syllable, respell
from ramospeech.language.vocabulary import UNK

__all__ = ["SPELLING_VERSION", "TTS_SAMPLE_RATE", "Voice", "speak", "variants"]

TTS_SAMPLE_RATE = 22_050  # hertz
SPELLING_VERSION = "2"  # to be increased whenever `speak` says a syllable differently
LANGUAGE = "cmn-latn-pinyin"  # pinyin with tone numbers

SYNCHRONOUS, DONT_EXIT, UTF8, PHONEMES = 2, 0x8000, 1, 0x100  # constants of espeak-ng's speak_lib.h
RATE, PITCH, RANGE = 1, 3, 4
MAX_DATA_PATH = 140  # espeak-ng keeps the path of its data in 160 bytes

PITCHES = {"1": "55", "2": "35", "3": "214", "4": "51", "": "11"}  # of the tones, 1 low to 5 high
BY_PHONEMES = {"jiong": "tS;j'ong", "qiong": "tS;hj'ong", "xiong": "S;j'ong",
               "m": "'m-", "n": "'n-", "hm": "X'm-", "hng": "X'N-"}

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Voice(NamedTuple):
    """What espeak-ng calls a variant, with a tempo and a pitch."""

    variant: str  # such as f2 (a woman) or m3 (a man)
    words_per_minute: int = 160
    pitch: int = 50  # 0 to 99; 50 is the variant's own
    pitch_range: int = 60  # 0 to 99; the range of the tones


def speak(text: str, voice: Voice, seed: int = 1) -> np.ndarray:
    """Synthesise toned pinyin such as `shang4 hai3`: samples `(n,)`, int16, 22,050 Hz.

    The same arguments give the same samples, whatever was spoken before. A third tone before
    another one is spoken as a second tone, as people do. Raises ValueError for an unknown variant,
    for text that is not toned pinyin, and for a syllable that espeak-ng does not say in Mandarin.
    """
    _check_variant(voice.variant)
    data = " ".join(map(_espeak_spelling, text.split())).encode()
    chunks: list[np.ndarray] = []

    @_Callback
    def collect(samples: Any, count: int, events: Any) -> int:
        if count:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    with _fresh_library() as library:
        library.espeak_SetSynthCallback(collect)
        library.espeak_SetVoiceByName(f"{LANGUAGE}+{voice.variant}".encode())
        library.espeak_SetParameter(RATE, voice.words_per_minute, 0)
        library.espeak_SetParameter(PITCH, voice.pitch, 0)
        library.espeak_SetParameter(RANGE, voice.pitch_range, 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        library.espeak_Synth(data, len(data) + 1, 0, 0, 0, UTF8 | PHONEMES, None, None)
    return np.concatenate(chunks) if chunks else np.zeros(0, np.int16)


@cache
def _espeak_spelling(syllable: str) -> str:
    """The spelling that espeak-ng reads in Mandarin: `ma` becomes `ma5`, `xiong2` phonemes."""
    plain = respell(syllable)
    if not is_syllable(plain) or plain == UNK:
        raise ValueError(f"{syllable!r} is not toned pinyin such as hao3; hanzi_to_pinyin converts hanzi")
    letters = base_syllable(plain)
    tone = plain[len(letters):]
    if letters in BY_PHONEMES:
        return f"[[{BY_PHONEMES[letters]}{PITCHES[tone]}]]"
    written = letters + (tone or "5")
    if "(" in _phonemes(written):  # which marks another language: (en)
        raise ValueError(f"espeak-ng does not say {syllable!r} in Mandarin: there is no such syllable")
    return written


def _phonemes(written: str) -> str:
    """The phonemes that espeak-ng reads, in its notation: `n'i214`."""
    pointer = ctypes.c_char_p(written.encode())
    with _fresh_library() as library:
        library.espeak_SetVoiceByName(LANGUAGE.encode())
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        return library.espeak_TextToPhonemes(ctypes.byref(pointer), UTF8, 0).decode()


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """espeak-ng, loaded anew: its state would change the next utterance."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        if library.espeak_Initialize(SYNCHRONOUS, 0, _data_path(), DONT_EXIT) != TTS_SAMPLE_RATE:
            raise OSError(f"espeak-ng did not start with its data in {_data_path().decode()}")
        yield library
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


@cache
def variants() -> list[str]:
    """The names of the variants."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    return sorted(path.name for path in folder.iterdir())


def _check_variant(variant: str) -> None:
    """espeak-ng itself silently falls back to its default voice."""
    if variant not in variants():
        raise ValueError(f"espeak-ng has no variant {variant!r}; it has {', '.join(variants())}")


@cache
def _data_path() -> bytes:
    """The path of espeak-ng's data, or of a link to it if the path is too long."""
    data = Path(espeakng_loader.get_data_path())
    if len(os.fsencode(data)) > MAX_DATA_PATH:
        link = Path(tempfile.mkdtemp(prefix="espeak-")) / data.name
        link.symlink_to(data)
        data = link
    return os.fsencode(data)
