"""The page to speak to: `ramospeech demo`. What it shows is computed in `demo_content`.

Nothing leaves the machine: no telemetry, no link by way of Gradio's servers, and no font or script
from elsewhere. Recordings lie in a folder of their own, which is gone when the command ends.
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

LARGEST_FILE = "20mb"
HOUR = 3600
HOW_TO_INSTALL = ("the page needs Gradio: pip install 'ramospeech[demo]'; in a checkout: "
                  "pip install --editable '.[demo]'")
INTRODUCTION = f"""# RamoSpeech
Record yourself, or drop a file: WAV, FLAC, OGG or MP3, up to {LONGEST_SECONDS} seconds. The shipped model has
learned from single words, most of one speaker: say words, clearly; it does not know sentences."""
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}  # of the machine


def serve(host: str = "127.0.0.1", port: int = 7860, model: Path = SHIPPED_MODEL) -> None:
    """Show the page at http://host:port until SIGTERM or Ctrl-C.

    Raises OSError where host and port cannot be had, ValueError where Gradio is not installed.
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
            print(f"the page is at {page.local_url} (Ctrl-C ends it)", flush=True)
            signal.pause()
        except KeyboardInterrupt:
            page.close(verbose=False)


def end_as_by_ctrl_c() -> None:
    """So that the recordings go, also when the command is asked to end, or its terminal is closed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, signal.default_int_handler)


def check_address(host: str, port: int) -> None:
    """Raise OSError, in plain words, where nothing can listen at host and port."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        hint = "; --port takes another one" if error.errno in (EADDRINUSE, EACCES) else ""
        raise OSError(f"{host}, port {port}: {error.strerror or error}{hint}") from None


def import_gradio(folder: str) -> ModuleType:
    """Gradio, told before its import to call nobody and to keep recordings in `folder`.

    Raises ValueError, with the command that installs it.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": folder}
    try:
        import gradio
    except ModuleNotFoundError as error:
        raise ValueError(f"{HOW_TO_INSTALL} (missing: {error.name})") from None
    return gradio


def build_page(gradio: ModuleType, listener: Listener) -> Any:  # a gradio.Blocks
    """Two ways to hand over a recording, and below them what was found in it."""
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
