"""The demo page and JupyterLab in a real browser. Run by `make test-slow`."""

import os
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
import soundfile
import torch
from browser import free_port, open_browser, running, start_playwright
from hangs import HANGS
from test_house import NOTEBOOKS, REPOSITORY, code_cells
from torchaudio.functional import resample

from ramospeech.audio.io import SAMPLE_RATE, load_audio
from ramospeech.data.manifest import Utterance, read_manifest
from ramospeech.data.recipes.mini import manifest_path, speak_utterance
from ramospeech.language.edit_distance import edits
from ramospeech.utils.files import MEGABYTE
from tools import lab

pytestmark = pytest.mark.slow

MICROPHONE_RATE = 48_000  # of Chromium's microphone
SECOND = 1_000  # in milliseconds, for Playwright
ANSWER = HANGS * SECOND  # the longest wait for the page


@pytest.fixture(scope="module")
def utterance() -> Utterance:
    return read_manifest(manifest_path("test"))[5]  # 我今天去中国, which the model recognises correctly


@pytest.fixture(scope="module")
def recording(utterance, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    speak_utterance(utterance, folder)
    return folder / utterance.path


def hear_hang_ups() -> None:
    """Restore the default, because the tests may run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Yield the page's address and its process; `folder` is used for temporary files."""
    pytest.importorskip("gradio", reason="Gradio is missing: pip install --editable '.[demo]'")
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = [sys.executable, "-m", "ramospeech.cli.main", "demo", "--port", str(port)]
    with running(command, url, folder / "log", env=os.environ | {"TMPDIR": str(folder)},
                 preexec_fn=hear_hang_ups) as process:
        yield url, process


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    with demo(tmp_path_factory.mktemp("demo")) as (url, _):
        yield url


@pytest.fixture(scope="module")
def playwright():
    with start_playwright() as driver:
        yield driver


@pytest.fixture(scope="module")
def browser(playwright, recording, tmp_path_factory):
    """A browser whose microphone plays the recording once, with half a second of silence around it."""
    spoken = resample(load_audio(recording), SAMPLE_RATE, MICROPHONE_RATE)
    silence = torch.zeros(MICROPHONE_RATE // 2)
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    soundfile.write(path, torch.cat([silence, spoken, silence]).numpy(), MICROPHONE_RATE)
    with open_browser(playwright, "--use-fake-ui-for-media-stream",
                      "--use-fake-device-for-media-stream",
                      f"--use-file-for-fake-audio-capture={path}%noloop") as opened:
        yield opened


@pytest.fixture
def page(browser, address):
    """The page, just opened; it may request data only from its own server."""
    opened, asked = browser.new_page(), []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.get_by_text("Record yourself").wait_for()
    yield opened
    opened.close()
    assert address + "config" in asked or len(asked) > 5  # it did request something
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def drop(page, path: Path) -> None:
    """Drop a file on the page, as with a mouse."""
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
    # On a busy machine some of the sound is lost.
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
    ("broken", "broken.wav: text, not a recording"), ("long", "long.wav: too long: 90 s"),
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


def upload(address: str, size: int) -> None:
    """Upload a file without the page; raises HTTPError if the server rejects it."""
    body = (b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n'
            b"Content-Type: audio/wav\r\n\r\n" + bytes(size) + b"\r\n--x--\r\n")
    request = urllib.request.Request(address + "gradio_api/upload", body, {
        "Content-Type": "multipart/form-data; boundary=x"})
    urllib.request.urlopen(request).close()


def test_a_file_that_is_too_large_is_refused_by_the_server(address):
    upload(address, MEGABYTE)
    with pytest.raises(urllib.error.HTTPError) as caught:
        upload(address, 21 * MEGABYTE)
    assert caught.value.code == 413


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_recordings_are_gone_when_the_command_ends(tmp_path, number):
    """SIGHUP is sent when a terminal is closed."""
    with demo(tmp_path) as (address, process):
        upload(address, MEGABYTE)
        assert list(tmp_path.rglob("a.wav"))
        process.send_signal(number)
        process.wait(HANGS)
    assert list(tmp_path.rglob("a.wav")) == []


# JupyterLab


def lab_commands() -> list[list[str]]:
    """Return the Jupyter commands of `make lab`, with the interpreter of the tests."""
    said = subprocess.run(["make", "--dry-run", "lab"], cwd=REPOSITORY, capture_output=True,
                          text=True, check=True).stdout
    jupyter = str(Path(sys.executable).with_name("jupyter"))
    return [[jupyter, *shlex.split(line.rpartition(">/dev/null")[0].removesuffix("2") or line)[1:]]
            for line in said.splitlines() if "bin/jupyter " in line]


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Yield JupyterLab's address; `folder` is its repository, and holds its settings and state."""
    lab.copy_missing(REPOSITORY / "notebooks", folder / "lab")
    for name in ("README.md", "docs"):
        (folder / name).symlink_to(REPOSITORY / name)
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    # Render all cells at once, not only the visible ones.
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data",
              "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTERLAB_SETTINGS_DIR": "settings",
              "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    environment = os.environ | {name: str(folder / place) for name, place in places.items()}
    environment["PYTHONPATH"] = str(REPOSITORY)  # the kernel runs in another folder
    *before, last = lab_commands()
    for command in before:
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    port = free_port()
    command = [*last, "--no-browser", f"--port={port}", "--IdentityProvider.token="]
    with running(command, f"http://127.0.0.1:{port}/lab", folder / "log", cwd=folder,
                 env=environment):
        yield f"http://127.0.0.1:{port}/lab"


@contextmanager
def notebook_page(playwright, folder: Path, name: str):
    """Open a working copy of a notebook, as `make lab` does."""
    with jupyterlab(folder) as address, open_browser(playwright) as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(f"{address}/tree/lab/{name}")
        page.locator(".jp-CodeCell").first.wait_for(timeout=ANSWER)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=ANSWER)
        yield page


PROMPTS = """[...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')]
    .map(prompt => prompt.innerText.trim())"""
# After a cell that fails, the following cells have no number.
AT_REST = f"(p => /[0-9]/.test(p[0]) && !p.includes('[*]:'))({PROMPTS})"
COMPLAINTS = ('[data-mime-type="application/vnd.jupyter.error"], '
              '[data-mime-type="application/vnd.jupyter.stderr"]')
LOADED = """[...document.querySelectorAll('.jp-OutputArea-output img')]
    .filter(image => image.naturalWidth > 0).length"""
PLAYABLE = """[...document.querySelectorAll('.jp-OutputArea-output audio')]
    .filter(player => player.duration > 0).length"""


def count_outputs(name: str, sign: str) -> int:
    """Count a string in the committed outputs of a notebook."""
    cells = code_cells(nbformat.read(REPOSITORY / "notebooks" / name, as_version=4))
    return sum(str(output).count(sign) for cell in cells for output in cell.outputs)


def check_pictures_and_players(page, name: str) -> None:
    """Check that as many are loaded as the committed notebook has."""
    pictures, players = count_outputs(name, "'image/png'"), count_outputs(name, "<audio")
    page.wait_for_function(f"{LOADED} === {pictures}", timeout=ANSWER)
    page.wait_for_function(f"{PLAYABLE} === {players}", timeout=ANSWER)
    assert pictures


@pytest.mark.parametrize("name", [path.name for path in NOTEBOOKS])
def test_a_notebook_that_is_opened_shows_and_plays_what_it_holds(playwright, tmp_path, name):
    with notebook_page(playwright, tmp_path, name) as page:
        check_pictures_and_players(page, name)


def test_links_lead_to_notebooks_and_pages_and_no_news_are_offered(playwright, tmp_path):
    with notebook_page(playwright, tmp_path, "02_features.ipynb") as page:
        for target in ("03_dfcnn_model.ipynb", "../docs/how-low-can-it-go.md"):
            page.locator(f"a[href*='{Path(target).name}']").first.click()
            page.get_by_role("tab", name=Path(target).name).wait_for(timeout=ANSWER)
            page.get_by_role("tab", name="02_features.ipynb").click()
        assert page.get_by_text("official Jupyter news").count() == 0


def test_a_notebook_runs_in_jupyterlab(playwright, tmp_path):
    """The copy has no outputs, so everything that is shown was produced now."""
    name = "07_speech_to_text.ipynb"
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        (tmp_path / "lab").mkdir(exist_ok=True)
        nbformat.write(notebook, tmp_path / "lab" / path.name)
    with notebook_page(playwright, tmp_path, name) as page:
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(AT_REST, timeout=ANSWER)
        assert page.locator(COMPLAINTS).all_inner_texts() == []
        prompts = page.evaluate(PROMPTS)
        assert prompts == [f"[{number}]:" for number in range(1, len(prompts) + 1)]
        check_pictures_and_players(page, name)
