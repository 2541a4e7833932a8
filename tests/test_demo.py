"""What the page of `ramospeech demo` computes, without a browser."""

import base64
import re
import socket
import subprocess
import sys
import unicodedata
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from bs4 import BeautifulSoup
from matplotlib.image import imread
from test_house import PROJECT

from ramospeech.audio.io import SAMPLE_RATE
from ramospeech.cli.main import main
from ramospeech.demo import page
from ramospeech.demo.content import LONGEST_SECONDS, Findings, Line, Listener, error_html, findings_html
from ramospeech.language.edit_distance import edits
from ramospeech.language.pinyin import hanzi_to_pinyin
from ramospeech.recognition.results import Result


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener.load()


def parts(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def rows(html: str, table: str) -> list[list[str]]:
    return [[cell.get_text() for cell in row.find_all(["th", "td"])]
            for row in parts(html).select(f"table.{table} tbody tr")]


def test_a_recording_gives_text_picture_and_tables(listener, dev):
    html = listener.content(dev.audio_path(0))
    shown = parts(html).select_one(".text").get_text()
    said = dev.utterances[0].hanzi
    assert edits(hanzi_to_pinyin(shown), hanzi_to_pinyin(said)) <= len(said) // 2  # it was heard
    nbest = rows(html, "nbest")
    assert nbest[0][:3] == ["1", parts(html).select_one(".pinyin").get_text(), shown]
    scores = [float(row[3]) for row in nbest]
    assert len(nbest) == 5 and scores == sorted(scores, reverse=True)
    assert [row[0] for row in rows(html, "searches")] == ["greedy", "beam"]


def test_greedy_is_what_transcribe_prints(listener, dev, capsys):
    assert main(["transcribe", str(dev.audio_path(0))]) == 0
    syllables = capsys.readouterr().out.split("\t")[1].split()
    shown = rows(listener.content(dev.audio_path(0)), "searches")[0][1]
    assert shown.split() == [with_tone_mark(syllable) for syllable in syllables]


def with_tone_mark(syllable: str) -> str:
    """By Unicode's combining marks: after a or e, the o of ou, else the last vowel."""
    base, tone = re.fullmatch(r"(\D+)([1-4]?)", syllable.replace("v", "ü")).groups()
    if not tone:
        return base
    place = re.search(r"[ae]|o(?=u)|[aeiouü](?=[^aeiouü]*$)", base).end()
    mark = "\u0304\u0301\u030c\u0300"[int(tone) - 1]
    return unicodedata.normalize("NFC", base[:place] + mark + base[place:])


def test_the_picture_is_as_wide_as_the_recording_needs():
    widths = []
    for seconds in (1, 30):
        waveform = torch.randn(seconds * SAMPLE_RATE) / 10
        image = parts(findings_html(Findings(waveform))).select_one("img")
        png = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        widths.append(imread(BytesIO(png)).shape[1])
    assert widths[0] < 1_000 and widths[1] >= 3_000


def test_the_content_asks_for_nothing_from_elsewhere(listener, dev):
    html = listener.content(dev.audio_path(0))
    assert parts(html).find_all(["script", "link", "iframe"]) == []
    assert all(tag["src"].startswith("data:") for tag in parts(html).find_all(src=True))
    assert "url(" not in html and "@import" not in html


def test_where_no_syllable_was_recognised_it_says_so(listener, dev, monkeypatch):
    monkeypatch.setattr(listener.speech, "write", lambda waveform, count: Result())
    html = listener.content(dev.audio_path(0))
    assert "No syllable was recognised" in html
    assert parts(html).select("img") and not parts(html).select("table, .text")


def broken(folder: Path, name: str) -> Path:
    path = folder / f"{name}.wav"
    seconds = {"long": LONGEST_SECONDS + 1, "short": 0.02}.get(name, 1)
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE))
    soundfile.write(path, noise * (name != "silent"), SAMPLE_RATE)
    if name == "cut":
        path.write_bytes(path.read_bytes()[:-9_000])
    if name == "text":
        path.write_text("no sound at all")
    return path


@pytest.mark.parametrize("name, reason", [
    ("long", "too long: 61 s, and this page reads 60 s at most"), ("short", "too short: 0.020 s"),
    ("silent", "silent"), ("cut", "truncated"), ("text", "text, not a recording"),
])
def test_what_cannot_be_read_is_said_in_plain_words(listener, tmp_path, name, reason):
    path = broken(tmp_path, name)
    (message,) = [tag.get_text() for tag in parts(listener.content(path)).select("[role=alert]")]
    assert f"{name}.wav: {reason}" in message
    assert str(tmp_path) not in message  # where the server keeps it is no reader's concern


def test_a_small_file_of_many_hours_is_not_unpacked(listener, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "hours.flac", np.zeros(SAMPLE_RATE * 3600, np.int16), SAMPLE_RATE)
    assert (tmp_path / "hours.flac").stat().st_size < 1e6
    monkeypatch.setattr("ramospeech.demo.content.read_segments", pytest.fail)
    assert "hours.flac: too long: 3600 s" in listener.content(tmp_path / "hours.flac")


def test_a_recording_longer_than_its_header_says(listener, tmp_path, monkeypatch):
    path = broken(tmp_path, "long")
    monkeypatch.setattr("ramospeech.demo.content.audio_seconds", lambda path: 2.0)
    assert "long.wav: too long: 61 s, and this page reads 60 s at most" in listener.content(path)


def test_what_comes_from_outside_is_escaped():
    line = Line("<b>", "<script>alert(1)</script>", 0.0)
    found = Findings(torch.randn(SAMPLE_RATE) / 10, ['"><i>'], [0.1], [line], line, line)
    for html in (findings_html(found), error_html("<img src=x onerror=alert(1)>.wav: silent")):
        assert parts(html).find_all(["script", "b", "i"]) == []
        assert all(tag["src"].startswith("data:") for tag in parts(html).find_all("img"))


# The command


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)  # so that its import fails
    assert main(["demo"]) == 1
    said = capsys.readouterr().err
    assert "pip install 'ramospeech[demo]'" in said and "demo" in PROJECT["optional-dependencies"]


def test_a_port_that_is_taken_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert str(port) in said and "--port" in said


def test_an_address_that_is_none_is_not_blamed_on_the_port(capsys):
    assert main(["demo", "--host", "nowhere.invalid"]) == 1
    said = capsys.readouterr().err
    assert "nowhere.invalid" in said and "--port" not in said


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x"])
def test_what_is_no_port_is_refused(port, capsys):
    with pytest.raises(SystemExit):
        main(["demo", "--port", port])
    assert "is not a port" in capsys.readouterr().err


def test_it_listens_to_this_machine_alone_unless_told_otherwise(monkeypatch):
    asked = []
    monkeypatch.setattr(page, "serve", lambda *arguments: asked.append(arguments[:2]))
    assert main(["demo"]) == main(["demo", "--host", "0.0.0.0", "--port", "81"]) == 0
    assert asked == [("127.0.0.1", 7860), ("0.0.0.0", 81)]


def test_gradio_is_told_to_call_nobody_before_its_import():
    """In a process of its own: what is imported once stays."""
    program = ("import os, sys, ramospeech.cli.main, ramospeech.demo.page as page\n"
               "assert 'gradio' not in sys.modules\n"
               "sys.modules['gradio'] = None\n"
               "try: page.import_gradio('/nowhere')\n"
               "except ValueError: print(os.environ['GRADIO_ANALYTICS_ENABLED'])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
