"""The page to speak to, and JupyterLab, in a real browser. Run by `make test-slow`."""

import os
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import soundfile
import torch
from browser import free_port, open_browser, running
from test_house import NOTEBOOKS, REPOSITORY, code_cells
from torchaudio.functional import resample

from ramospeech.audio import SAMPLE_RATE, load_audio
from ramospeech.corpus_mini import manifest_path, speak_utterance
from ramospeech.manifest import Utterance, read_manifest
from ramospeech.metrics import edits

pytestmark = pytest.mark.slow

MICROPHONE_RATE = 48_000  # what Chromium takes for a microphone
SECOND = 1_000  # in the milliseconds of Playwright
ANSWER = 60 * SECOND  # until the page must have answered
LARGEST_BYTES = 20 * 1000 * 1000


@pytest.fixture(scope="module")
def utterance() -> Utterance:
    return read_manifest(manifest_path("test"))[5]  # 我今天去中国, which the model understands


@pytest.fixture(scope="module")
def recording(utterance, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    speak_utterance(utterance, folder)
    return folder / utterance.path


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """Where the page is."""
    pytest.importorskip("gradio", reason="Gradio is missing: pip install --editable '.[demo]'")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "ramospeech.cli", "demo", "--port", str(port)]
    with running(command, url, tmp_path_factory.mktemp("log") / "log"):
        yield url


@pytest.fixture(scope="module")
def browser(recording, tmp_path_factory):
    """Its microphone plays the recording once, with half a second of silence before and after."""
    spoken = resample(load_audio(recording), SAMPLE_RATE, MICROPHONE_RATE)
    silence = torch.zeros(MICROPHONE_RATE // 2)
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    soundfile.write(path, torch.cat([silence, spoken, silence]).numpy(), MICROPHONE_RATE)
    with open_browser("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                      f"--use-file-for-fake-audio-capture={path}%noloop") as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    """The page, just opened; whatever it asks for must come from its own server."""
    opened, asked = browser.new_page(), []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.get_by_text("Record yourself").wait_for()
    yield opened
    opened.close()
    assert address + "config" in asked or len(asked) > 5  # it did ask
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def drop(page, path: Path) -> None:
    """A file let fall on the page, as a mouse would."""
    content = list(path.read_bytes())
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(content)], name, {type: "audio/wav"}));
            return transfer;
        }""", [path.name, content])
    page.get_by_role("button", name="Drop an audio file").dispatch_event(
        "drop", {"dataTransfer": transfer})


def shown(page, selector: str) -> str:
    return page.locator(f".found {selector}").inner_text(timeout=ANSWER)


def test_what_is_said_into_the_microphone_is_written(page, utterance):
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(4 * SECOND)
    page.get_by_role("button", name="Stop").first.click()
    # A busy machine loses some of the sound on its way.
    assert edits(shown(page, ".text"), utterance.hanzi) <= 2


def test_a_file_that_is_dropped_is_written_drawn_and_heard(page, recording, utterance):
    drop(page, recording)
    assert shown(page, ".text") == utterance.hanzi
    assert shown(page, ".pinyin") == "wǒ jīn tiān qù zhōng guó"
    assert page.locator(".found .nbest tbody tr").count() == 5
    assert page.locator(".found .searches tbody tr").count() == 2
    assert page.evaluate("document.querySelector('.found img').naturalWidth") > 500
    page.get_by_role("button", name="play").last.click()
    page.get_by_role("button", name="pause").last.wait_for()  # so it plays


@pytest.mark.parametrize("name, reason", [
    ("broken", "broken.wav: cannot be decoded"), ("long", "long.wav: too long: 90 s"),
])
def test_a_file_that_cannot_be_read_gives_the_error(page, tmp_path, name, reason):
    path = tmp_path / f"{name}.wav"
    path.write_bytes(b"RIFF, but nothing that follows from it")
    if name == "long":
        soundfile.write(path, torch.randn(90 * SAMPLE_RATE).numpy() / 10, SAMPLE_RATE)
    drop(page, path)
    assert reason in shown(page, "[role=alert]")


def test_after_an_error_the_next_file_is_read(page, tmp_path, recording, utterance):
    (tmp_path / "broken.wav").write_bytes(b"RIFF, but nothing that follows from it")
    drop(page, tmp_path / "broken.wav")
    assert "broken.wav" in shown(page, "[role=alert]")
    page.get_by_role("button", name="Clear").last.click()
    drop(page, recording)
    assert shown(page, ".text") == utterance.hanzi


def test_a_file_that_is_too_large_is_refused_by_the_server(address):
    body = (b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n" + bytes(LARGEST_BYTES + 2_000_000) + b"\r\n--x--\r\n")
    request = urllib.request.Request(address + "gradio_api/upload", body, {
        "Content-Type": "multipart/form-data; boundary=x"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 413


# JupyterLab


def lab_command() -> list[str]:
    """What `make lab` starts, by the interpreter of the tests."""
    said = subprocess.run(["make", "--dry-run", "lab"], cwd=REPOSITORY, capture_output=True,
                          text=True, check=True).stdout
    _, *words = shlex.split(said.splitlines()[-1])
    return [str(Path(sys.executable).with_name("jupyter")), *words]


@pytest.fixture
def workplace(tmp_path) -> Path:
    """The notebooks without their outputs, so that whatever is seen was made now."""
    (tmp_path / "notebooks").mkdir()
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, tmp_path / "notebooks" / path.name)
    return tmp_path


@pytest.fixture
def lab(workplace) -> Iterator[str]:
    """Where JupyterLab is; its own settings and state lie in a folder of the test."""
    state = workplace / "state"
    settings = state / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # All cells are then on the page at once, not only those that can be seen.
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    places = {f"JUPYTER_{name}_DIR": str(state / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    places |= {"JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
               "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces")}
    port = free_port()
    command = [*lab_command(), "--no-browser", f"--port={port}", "--IdentityProvider.token="]
    with running(command, f"http://127.0.0.1:{port}/lab", workplace / "log", cwd=workplace,
                 env=os.environ | places):
        yield f"http://127.0.0.1:{port}/lab"


ALL_RUN = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')];
    const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.error"]');
    return failed || prompts.length && prompts.every(prompt => /\\[\\d+\\]/.test(prompt.innerText));
}"""
LOADED = """() => [...document.querySelectorAll('.jp-OutputArea-output img')]
    .filter(image => image.naturalWidth > 0).length"""
PLAYABLE = """() => [...document.querySelectorAll('.jp-OutputArea-output audio')]
    .filter(player => player.duration > 0).length"""


def count_outputs(name: str, sign: str) -> int:
    """How often a sign stands in the outputs that the notebook was committed with."""
    cells = code_cells(nbformat.read(REPOSITORY / "notebooks" / name, as_version=4))
    return sum(str(output).count(sign) for cell in cells for output in cell.outputs)


def test_a_notebook_runs_in_jupyterlab(lab, recording):
    """Its pictures and its players are on the page when the last cell is done."""
    name = "07_speech_to_text.ipynb"
    with open_browser("--autoplay-policy=no-user-gesture-required") as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{lab}/tree/{name}")  # its root is the folder of the first notebook
        page.locator(".jp-CodeCell").first.wait_for(timeout=ANSWER)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=ANSWER)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(ALL_RUN, timeout=10 * ANSWER)
        errors = page.locator('[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts()
        assert errors == []
        page.wait_for_timeout(SECOND)  # for sounds to be loaded
        assert page.evaluate(LOADED) == count_outputs(name, "image/png") > 0
        assert page.evaluate(PLAYABLE) == count_outputs(name, "<audio")
