"""An evaluation in words and in numbers."""

import json
import re
import runpy
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ramospeech.evaluation import report
from ramospeech.evaluation.error_rates import Evaluation
from ramospeech.evaluation.evaluate import judge
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.recognition.recogniser import frame_seconds
from ramospeech.recognition.results import Result, Transcript

REPOSITORY = Path(__file__).parent.parent
MODEL = Path("models/some.safetensors")


def an_evaluation() -> Evaluation:
    result = Evaluation("by hand")
    result.add("ni3 hao3 ma shi4".split(), "ni3 hao4 ma si4".split())
    result.add(["ni3"], ["ni3", "de"])
    return result


def test_the_facts_can_be_quoted(dev):
    facts = report.evaluation_facts(an_evaluation(), dev, MODEL)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["corpus"] == "mini" and facts["split"] == "dev" and facts["utterances"] == 2
    assert facts["label_source"] == "by hand" and facts["model"] == "some.safetensors"
    assert facts["command"].startswith("ramospeech ")
    assert facts["commit"] and facts["hardware"]
    assert facts["toned_syllables"] == {"error_rate": 0.6, "reference_length": 5,
                                        "substitutions": 2, "insertions": 1, "deletions": 0}
    assert facts["base_syllables"]["error_rate"] == 0.4
    assert facts["tone_error_rate"] == 0.25


def test_what_cannot_be_said_is_null(dev):
    """Where no base syllable was right there is no tone error rate, and NaN is not JSON."""
    result = Evaluation("by hand")
    result.add(["ni3"], [])
    facts = report.evaluation_facts(result, dev, MODEL)
    assert facts["tone_error_rate"] is None
    json.dumps(facts, allow_nan=False)
    assert "nan" not in report.evaluation_text(result, dev, MODEL)


def test_the_text_says_the_same(dev):
    lines = report.evaluation_text(an_evaluation(), dev, MODEL, confusions=1).splitlines()
    assert lines[0] == "some.safetensors on mini dev: 2 utterances; labels: by hand"
    assert lines[1].split() == ("toned syllables 60.0% error: 2 substituted, 1 inserted, "
                                "0 deleted of 5").split()
    assert lines[2].split()[:3] == ["base", "syllables", "40.0%"]
    assert lines[3].split()[:2] == ["tones", "25.0%"]
    third_tone = next(line.split() for line in lines if line.startswith("     3"))
    assert third_tone == ["3", "0", "0", "2", "1", "0"]  # twice as 3, once as 4
    assert lines[-1].split() == ["hao3", "->", "hao4", "1", "×"]
    without = report.evaluation_text(an_evaluation(), dev, MODEL, confusions=0)
    assert "->" not in without


def test_what_the_model_could_never_get_right_stands_apart(dev):
    """`den4` is a syllable, but none of the classes: two figures, with it and without."""
    outside = dev.utterances[0]._replace(pinyin="den4")
    split = replace(dev, utterances=[outside, *dev.utterances[1:]])
    results = [(index, Result(transcripts=[Transcript(utterance.syllables[1:])]))  # the first of each is lost
               for index, utterance in enumerate(dev.utterances)]
    result = judge(results, Vocabulary.read(), split)
    facts = report.evaluation_facts(result, split, MODEL)
    others = sum(len(utterance.syllables) for utterance in dev.utterances[1:])
    assert (facts["utterances"], facts["outside_vocabulary"]) == (4, 1)
    assert facts["toned_syllables"]["reference_length"] == others + 1
    inside = facts["inside_vocabulary"]
    assert inside["utterances"] == 3 and inside["tone_error_rate"] == 0
    assert inside["toned_syllables"] == inside["base_syllables"] == {
        "error_rate": round(3 / others, 4), "reference_length": others,
        "substitutions": 0, "insertions": 0, "deletions": 3}
    text = report.evaluation_text(result, split, MODEL)
    assert "\n1 utterances have" in text and f"0 inserted, 3 deleted of {others}\n" in text


def test_where_all_is_inside_there_is_one_figure(dev):
    results = [(index, Result()) for index in range(len(dev))]
    result = judge(results, Vocabulary.read(), dev)
    facts = report.evaluation_facts(result, dev, MODEL)
    assert facts["outside_vocabulary"] == 0 and "inside_vocabulary" not in facts
    assert "vocabulary" not in report.evaluation_text(result, dev, MODEL)


def test_the_commit_is_that_of_this_repository(tmp_path, monkeypatch):
    repository = Path(report.__file__).parent.parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True,
                          text=True).stdout.strip()
    found = report.commit()
    if head:
        assert head.startswith(found.removesuffix("+changes").split("-g")[-1])
    # Installed somewhere inside another repository, RamoSpeech must not quote that one's commit.
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path, "commit",
                    "-q", "--allow-empty", "-m", "another"], check=True)
    (tmp_path / "lib" / "ramospeech").mkdir(parents=True)
    monkeypatch.setattr(report, "PACKAGE", tmp_path / "lib" / "ramospeech")
    assert report.commit() == "unknown"


def test_changed_code_is_told_and_changed_results_are_not(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    names = ["README.md", "benchmarks/losses.json", "ramospeech/losses/ctc.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(report, "PACKAGE", tmp_path / "ramospeech")
    told = []
    for name in names:
        (tmp_path / name).write_text("2")
        told.append(report.commit().endswith("+changes"))
    assert told == [False, False, True]


def test_the_readme_shows_the_figures_of_the_results_file():
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "evaluate_shipped.py"))
    results = json.loads(script["RESULTS"].read_text(encoding="utf-8"))
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "\n".join(script["table"](results)) in readme
    assert {facts["commit"] for facts in results} == set(re.findall(r"at commit (\w{10}) on", readme))
    assert {(facts["corpus"], facts["split"]) for facts in results} == set(script["LISTS"])


def test_the_log_shows_the_figures_of_its_files():
    """docs/how-low-can-it-go.md, and the results that the benchmarks wrote."""
    page = (REPOSITORY / "docs" / "how-low-can-it-go.md").read_text(encoding="utf-8")
    for name in ("trials", "evaluate_shipped"):
        script = runpy.run_path(str(REPOSITORY / "benchmarks" / f"{name}.py"))
        results = json.loads(script["RESULTS"].read_text(encoding="utf-8"))
        assert "\n".join(script["table"](results)) in page


def test_the_readme_shows_the_figures_of_the_losses(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    errors, costs = (runpy.run_path(str(REPOSITORY / "benchmarks" / f"{name}.py"))
                     for name in ("losses", "loss_cost"))
    runs, facts = (json.loads(script["OUTPUT"].read_text(encoding="utf-8"))
                   for script in (errors, costs))
    assert "\n".join(errors["table"](runs)) in readme
    assert "\n".join(costs["usual_table"](facts["rows"][0])) in readme
    assert facts["rows"][0]["size"] == costs["USUAL"]
    for commit in {facts["commit"], *(run["commit"] for run in runs)}:
        assert commit in readme
    planned = {(name, seed): vars(settings) for name, seed, settings in errors["plan"]()}
    for run in runs:  # a setting that came later is missing in an older run
        assert run["settings"].items() <= planned[run["name"], run["seed"]].items()


def test_the_losses_by_name_and_seed(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "losses.py"))
    runs = [{"name": name, "epochs": [{"dev": 1.0}, {"dev": dev, "seconds": 80.0}],
             "test": {"rate": test}}
            for name, dev, test in (("CTC", 0.2, 0.25), ("ACE", 0.5, 0.5), ("CTC", 0.1, 0.35))]
    assert script["table"](runs)[2:] == ["| CTC | 15.0% (20.0, 10.0) | 30.0% (25.0, 35.0) | 80 |",
                                         "| ACE | 50.0% | 50.0% | 80 |"]


def test_doubles_are_equal_syllables_in_neighbouring_frames(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "losses.py"))
    frames = [1, 2, 3, 5, 6, 7]
    reading = Transcript("ma1 ma1 ma1 ma1 ba1 ma1".split(), frame_seconds(frames))
    single = script["without_doubles"](reading)
    assert single.syllables == tuple("ma1 ma1 ba1 ma1".split())
    assert single.seconds == frame_seconds([1, 5, 6, 7])
    assert script["without_doubles"](Transcript()).syllables == ()


def test_the_table_has_a_row_without_what_is_outside():
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "evaluate_shipped.py"))
    rates = {"toned_syllables": {"error_rate": 0.5}, "base_syllables": {"error_rate": 0.25},
             "tone_error_rate": 0.125}
    facts = {"corpus": "audio-cmn", "split": "syllables", "utterances": 9, **rates, "outside_vocabulary": 4,
             "inside_vocabulary": {"utterances": 5, **rates}}
    _, _, row, inside = script["table"]([facts])
    assert row.startswith("| another speaker's syllables | 9 | 50.0% |")
    assert inside == "| those inside the vocabulary | 5 | 50.0% | 25.0% | 12.5% |"


@pytest.mark.parametrize("name", [
    "language_model", "decoders", "joint_search", "speech_to_text", "pinyin_to_hanzi"])
def test_the_readme_shows_what_the_benchmarks_wrote(name):
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / f"{name}.py"))
    results = json.loads(script["OUTPUT"].read_text(encoding="utf-8"))
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "\n".join(script["table"](results)).strip() in readme
