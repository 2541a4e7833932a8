#!/bin/bash
# soundfile 0.14.0 (libsndfile 1.2.2, LAME), NumPy 2.4.6, Linux.
#
# soundfile.write(..., bitrate_mode="CONSTANT") writes an MP3 file of variable bit rate: the bytes are the
# same as without it, and there is no error or warning. One would have expected the mode to be set, because
# it is documented as an independent parameter. But soundfile passes it on only if `compression_level` is
# given as well; with compression_level=0.5 all frames have the same bit rate.
#
# Seen: CONSTANT alone gives the same bytes as without it, 8 to 128 kbit/s; with a level 80 kbit/s.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from io import BytesIO
import numpy as np
import soundfile

RATE = 16_000
KBITS = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]  # of MPEG 2 layer III
rng = np.random.default_rng(0)
time = np.arange(5 * RATE) / RATE
sound = 0.1 * rng.standard_normal(len(time)) * (np.sin(6 * np.pi * time) > 0)  # noise and silence


def write(**options):
    file = BytesIO()
    soundfile.write(file, sound, RATE, format="MP3", **options)
    return file.getvalue()


def rates(data):
    """Return the bit rates of all frames except the first, which contains no sound."""
    found, place = [], 0
    while place + 4 <= len(data):
        kbits, padding = KBITS[data[place + 2] >> 4], data[place + 2] >> 1 & 1
        found.append(kbits)
        place += 72 * kbits * 1000 // RATE + padding
    return sorted(set(found[1:]))


plain, alone = write(), write(bitrate_mode="CONSTANT")
with_level = write(bitrate_mode="CONSTANT", compression_level=0.5)
for name, data in (("default", plain), ("CONSTANT", alone), ("CONSTANT and a level", with_level)):
    print(f"{name}: {len(data)} bytes, kbit/s {rates(data)}")
sys.exit(not (plain == alone and len(rates(alone)) > 1 and len(rates(with_level)) == 1))
PYTHON
