"""Describe files that libsndfile cannot read, with the command that converts them."""

import shlex
from codecs import getincrementaldecoder
from pathlib import Path

__all__ = ["describe", "ffmpeg_command"]

SUPPORTED = "WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU, CAF and W64"
SIGNATURE_BYTES = 512  # enough to identify a file
SILK = "a SILK voice message, which ffmpeg does not read either; convert it to WAV with a SILK decoder"
POINTER = b"version https://git-lfs"
SIGNATURES = {
    b"\x1a\x45\xdf\xa3": "a Matroska or WebM file",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "a Windows Media file (wma, asf)",
    b"#!AMR": "an AMR recording",
    b"OggS": "an Ogg file with an unsupported codec",
    b"RIFF": "a WAV or AVI file with an unsupported codec",
    b"FORM": "an IFF file with an unsupported codec",
    b"caff": "a CAF file with an unsupported codec",
    b"\xff\xf1": "an AAC recording",
    b"\xff\xf9": "an AAC recording",
    b"ADIF": "an AAC recording",
    b"FLV": "a Flash video",
    b"MAC ": "a Monkey's Audio file",
    b"wvpk": "a WavPack file",
    b"TTA1": "a True Audio file",
    b"\x0b\x77": "an AC-3 recording",
    b".RMF": "a RealMedia file",
    b"DSD ": "a DSD recording",
}
NOT_FOR_FFMPEG = {  # not audio, or not readable by ffmpeg either
    b"#!SILK": SILK,
    b"\x02#!SILK": SILK,
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"%PDF": "a PDF document, not a recording",
    b"\x89PNG": "a picture, not a recording",
    b"\xff\xd8\xff": "a picture, not a recording",
    b"\x7fELF": "a program, not a recording",
}
MARKUP = {"<!doctype html": "a web page (HTML)", "<html": "a web page (HTML)", "<": "XML or HTML",
          "{": "JSON", "[": "JSON"}


def describe(path: Path, begin: bytes, reason: str) -> str:
    """Return one line: what kind of file this is, which formats are supported, how to convert it.

    `begin` is the first 512 bytes; `reason` is the decoder's message, for unknown kinds.
    """
    if begin.startswith(POINTER):
        return "a Git LFS pointer, not the recording; download it: git lfs pull"
    for start, what in NOT_FOR_FFMPEG.items():
        if begin.startswith(start):
            return what
    if text := _text(begin):
        return f"{text}, not a recording; download or export the recording itself"
    if path.suffix in (".raw", ".pcm"):
        return (f"raw samples without a header; if they are 16-bit mono at 16 kHz: "
                f"{ffmpeg_command(path, '-f s16le -ar 16000 -ac 1 ')}")
    what = _kind(begin) or f"cannot be decoded ({reason.rstrip('.')})"
    return f"{what}; supported formats are {SUPPORTED}; convert it: {ffmpeg_command(path)}"


def ffmpeg_command(path: Path, flags: str = "") -> str:
    """Return the ffmpeg command that converts a file to 16 kHz WAV; `flags` describe raw samples."""
    target = path.with_suffix(".wav")
    target = path.with_name(f"{path.stem}-16k.wav") if target == path else target
    return f"ffmpeg {flags}-i {_quoted(path)} -ar 16000 -ac 1 {_quoted(target)}"


def _kind(begin: bytes) -> str | None:
    if begin[4:8] == b"ftyp":
        return "an MP4 file (m4a, mp4, 3gp)"
    return next((what for start, what in SIGNATURES.items() if begin.startswith(start)), None)


def _text(begin: bytes) -> str | None:
    """Return the kind of text that a file begins with, or None."""
    try:
        start = getincrementaldecoder("utf-8-sig")().decode(begin)  # the last character may be cut
    except UnicodeDecodeError:
        return None
    start = start.lstrip().lower()
    if not start or not all(char.isprintable() or char.isspace() for char in start):
        return None
    return next((kind for prefix, kind in MARKUP.items() if start.startswith(prefix)), "text")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
