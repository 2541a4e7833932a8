"""Where files are written: links, pipes and devices as well as plain names."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ramospeech.utils.files import is_stream, refuse_unwritable, write_text


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "target.txt").write_text("old")
    (tmp_path / "second").symlink_to("far/target.txt")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    refuse_unwritable(tmp_path / "first")
    write_text(tmp_path / "first", "new")
    assert (tmp_path / "first").is_symlink() and (tmp_path / "second").is_symlink()
    assert (tmp_path / "far" / "target.txt").read_text() == "new"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["target.txt"]


def test_a_link_to_a_file_that_is_not_there_yet(tmp_path):
    (tmp_path / "link").symlink_to("later.txt")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "later.txt").read_text() == "new"


def test_links_in_a_circle(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="cannot be written"):
        write_text(tmp_path / "a", "new")


@pytest.mark.parametrize("linked", [False, True])
def test_a_named_pipe_is_written_into(tmp_path, linked):
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if linked:
        path = tmp_path / "link"
        path.symlink_to("pipe")
    refuse_unwritable(path)  # does not wait for a reader
    heard: list[str] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(path, "through")
    reader.join(60)
    assert heard == ["through"] and pipe.is_fifo()


def test_a_device_is_not_replaced():
    write_text(devnull := Path(os.devnull), "nothing")
    assert devnull.is_char_device() and is_stream(devnull)


WRITE = ("import sys; from pathlib import Path; from ramospeech.utils.files import *; "
         "path = Path(sys.argv[1]); print('before'); refuse_unwritable(path); "
         "write_text(path, 'text\\n'); print('after')")


def test_standard_output_goes_on_behind_what_was_written(tmp_path):
    """Into a file as well, which is not replaced under the hands of whoever writes on."""
    for name in ("/dev/stdout", "/dev/fd/1"):
        piped = subprocess.run([sys.executable, "-c", WRITE, name], capture_output=True, check=True)
        assert piped.stdout == b"before\ntext\nafter\n"
        with open(tmp_path / "out.txt", "wb") as file:
            subprocess.run([sys.executable, "-c", WRITE, name], stdout=file, check=True)
        assert (tmp_path / "out.txt").read_bytes() == piped.stdout


def test_a_number_that_is_not_open():
    with pytest.raises(OSError, match="/dev/fd/987: cannot be written"):
        write_text(Path("/dev/fd/987"), "text")


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    for check in (refuse_unwritable, lambda path: write_text(path, "new")):
        with pytest.raises(OSError, match=r"out.txt: cannot be written \(.*file is not a folder\)"):
            check(tmp_path / "file" / "deep" / "out.txt")
