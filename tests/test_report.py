"""An evaluation in words and in numbers."""

import json
import re
import runpy
import subprocess
from pathlib import Path

from ramospeech import report
from ramospeech.metrics import Evaluation

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
    assert third_tone == ["3", "0", "0", "2", "1", "0"]  # said 3: heard twice as 3, once as 4
    assert lines[-1].split() == ["hao3", "heard", "as", "hao4", "1", "×"]
    without = report.evaluation_text(an_evaluation(), dev, MODEL, confusions=0)
    assert "heard as" not in without


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


def test_the_readme_shows_the_figures_of_the_results_file():
    script = runpy.run_path(str(REPOSITORY / "benchmarks" / "evaluate_shipped.py"))
    results = json.loads(script["RESULTS"].read_text(encoding="utf-8"))
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert "\n".join(script["table"](results)) in readme
    assert {facts["commit"] for facts in results} == set(re.findall(r"at commit (\w{10}) on", readme))
    assert {facts["split"] for facts in results} == {"dev", "test", "syllables"}
