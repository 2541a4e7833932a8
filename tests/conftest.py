"""What several test files share."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ramospeech", deadline=None)  # machines are slow at times
settings.load_profile("ramospeech")


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, so that a test neither reads nor writes the user's own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("RAMOSPEECH_DATA", str(folder))
    return folder
