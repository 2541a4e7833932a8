"""The web page of `ramospeech demo`, served by Gradio; `content.py` computes what it shows.

Nothing leaves the machine: no telemetry, no tunnel through Gradio's servers, no external fonts or
scripts. Recordings are kept in a temporary folder, which is deleted when the command ends.
"""

import os
import signal
import socket
from errno import EACCES, EADDRINUSE
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from ramospeech.config.paths import SHIPPED_MODEL
from ramospeech.demo.content import LONGEST_SECONDS, Listener

__all__ = [
    "build_page", "check_address", "end_as_by_ctrl_c", "import_gradio", "serve",
]

LARGEST_FILE = "20mb"
HOUR = 3600
HOW_TO_INSTALL = ("the page needs Gradio: pip install 'ramospeech[demo]'; in a checkout: "
                  "pip install --editable '.[demo]'")
INTRODUCTION = f"""# RamoSpeech
Record yourself, or drop a file: WAV, FLAC, OGG or MP3, up to {LONGEST_SECONDS} seconds. The shipped model
was trained on single words, mostly of one speaker: say words, clearly; it does not know sentences."""
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}  # installed on the machine


def serve(host: str = "127.0.0.1", port: int = 7860, model: Path = SHIPPED_MODEL) -> None:
    """Serve the page at http://host:port until SIGTERM or Ctrl-C.

    Raises OSError if host and port are not available, ValueError if Gradio is not installed.
    """
    check_address(host, port)
    end_as_by_ctrl_c()
    with TemporaryDirectory(prefix="ramospeech-demo-") as folder:
        gradio = import_gradio(folder)
        page = build_page(gradio, Listener.load(model))
        try:
            page.launch(
                server_name=host, server_port=port, share=False, quiet=True, footer_links=[],
                max_file_size=LARGEST_FILE, ssr_mode=False, enable_monitoring=False,
                prevent_thread_lock=True, theme=gradio.themes.Base(**FONTS),
            )
            print(f"the page is at {page.local_url} (Ctrl-C stops it)", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            page.close(verbose=False)


def end_as_by_ctrl_c() -> None:
    """Exit cleanly also on SIGTERM, or if the terminal is closed, so that recordings are deleted."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # set by nohup
            signal.signal(number, signal.default_int_handler)


def check_address(host: str, port: int) -> None:
    """Raise OSError, in plain words, if host and port cannot be bound."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        hint = "; choose another one with --port" if error.errno in (EADDRINUSE, EACCES) else ""
        raise OSError(f"{host}, port {port}: {error.strerror or error}{hint}") from None


def import_gradio(folder: str) -> ModuleType:
    """Import Gradio, without telemetry and with recordings in `folder`.

    Raises ValueError with the command that installs it.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise ValueError(f"{HOW_TO_INSTALL} (missing: {error.name})") from None
    return gradio


def build_page(gradio: ModuleType, listener: Listener) -> Any:  # a gradio.Blocks
    """Return a page with a microphone and a file input, and the findings below."""
    with gradio.Blocks(title="RamoSpeech", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gradio.Markdown(INTRODUCTION)
        with gradio.Row():
            spoken = gradio.Audio(sources=["microphone"], type="filepath", label="Record", buttons=[])
            dropped = gradio.Audio(sources=["upload"], type="filepath", label="File", buttons=[])
        content = gradio.HTML()
        for recording in (spoken, dropped):
            recording.change(lambda path: listener.content(path) if path else "", recording, content,
                             api_visibility="private")
    return page
