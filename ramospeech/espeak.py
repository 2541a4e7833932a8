"""Speech from text by espeak-ng, a small synthesiser that runs anywhere and sounds like a robot.

The library and its voices come with the package espeakng-loader; this file calls its C functions.
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

SPEAKING_RATE = 22_050  # samples a second of everything espeak-ng says
LANGUAGE = "cmn-latn-pinyin"  # reads toned pinyin; "cmn" reads hanzi

SYNCHRONOUS, DONT_EXIT, UTF8 = 2, 0x8000, 1  # constants of espeak-ng's speak_lib.h
RATE, PITCH, RANGE = 1, 3, 4
LONGEST_DATA_PATH = 140  # espeak-ng holds the path of its data in 160 bytes

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Voice(NamedTuple):
    """Who speaks, and how: what espeak-ng calls a variant, with a tempo and a pitch."""

    variant: str  # such as f2 (a woman) or m3 (a man)
    words_per_minute: int = 160
    pitch: int = 50  # 0 to 99; 50 is the variant's own
    pitch_range: int = 60  # 0 to 99; how far the tones reach


def speak(text: str, voice: Voice, seed: int = 1, language: str = LANGUAGE) -> np.ndarray:
    """Say toned pinyin, such as `shang4 hai3`: samples `(n,)`, int16, 22,050 a second.

    The same arguments give the same samples, whatever was spoken before. A third tone before
    another is said as a second, as people do. Raises ValueError for a
    language or a variant that espeak-ng does not have.
    """
    _check_variant(voice.variant)
    pieces: list[np.ndarray] = []

    @_Callback
    def collect(samples: Any, count: int, events: Any) -> int:
        if count:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    with _fresh_library() as library:
        library.espeak_SetSynthCallback(collect)
        name = f"{language}+{voice.variant}"
        if library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no language {language!r}")
        library.espeak_SetParameter(RATE, voice.words_per_minute, 0)
        library.espeak_SetParameter(PITCH, voice.pitch, 0)
        library.espeak_SetParameter(RANGE, voice.pitch_range, 0)
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        data = text.encode()
        library.espeak_Synth(data, len(data) + 1, 0, 0, 0, UTF8, None, None)
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)


@contextmanager
def _fresh_library() -> Iterator[ctypes.CDLL]:
    """espeak-ng as it is when just loaded: what it remembers would colour the next utterance."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    try:
        if library.espeak_Initialize(SYNCHRONOUS, 0, _data_path(), DONT_EXIT) != SPEAKING_RATE:
            raise OSError(f"espeak-ng did not start with its data in {_data_path().decode()}")
        yield library
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


@cache
def variants() -> list[str]:
    """The names that a voice's variant can have."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    return sorted(path.name for path in folder.iterdir())


def _check_variant(variant: str) -> None:
    """espeak-ng itself speaks on in its plain voice when it does not know the variant."""
    if variant not in variants():
        raise ValueError(f"espeak-ng has no variant {variant!r}; it has {', '.join(variants())}")


@cache
def _data_path() -> bytes:
    """espeak-ng's data under a path that it can hold, by a link where need be."""
    data = Path(espeakng_loader.get_data_path())
    if len(os.fsencode(data)) > LONGEST_DATA_PATH:
        link = Path(tempfile.mkdtemp(prefix="espeak-")) / data.name
        link.symlink_to(data)
        data = link
    return os.fsencode(data)
