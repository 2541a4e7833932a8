#!/bin/bash
# pypinyin 0.55.0, opencc 1.4.2, Linux.
#
# pypinyin documents support for traditional text, and it knows each traditional hanzi. But almost all of
# its phrases are simplified: if the pronunciation of a hanzi depends on the word, the traditional
# spelling gets the most common pronunciation of each hanzi, without a warning. 銀行 (bank) becomes
# yin2 xing2, 银行 yin2 hang2; 重慶 (Chongqing) zhong4 qing4, 重庆 chong2 qing4; 音樂 (music) yin1 le4,
# 音乐 yin1 yue4. One would have expected the same pinyin for both spellings of a word. If the text is
# simplified first (by OpenCC's tw2s), the pinyin is the same.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pypinyin==0.55.0 opencc==1.4.2
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from opencc import OpenCC
from pypinyin import Style, lazy_pinyin

simplify = OpenCC("tw2s").convert
WORDS = {"銀行": "银行", "重慶": "重庆", "音樂": "音乐"}
wrong = 0
for traditional, simplified in WORDS.items():
    found, right = (" ".join(lazy_pinyin(word, style=Style.TONE3)) for word in (traditional, simplified))
    wrong += found != right and simplify(traditional) == simplified
    print(f"{traditional}: {found}; {simplified}: {right}; OpenCC: {simplify(traditional)}")
sys.exit(wrong != len(WORDS))
PYTHON
