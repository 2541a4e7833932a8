"""`ramospeech speech2text`, as a user types it, and its lines of 2019."""

import ast
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.cli.main import main
from ramospeech.cli.output import error_rates, text_facts, text_lines
from ramospeech.data.corpora import open_split
from ramospeech.data.manifest import Utterance
from ramospeech.decoding.prefix_beam import warm_up
from ramospeech.recognition.results import Result, Transcript

REPOSITORY = Path(__file__).resolve().parent.parent
AS_IN_2019 = """\
Prediction using 1.63606s
SENT 1: ['shang4', 'hai3', 'zhi2', 'wu4', 'yuan2', 'you3', 'ge4', 'zhong3', 'ge4', 'yang4', 'de', 'zhi2', 'wu4']
PRED 1: 上 海 植 物 园 有 各 种 各 样 的 植 物
PRED SCORE: -0.9450
PRED AVG SCORE: -0.0727, PRED PPL: 1.0754
"""  # noqa: E501
SYLLABLES = "shang4 hai3 zhi2 wu4 yuan2 you3 ge4 zhong3 ge4 yang4 de zhi2 wu4".split()
SENTENCE = Transcript(tuple(SYLLABLES), (0.04,) * 13, -20.0, tuple("上海植物园有各种各样的植物"), -0.9450)


def a_text(*others: Transcript) -> Result:
    return Result("a.wav", [SENTENCE, *others], Transcript(("shang4",), (0.04,)), 1.63606)


def test_the_lines_of_2019():
    assert "\n".join(text_lines(1, a_text())) + "\n" == AS_IN_2019


def test_the_reference_and_the_errors():
    reference = Utterance("a.wav", "shang4 hai4 zhi2", "上海")
    lines = list(text_lines(3, a_text(), reference))
    assert "REF SENT 3: ['shang4', 'hai4', 'zhi2']" in lines and "REF 3: 上 海" in lines
    assert "SYLLABLE ERROR: 366.7%, HANZI ERROR: 550.0%" in lines
    lines = list(text_lines(3, a_text(), Utterance("a.wav", " ".join(SYLLABLES), "")))
    assert "SYLLABLE ERROR: 0.0%" in lines and not any(line.startswith("REF 3") for line in lines)


@pytest.mark.parametrize("hanzi", [
    "上海植物园有各种各样的植物。", "上海，植物园：有“各种各样”的植物！", "上海 植物园 有 各种 各样 的 植物",
    "上海植物园——有《各种各样》的植物……", "(上海·植物园)有各种各样的植物~",
])
def test_punctuation_is_not_spoken(hanzi):
    """A reference is often written as in a book; nobody says its commas."""
    reference = Utterance("a.wav", " ".join(SYLLABLES), hanzi)
    assert error_rates(SENTENCE, reference) == {"syllable_error": 0.0, "hanzi_error": 0.0}
    wrong = SENTENCE._replace(tokens=(*SENTENCE.tokens[:-1], "屋"))
    assert error_rates(wrong, reference)["hanzi_error"] == pytest.approx(1 / 13)


def test_a_reference_of_punctuation_alone_has_no_hanzi():
    assert error_rates(SENTENCE, Utterance("a.wav", "shang4", "……")).keys() == {"syllable_error"}


def test_the_n_best_and_no_minus_before_zero():
    lines = list(text_lines(1, a_text(Transcript(tokens=("上", "海"), score=-0.00001))))
    assert lines[-3:] == ["BEST HYP:", "[-20.0000] " + " ".join(SENTENCE.tokens), "[0.0000] 上 海"]


def test_the_facts():
    facts = text_facts(a_text(), Utterance("a.wav", "shang4 hai3", "上海"))
    assert json.loads(json.dumps(facts)) == facts
    assert facts["hanzi"] == SENTENCE.hanzi and facts["pinyin"] == SYLLABLES
    assert facts["score"] == -0.945 and facts["perplexity"] == 1.0754
    assert facts["first_pass"] == ["shang4"] and facts["hanzi_error"] == 5.5
    assert text_facts(Result("b.wav", error="b.wav: silent")) == {
        "file": "b.wav", "error": "b.wav: silent"}


@pytest.fixture
def speech2text(capfd, small_mini):
    warm_up()  # else the first call would say that it compiles

    def call(*arguments) -> tuple[int, str, str]:
        status = main(["speech2text", *map(str, arguments)])
        return status, *capfd.readouterr()
    return call


@pytest.fixture
def recordings(small_mini) -> list[Path]:
    split = open_split("mini", "test")
    return [split.audio_path(index) for index in range(3)]


def test_a_recording(speech2text, recordings):
    status, out, err = speech2text(recordings[0])
    assert (status, err) == (0, "")
    using, sent, pred, score, average = out.splitlines()
    assert re.fullmatch(r"Prediction using \d+\.\d{5}s", using)
    syllables = ast.literal_eval(sent.removeprefix("SENT 1: "))
    assert len(pred.removeprefix("PRED 1: ").split()) == len(syllables) > 0
    score = float(score.removeprefix("PRED SCORE: "))
    average, perplexity = re.fullmatch(r"PRED AVG SCORE: (.*), PRED PPL: (.*)", average).groups()
    assert float(average) == pytest.approx(score / len(syllables), abs=1e-4)
    assert float(perplexity) == pytest.approx(math.exp(-float(average)), abs=2e-4)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_bad_files_are_named_and_the_others_go_on(speech2text, recordings, tmp_path, batch_size):
    (tmp_path / "broken.wav").write_text("no sound")
    files = [tmp_path / "broken.wav", recordings[0], tmp_path / "missing.wav", recordings[1]]
    status, out, err = speech2text("--batch_size", batch_size, *files)
    assert status == 1
    assert f"{files[0]}: " in err and f"{files[2]}: no such file" in err and len(err.splitlines()) == 2
    assert re.findall(r"^FILE (\d): (.*)$", out, re.M) == [("2", str(files[1])), ("4", str(files[3]))]
    assert re.findall(r"^PRED (\d):", out, re.M) == ["2", "4"]
    status, out, err = speech2text("--json", "--batch_size", batch_size, *files)
    facts = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (1, "") and [item["file"] for item in facts] == list(map(str, files))
    assert ["error" in item for item in facts] == [True, False, True, False]


def test_what_was_read_before_a_file_broke_is_not_lost(speech2text, recordings, tmp_path):
    path = tmp_path / "long.flac"
    sound = np.tile(np.concatenate([load_audio(recordings[0]).numpy(), np.zeros(SAMPLE_RATE)]), 60)
    soundfile.write(path, sound, SAMPLE_RATE)
    path.write_bytes(path.read_bytes()[:-5000])
    status, out, err = speech2text(path)
    assert status == 1 and "PRED 1: " in out and f"{path}: " in err
    status, out, _ = speech2text("--json", path)
    facts = json.loads(out)
    assert status == 1 and facts["error"].startswith(f"{path}: ") and facts["hanzi"]


def test_with_the_reference(speech2text, recordings):
    utterance = open_split("mini", "test").utterances[2]
    status, out, err = speech2text("--corpus", "mini", "--index", "2")
    assert (status, err) == (0, "") and f"REF 1: {' '.join(utterance.hanzi)}" in out
    assert re.search(r"^SYLLABLE ERROR: \d+\.\d%, HANZI ERROR: \d+\.\d%$", out, re.M)
    _, out, _ = speech2text("--json", "--nbest", "3", "--corpus", "mini", "--index", "2", "0")
    facts = [json.loads(line) for line in out.splitlines()]
    assert [item["file"] for item in facts] == [str(recordings[2]), str(recordings[0])]
    assert facts[0]["reference"] == {"hanzi": utterance.hanzi, "pinyin": utterance.syllables}
    assert [len(item["nbest"]) for item in facts] == [3, 3]
    assert facts[0]["nbest"][0]["hanzi"] == facts[0]["hanzi"]


@pytest.mark.parametrize("arguments", [
    [], ["a.wav", "--corpus", "mini", "--index", "0"], ["a.wav", "--index", "0"],
    ["--corpus", "mini"], ["--corpus", "mini", "--index", "99"],
])
def test_a_wrong_call(speech2text, arguments):
    status, out, err = speech2text(*arguments)
    assert (status, out, len(err.splitlines())) == (1, "", 1)


def test_by_its_old_name(recordings, tmp_path):
    """From another folder, and by a link."""
    (tmp_path / "link.sh").symlink_to(REPOSITORY / "speech2text.sh")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([tmp_path / "link.sh", "--json", recordings[0], "missing.wav"],
                          capture_output=True, cwd=tmp_path, env=os.environ | {"PATH": path})
    found, missing = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and found["hanzi"] and "no such file" in missing["error"]
