"""What a file is that libsndfile cannot read, and the command that mends it."""

import shlex
from codecs import getincrementaldecoder
from pathlib import Path

READ = "WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU, CAF and W64"
BEGIN = 512  # bytes that tell
SILK = "a voice message in SILK, which ffmpeg does not read either; a decoder of SILK makes a WAV of it"
POINTER = b"version https://git-lfs"
BEGINNINGS = {
    b"\x1a\x45\xdf\xa3": "a Matroska or WebM file",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "a Windows Media file (wma, asf)",
    b"#!AMR": "an AMR recording",
    b"OggS": "an Ogg file of a codec that is not read",
    b"RIFF": "a WAV or AVI file of a codec that is not read",
    b"FORM": "an IFF file of a codec that is not read",
    b"caff": "a CAF file of a codec that is not read",
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
OTHERS = {  # no sound, or none that ffmpeg reads
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
    """What a file with this beginning is, which formats are read, and how to mend it; a line.

    `reason` is the decoder's, for files that give no hint.
    """
    if begin.startswith(POINTER):
        return "a pointer of Git LFS, not the recording; fetch that: git lfs pull"
    for start, what in OTHERS.items():
        if begin.startswith(start):
            return what
    if text := _text(begin):
        return f"{text}, not a recording; download or export the recording itself"
    if path.suffix in (".raw", ".pcm"):
        return (f"raw samples, without a header that states their rate; if it is 16 kHz, of 16 bits: "
                f"{ffmpeg_line(path, '-f s16le -ar 16000 -ac 1 ')}")
    what = _kind(begin) or f"cannot be decoded ({reason.rstrip('.')})"
    return f"{what}; read are {READ}; convert it: {ffmpeg_line(path)}"


def ffmpeg_line(path: Path, flags: str = "") -> str:
    """The command that makes a file that is read of any that ffmpeg knows; flags for raw samples."""
    target = path.with_suffix(".wav")
    target = path.with_name(f"{path.stem}-16k.wav") if target == path else target
    return f"ffmpeg {flags}-i {_quoted(path)} -ar 16000 -ac 1 {_quoted(target)}"


def _kind(begin: bytes) -> str | None:
    if begin[4:8] == b"ftyp":
        return "an MP4 file (m4a, mp4, 3gp)"
    return next((what for start, what in BEGINNINGS.items() if begin.startswith(start)), None)


def _text(begin: bytes) -> str | None:
    """What kind of text a file begins with; None where it is none."""
    try:
        start = getincrementaldecoder("utf-8-sig")().decode(begin)  # the last sign may be cut
    except UnicodeDecodeError:
        return None
    start = start.lstrip().lower()
    if not start or not all(sign.isprintable() or sign.isspace() for sign in start):
        return None
    return next((what for sign, what in MARKUP.items() if start.startswith(sign)), "text")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
