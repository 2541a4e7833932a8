#!/bin/bash
# soundfile 0.14.0 (libsndfile 1.2.2, libmpg123), NumPy 2.4.6, Linux.
#
# An MP3 file read in blocks with SoundFile.read() differs after each block boundary from the same file
# read at once. One would have expected each read to return the samples that follow. But after every
# read, soundfile seeks to its current position; mpg123 then discards its bit reservoir, and prints
# "part2_3_length ... too large for available bit count" to standard error. A subclass whose seekable()
# returns False reads the same samples in blocks as at once.
#
# And if the file has no Xing/Info header, `frames` is an estimate from its size: a file of variable bit
# rate without its header frame is read to about half of its length, without an error.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import numpy as np
import soundfile

path, bare = sys.argv[1] + "/sound.mp3", sys.argv[1] + "/bare.mp3"
rate = 16_000
time = np.arange(25 * rate) / rate
noise = np.random.default_rng(0).standard_normal(len(time))
sound = 0.1 * noise * (1 + np.sin(6 * np.pi * time)) / 2 + 0.3 * np.sin(400 * np.pi * time)
soundfile.write(path, sound, rate, bitrate_mode="VARIABLE", compression_level=0.5)


class Onwards(soundfile.SoundFile):
    def seekable(self):
        return False


def read(kind, length):
    with kind(path) as file:
        blocks = []
        while len(block := file.read(length, dtype="float32")):
            blocks.append(block)
    return np.concatenate(blocks)


whole = read(soundfile.SoundFile, len(sound))
seeking, onwards = (read(kind, 10 * rate) for kind in (soundfile.SoundFile, Onwards))
print("largest difference in blocks:", np.abs(whole - seeking).max(), "; never seeking:",
      np.abs(whole - onwards).max())
content = open(path, "rb").read()
second = content.index(content[:2], 4)
with open(bare, "wb") as file:
    file.write(content[second:])
found = soundfile.info(bare).frames
print("samples:", len(sound), "; found without the header:", found)
sys.exit(not (np.abs(whole - seeking).max() > 1e-3 and (whole == onwards).all()
              and found < 0.7 * len(sound)))
PYTHON
