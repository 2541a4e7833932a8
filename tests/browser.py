"""Helpers of the tests in a real browser: the browser, and a server."""

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hangs import HANGS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def start_playwright():
    """Start Playwright, once per process; skip the test with the reason if that is impossible."""
    sync_api = pytest.importorskip("playwright.sync_api", reason=(
        "Playwright is missing: pip install --editable '.[browser]'"))
    if CHROMIUM is None:
        pytest.skip("Chromium is missing: apt install chromium")
    with sync_api.sync_playwright() as driver:
        yield driver


@contextmanager
def open_browser(playwright, *flags: str):
    """Headless Chromium."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])
    try:
        yield browser
    finally:
        browser.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextmanager
def running(command: list, url: str, log: Path, seconds: float = HANGS, **options
            ) -> Iterator[subprocess.Popen]:
    """Run a server, wait until it answers at `url`, and terminate it afterwards."""
    with open(log, "w") as file, subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, **options) as server:
        try:
            wait_until_it_answers(url, server, log, time.monotonic() + seconds)
            yield server
        finally:
            server.terminate()
            server.wait(HANGS)


def wait_until_it_answers(url: str, server: subprocess.Popen, log: Path, end: float) -> None:
    while True:
        try:
            urllib.request.urlopen(url, timeout=HANGS).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
