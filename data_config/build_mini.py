"""Write mini_train.txt, mini_dev.txt and mini_test.txt: the texts and voices of the corpus `mini`.

    python data_config/build_mini.py [FOLDER]

An utterance's path contains its voice: `f2/r160_p50/0007.wav` is espeak-ng's variant f2 at 160
words per minute and pitch 50. `ramospeech.data.recipes.mini` reads these manifests and synthesises
the recordings.
"""

import sys
from pathlib import Path

import numpy as np

from ramospeech.data.manifest import Utterance, write_manifest
from ramospeech.language.pinyin import hanzi_to_pinyin

SEED = 2019
VOICES = {
    "train": "f1 f3 f4 f5 m1 m2 m4 m5 m6 m7 Alex Andy Gene Lee Michael Mike Nguyen adam aunty "
             "boris david ed grandpa linda max paul rob travis".split(),
    "dev": "Mario benjamin steph victor".split(),
    "test": "f2 m3 Denis belinda edward2 robert".split(),
}
UTTERANCES = {"train": 560, "dev": 80, "test": 120}
PHRASES = (
    "你好 谢谢 再见 早上好 你好吗 我很好 今天很好 明天见 早上见 我是中国人 你是中国人吗 "
    "我不是北京人 你是上海人吗 我爱妈妈 妈妈爱我 我爱你 我爱中国 我很爱喝茶 你喝茶吗 我不喝茶 "
    "妈妈喝茶 今天去北京 明天去上海 我去中国 你去上海吗 我不去北京 妈妈去上海 再喝茶 再见上海 "
    "今天早上 明天早上 人很好 茶很好 上海很好 北京不好 早上喝茶 我很不好 你明天去吗"
).split()
PLACES, PEOPLE, DAYS = ("北京", "上海", "中国"), ("我", "你", "妈妈"), ("今天", "明天")
DIGITS = "零一二三四五六七八九"


def number(value: int) -> str:
    """0 to 99 in Chinese: 37 is 三十七."""
    tens, units = divmod(value, 10)
    if tens == 0:
        return DIGITS[units]
    return (DIGITS[tens] if tens > 1 else "") + "十" + (DIGITS[units] if units else "")


def draw_text(rng: np.random.Generator) -> str:
    """A phrase, a number, a sequence of digits, a time of day, or a small sentence."""
    kind = rng.integers(6)
    if kind in (0, 5):
        return str(rng.choice(PHRASES))
    if kind == 1:
        return number(int(rng.integers(11, 100)))
    if kind == 2:
        return "".join(rng.choice(list(DIGITS), size=rng.integers(2, 6)))
    if kind == 3:
        return str(rng.choice(DAYS)) + number(int(rng.integers(1, 13))) + "点"
    return str(rng.choice(PEOPLE)) + str(rng.choice(DAYS)) + "去" + str(rng.choice(PLACES))


def draw_utterance(index: int, voices: list[str], rng: np.random.Generator) -> Utterance:
    voice = voices[index % len(voices)]
    words_per_minute, pitch = int(rng.integers(130, 191)), int(rng.integers(35, 66))
    text = draw_text(rng)
    path = f"{voice}/r{words_per_minute}_p{pitch}/{index:04}.wav"
    return Utterance(path, " ".join(hanzi_to_pinyin(text)), text)


def main(folder: Path) -> None:
    rng = np.random.default_rng(SEED)
    for split, voices in VOICES.items():
        utterances = [draw_utterance(i, voices, rng) for i in range(UTTERANCES[split])]
        write_manifest(folder / f"mini_{split}.txt", utterances)
        syllables = {s for utterance in utterances for s in utterance.syllables}
        print(f"mini_{split}.txt: {len(utterances)} utterances, {len(voices)} voices, "
              f"{len(syllables)} different syllables")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
