#!/bin/bash
# espeak-ng's Mandarin voice for pinyin reads some pinyin as English, without an error.
#
# Seen with espeakng-loader 0.2.4 (espeak-ng 1.52) under Python 3.11 on Linux x86-64, in voice
# cmn-latn-pinyin. espeak_TextToPhonemes returns:
#     ma1     m'A55            Mandarin
#     ma      (en)mA:(cmn)     a neutral tone, spelled without a number: an English word
#     ge      (en)dZi:(cmn)    the letter G
#     ne      (en)ni:(cmn)     "knee"
#     ma5 ge5 ne5              Mandarin: with a 5 they are read correctly
#     yong2   j'ong35          Mandarin
#     xiong2  (en)...tu:(cmn)  "kshong two"; so too qiong2 and jiong3, with or without a 5
# One would have expected a voice for pinyin to read every syllable of pinyin as Mandarin, and to report
# an error or stay silent on a syllable that it cannot read. Speech data generated from pinyin with it
# contain English in place of the particles (ma, ne, de, le), without a warning.
# The script calls the library directly, and only for phonemes: no sound is played.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check espeakng-loader==0.2.4
cat > "$folder/trace.py" <<'PYTHON'
import ctypes
import os
import sys
import tempfile

import espeakng_loader

ENGLISH = ["ma", "ge", "ne", "de", "le", "xiong1", "xiong2", "qiong2", "jiong3", "xiong5"]
MANDARIN = ["ma1", "ma5", "ge5", "ne5", "de5", "le5", "yong2", "xing2"]

library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_TextToPhonemes.restype = ctypes.c_char_p
link = os.path.join(tempfile.mkdtemp(dir=sys.argv[1]), "espeak-ng-data")  # it has room for 160 bytes of path
os.symlink(espeakng_loader.get_data_path(), link)
assert library.espeak_Initialize(2, 0, link.encode(), 0x8000) == 22050
assert library.espeak_SetVoiceByName(b"cmn-latn-pinyin") == 0


def phonemes(text):
    pointer = ctypes.c_char_p(text.encode())
    return library.espeak_TextToPhonemes(ctypes.byref(pointer), 1, 0).decode()


said = {text: phonemes(text) for text in ENGLISH + MANDARIN}
for text, names in said.items():
    print(f"{text:8}{names}")
as_seen = all("(en)" in said[text] for text in ENGLISH) and not any("(" in said[text] for text in MANDARIN)
print("as seen" if as_seen else "CHANGED: the two groups are no longer read as they were")
sys.exit(not as_seen)
PYTHON
"$folder/env/bin/python" "$folder/trace.py" "$folder"
