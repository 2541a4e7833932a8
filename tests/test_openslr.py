"""Downloads from servers that break the rules, and archives that are damaged or hostile."""

import gzip
import hashlib
import io
import random
import resource
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramospeech.cli.main import main
from ramospeech.data import http_download, openslr
from ramospeech.data.corpora import CORPORA, get_corpus, open_split
from ramospeech.data.openslr import Archive, download, fetch
from ramospeech.data.preparation import CorpusError
from ramospeech.data.recipes import thchs
from ramospeech.data.unpacking import DAMAGE, UnsafeMemberError, unpack_stream

FOLDER = "data_thchs30"


def pack(files: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """A `.tar.gz`: contents by name, or ready-made members."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if isinstance(content, tarfile.TarInfo) else content
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


NOISE = random.Random(1).randbytes(400_000)  # larger than a chunk
GOOD = pack({f"{FOLDER}/a.wav": NOISE, f"{FOLDER}/data/b.wav": b"RIFF"})
ARCHIVE = Archive(18, "some.tgz", FOLDER, len(GOOD), 500_000, hashlib.md5(GOOD).hexdigest())

Answer = Callable[[BaseHTTPRequestHandler, int], None]  # takes the first byte of the requested range


def send(request: BaseHTTPRequestHandler, status: int, data: bytes, length: int | None = None,
         **headers: str) -> None:
    request.send_response(status)
    request.send_header("Content-Length", str(len(data) if length is None else length))
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(data)


def honest(request, start, data=GOOD, stop=None):
    """A server that supports ranges; with `stop`, it closes the connection there."""
    send(request, 206, data[start:stop], len(data) - start,
         Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")


def ignores_ranges(request, start):
    send(request, 200, GOOD)


@pytest.fixture
def serve(monkeypatch) -> Iterator[Callable[..., "Server"]]:
    servers = []

    def start(*answers: Answer) -> Server:
        servers.append(Server(answers))
        return servers[-1]

    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield start
    for server in servers:
        server.stop()


class Server:
    """Gives one answer after the other, the last one repeatedly, and records the requests."""

    def __init__(self, answers: tuple[Answer, ...]) -> None:
        remaining, self.asked, self.paths = list(answers), [], []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(request):
                start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
                self.asked.append(start)
                self.paths.append(request.path)
                answer = remaining.pop(0) if len(remaining) > 1 else remaining[0]
                answer(request, start)

            def log_message(request, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/resources"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


def breaks_off(at: int) -> Answer:
    return lambda request, start: honest(request, start, stop=max(at, start))


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "recordings"


def left(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def get(server, target, archive=ARCHIVE):
    return download(archive, target, server.address)


# A whole download ------------------------------------------------------------------------------


def test_an_archive_is_fetched_and_unpacked(serve, target, capsys):
    server = serve(honest)
    assert get(server, target) == target
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE
    assert (target / FOLDER / "data" / "b.wav").read_bytes() == b"RIFF"
    assert server.paths == ["/resources/18/some.tgz"]
    assert left(target) == {"recordings"}
    assert "some.tgz is unpacked, and was deleted" in capsys.readouterr().out
    assert get(server, target) == target and len(server.asked) == 1  # it exists


def test_a_server_without_ranges_and_without_a_length(serve, target):
    def streams(request, start):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(GOOD)

    get(serve(streams), target)
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


def test_a_server_that_calls_the_archive_an_encoding(serve, target):
    """As some do for `.tgz`: a client that trusts them would decompress the archive."""
    def encodes(request, start):
        send(request, 200, GOOD, Content_Encoding="x-gzip")

    get(serve(encodes), target)
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


# Broken connections ----------------------------------------------------------------------------


def test_a_broken_connection_resumes_at_once(serve, target):
    server = serve(breaks_off(100_000), breaks_off(300_000), honest)
    get(server, target)
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE
    assert server.asked[0] == 0 < server.asked[1] <= 100_000 < server.asked[2] <= 300_000
    assert server.asked[1] > 100_000 - 2 * http_download.CHUNK  # most of it was kept


def test_a_partial_download_is_kept(serve, target):
    server = serve(breaks_off(200_000))
    with pytest.raises(CorpusError, match=r"bytes are in .*some\.tgz\.part: run the command again"):
        get(server, target)
    assert left(target) == {"some.tgz.part"}
    have = target.with_name("some.tgz.part").read_bytes()
    assert have == GOOD[:len(have)] and len(have) > 100_000
    assert server.asked[-http_download.TRIES:] == [len(have)] * http_download.TRIES
    server = serve(honest)
    get(server, target)
    assert server.asked == [len(have)]
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


def test_a_temporarily_unavailable_server(serve, target):
    def busy(request, start):
        send(request, 503, b"later")

    server = serve(busy, busy, honest)
    get(server, target)
    assert len(server.asked) == 3
    with pytest.raises(CorpusError, match="503 Server Error.* 0 of"):
        get(serve(busy), target.with_name("other"), replace(ARCHIVE, file="other.tgz"))


def test_an_unreachable_server(serve, target):
    with pytest.raises(CorpusError, match="ConnectionError.* --mirror"):
        download(ARCHIVE, target, "http://127.0.0.1:9/resources")


# Wrong answers ---------------------------------------------------------------------------------


@pytest.fixture
def begun(target) -> bytes:
    """The first half of the archive, from an earlier attempt."""
    half = GOOD[:200_000]
    target.with_name("some.tgz.part").write_bytes(half)
    return half


def test_a_server_that_ignores_the_range(serve, target, begun):
    server = serve(ignores_ranges)
    get(server, target)
    assert server.asked == [len(begun)]
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


def another_range(request, start):
    send(request, 206, GOOD[7:], Content_Range=f"bytes 7-{len(GOOD) - 1}/{len(GOOD)}")


def no_range(request, start):
    send(request, 206, GOOD[start:])


def not_satisfiable(request, start):
    send(request, 416, b"", Content_Range="bytes */99")


def gone(request, start):
    send(request, 404, b"<html>", Content_Type="text/html")


def a_page(request, start):
    send(request, 200, b"<html>Please log in", len(GOOD), Content_Type="text/html")


def another_size(request, start):
    send(request, 200, b"x" * 99)


def another_total(request, start):
    send(request, 206, b"x" * 99, Content_Range=f"bytes {start}-{start + 98}/{start + 99}")


@pytest.mark.parametrize("answer, reason", [
    (another_range, "asked for the bytes from 200000 on, the server sent bytes 7-"),
    (no_range, "the server sent None"), (not_satisfiable, "answered 416"), (gone, "answered 404"),
    (a_page, "answered 200 OK, text/html"), (another_size, "has 99 bytes instead of"),
    (another_total, "has 200099 bytes instead of"),
])
def test_a_wrong_answer_damages_nothing(serve, target, begun, answer, reason):
    server = serve(answer)
    with pytest.raises(CorpusError, match=f"{reason}.*200,000 of .* --mirror"):
        get(server, target)
    assert len(server.asked) == 1
    assert target.with_name("some.tgz.part").read_bytes() == begun
    get(serve(honest), target)
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


def test_a_server_that_sends_too_much(serve, target):
    def babbles(request, start):
        request.send_response(200)
        request.end_headers()
        request.wfile.write(GOOD + b"and more")

    get(serve(babbles), target)
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


# Invalid archives ------------------------------------------------------------------------------


def refuse(serve, target, data: bytes, reason: str, md5: str | None = None) -> None:
    archive = replace(ARCHIVE, size=len(data), md5=md5)
    server = serve(lambda request, start: honest(request, start, data))
    with pytest.raises(CorpusError, match=rf"some\.tgz is damaged \(.*{reason}.*it was renamed"):
        get(server, target, archive)
    assert left(target) == {"some.tgz.damaged"}
    get(serve(honest), target)  # the next attempt fetches a new copy
    assert (target / FOLDER / "a.wav").read_bytes() == NOISE


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def test_a_flipped_bit_is_found_by_the_md5(serve, target):
    refuse(serve, target, flipped(GOOD, 200_000), "its MD5 is not", ARCHIVE.md5)


@pytest.mark.parametrize("at", [0, 200_000, len(GOOD) - 6])
def test_a_flipped_bit_is_found_without_one(serve, target, at):
    refuse(serve, target, flipped(GOOD, at), "")


@pytest.mark.parametrize("data, reason", [
    (GOOD[:300_000], "EOFError"), (GOOD[:-4], "EOFError"), (b"", ""), (b"<html>", "BadGzipFile"),
    (gzip.compress(b"no tar", mtime=0), "ReadError"),
    (pack({"elsewhere/a.wav": b"RIFF"}), f"there is no {FOLDER} in it"),
    (pack({f"{FOLDER}/wav/S1.tar.gz": pack({"a.wav": NOISE})[:99_000]}), "EOFError"),
], ids=["half", "last bytes", "empty", "page", "no tar", "another", "half inside"])
def test_a_truncated_or_different_archive(serve, target, data, reason):
    refuse(serve, target, data, reason)


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


HOSTILE = [
    {"../escaped": b"x"}, {f"{FOLDER}/../../escaped": b"x"},
    {f"{FOLDER}/link": special(f"{FOLDER}/link", tarfile.SYMTYPE, "../.."),
     f"{FOLDER}/link/escaped": b"x"},
    {f"{FOLDER}/link": special(f"{FOLDER}/link", tarfile.SYMTYPE, "/etc")},
    {f"{FOLDER}/link": special(f"{FOLDER}/link", tarfile.LNKTYPE, "../outside")},
    {f"{FOLDER}/inside": special(f"{FOLDER}/inside", tarfile.SYMTYPE, "a.wav")},
    {f"{FOLDER}/link.tar.gz": special(f"{FOLDER}/link.tar.gz", tarfile.SYMTYPE, "a.wav")},
    {f"{FOLDER}/device": special(f"{FOLDER}/device", tarfile.CHRTYPE)},
    {f"{FOLDER}/device": special(f"{FOLDER}/device", tarfile.BLKTYPE)},
    {f"{FOLDER}/pipe": special(f"{FOLDER}/pipe", tarfile.FIFOTYPE)},
]


def test_a_folder_named_like_an_archive_is_a_folder(serve, target):
    data = pack({f"{FOLDER}/a.tar.gz": special(f"{FOLDER}/a.tar.gz", tarfile.DIRTYPE)})
    archive = replace(ARCHIVE, size=len(data), md5=None)
    get(serve(lambda request, start: honest(request, start, data)), target, archive)
    assert (target / FOLDER / "a.tar.gz").is_dir()


@pytest.mark.parametrize("files", HOSTILE, ids=lambda files: " ".join(files))
@pytest.mark.parametrize("nested", [False, True])
def test_a_hostile_archive_reaches_nothing_outside(serve, target, files, nested):
    target.with_name("outside").write_bytes(b"mine")
    if nested:
        files = {f"{FOLDER}/wav/S0002.tar.gz": pack({"../../" * 9 + name: content
                                                     for name, content in files.items()})}
    data = pack({f"{FOLDER}/a.wav": b"RIFF"} | files)
    archive = replace(ARCHIVE, size=len(data), md5=None)
    with pytest.raises(CorpusError, match="was not unpacked .*(neither a file|outside).* delete it"):
        get(serve(lambda request, start: honest(request, start, data)), target, archive)
    assert left(target) == {"outside", "some.tgz"}
    assert target.with_name("outside").read_bytes() == b"mine"


def test_an_absolute_path_lands_inside(serve, target):
    data = pack({f"{FOLDER}/a.wav": b"RIFF", f"{target.parent}/escaped": b"x"})
    archive = replace(ARCHIVE, size=len(data), md5=None)
    get(serve(lambda request, start: honest(request, start, data)), target, archive)
    assert left(target) == {"recordings"}
    assert [path.name for path in target.rglob("escaped")] == ["escaped"]


def test_archives_in_the_archive_are_unpacked_in_place(serve, target):
    inner = pack({"train/S0002/a.wav": NOISE, "train/S0002/b.tar.gz": b"no archive"})
    data = pack({f"{FOLDER}/wav/S0002.tar.gz": inner, f"{FOLDER}/transcript/t.txt": b"a"})
    archive = replace(ARCHIVE, size=len(data), md5=None)
    get(serve(lambda request, start: honest(request, start, data)), target, archive)
    assert (target / FOLDER / "wav/train/S0002/a.wav").read_bytes() == NOISE
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == \
        ["a.wav", "b.tar.gz", "t.txt"]


names = st.lists(st.sampled_from(["..", ".", "a", "b", "/", "", FOLDER]), min_size=1, max_size=6)


@given(st.dictionaries(names.map("/".join).filter(lambda name: name.strip("/.")), st.just(b"x")))
def test_no_name_leads_outside(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("names")
    try:
        unpack_stream(io.BytesIO(pack(files)), folder / "one" / "inside")
    except (*DAMAGE, UnsafeMemberError, OSError):  # OSError: a file where another name needs a folder
        pass
    found = [path.relative_to(folder).parts for path in folder.rglob("*") if path.is_file()]
    assert all(parts[:2] == ("one", "inside") for parts in found)


# Disks -----------------------------------------------------------------------------------------


def test_a_small_disk_is_found_before_the_start(serve, target, begun):
    server = serve(honest)
    with pytest.raises(CorpusError, match=r"GB free, and some.tgz needs 10\d\d\d\d\d\d.* --to"):
        get(server, target, replace(ARCHIVE, unpacked=10 ** 16))
    assert server.asked == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 256 kB, to simulate a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_is_full_while_fetching(serve, target, small_files):
    with pytest.raises(CorpusError, match="OSError: .*262,144 of .* run the command again"):
        get(serve(honest), target)
    assert target.with_name("some.tgz.part").read_bytes() == GOOD[:1 << 18]


def test_a_disk_that_is_full_while_unpacking(serve, target, request):
    target.with_name("some.tgz").write_bytes(GOOD)
    request.getfixturevalue("small_files")
    with pytest.raises(CorpusError, match=r"OSError: .*some\.tgz is complete: run the command again"):
        get(serve(honest), target)
    assert left(target) == {"some.tgz"}


def test_a_folder_that_cannot_be_written(serve, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        get(serve(honest), tmp_path / "file" / "recordings")


# Interrupted between the steps -----------------------------------------------------------------


def test_interrupted_unpacking_restarts(serve, target):
    target.with_name("some.tgz").write_bytes(GOOD)
    stale = target.with_name("recordings.part") / FOLDER / "stale.wav"
    stale.parent.mkdir(parents=True)
    stale.touch()
    server = serve(honest)
    get(server, target)
    assert server.asked == [] and not list(target.rglob("stale.wav"))


def test_a_folder_with_other_files_is_left_alone(serve, target):
    target.mkdir()
    get(serve(honest), target)  # an empty folder is accepted
    other = target.with_name("thesis")
    other.mkdir()
    (other / "chapter.txt").touch()
    with pytest.raises(CorpusError, match="thesis contains something other than data_thchs30"):
        get(serve(honest), other)


def test_an_existing_empty_folder_is_filled(serve, target):
    """It may be a mount point, the only disk with room; new ones contain `lost+found`."""
    (target / "lost+found").mkdir(parents=True)
    number = target.stat().st_ino
    with pytest.raises(CorpusError, match="recordings/some.tgz.part: run the command again"):
        get(serve(breaks_off(100), gone), target)
    assert {path.name for path in target.iterdir()} == {"lost+found", "some.tgz.part"}
    server = serve(honest)
    assert get(server, target) == target and server.asked == [100]
    assert {path.name for path in target.iterdir()} == {"lost+found", FOLDER}
    assert target.stat().st_ino == number and left(target) == {"recordings"}
    get(serve(gone), target)  # it is complete


def test_interrupted_unpacking_into_an_existing_folder_restarts(serve, target):
    target.mkdir()
    (target / "some.tgz").write_bytes(GOOD)
    stale = target / "recordings.part" / FOLDER / "stale.wav"
    stale.parent.mkdir(parents=True)
    stale.touch()
    server = serve(honest)
    get(server, target)
    assert server.asked == [] and not list(target.rglob("stale.wav"))
    assert [path.name for path in target.iterdir()] == [FOLDER]


def test_two_commands_do_not_write_into_one_file(serve, target):
    with (openslr._exclusive(target.with_name("some.tgz")),
          pytest.raises(CorpusError, match="another command is fetching")):
        get(serve(honest), target)
    get(serve(honest), target)


# The command -----------------------------------------------------------------------------------


def test_the_archives_are_the_published_ones():
    sizes = {"thchs": 6_453_425_169, "aishell": 15_582_913_665, "primewords": 9_057_625_192,
             "st-cmds": 8_231_662_593}
    assert {name: get_corpus(name).size for name in sizes} == sizes


def test_the_help_names_every_mirror(capsys):
    with pytest.raises(SystemExit):
        main(["download", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"{', '.join(openslr.MIRRORS)}, or a URL" == text.split("of openslr.org: ")[1] \
        .split(" --")[0].replace(" (the default)", "")


@pytest.fixture
def small_thchs(monkeypatch) -> bytes:
    """THCHS-30 with one recording in each split, as an archive."""
    transcript = "你 好\nni3 hao3\nn i3 h ao3\n".encode()
    files: dict[str, bytes | tarfile.TarInfo] = {
        f"{FOLDER}/{name}": content for split, speaker in zip(("train", "dev", "test"), "ABD")
             for name, content in {f"data/{speaker}1_0.wav": b"RIFF",
                                   f"data/{speaker}1_0.wav.trn": transcript,
                                   f"{split}/{speaker}1_0.wav": b"RIFF"}.items()}
    data = pack(files)
    archive = replace(ARCHIVE, file="data_thchs30.tgz", size=len(data), md5=None)
    monkeypatch.setitem(CORPORA, "thchs", replace(thchs.CORPUS, download=partial(download, archive)))
    return data


def test_the_command_states_the_licence_and_prepares(serve, small_thchs, data_folder, capsys):
    server = serve(lambda request, start: honest(request, start, small_thchs, stop=start + 100),
                   lambda request, start: honest(request, start, small_thchs))
    assert main(["download", "thchs", "--mirror", server.address]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "thchs: licence Apache-2.0, free for academic users (openslr.org/18)"
    assert any(line.split() == "train 1 kept, 1 speaker".split() for line in out)
    assert "  test in train: the text of 1 of 1, 0 of 1 speakers" in out
    assert open_split("thchs", "test").utterances[0].pinyin == "ni3 hao3"
    assert open_split("thchs", "test").audio_path(0).is_file()


def test_an_error_is_one_line(serve, small_thchs, data_folder, capsys):
    server = serve(gone)
    assert main(["download", "thchs", "--mirror", server.address]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "answered 404" in error
    assert main(["download", "thchs", "--labels", "mine"]) == 1
    assert "no labels 'mine'" in capsys.readouterr().err
    assert main(["download", "audio-cmn", "--mirror", "us"]) == 1
    assert "audio-cmn has no mirrors" in capsys.readouterr().err


def test_an_unknown_mirror_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no mirror 'moon'; there are main, us, eu, cn, or a URL"):
        fetch(ARCHIVE, tmp_path / "some.tgz", "moon")
