"""Downloads, against a server of our own: whole, cut, resumed, refused, damaged."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import NoSettings
from ddcl.data.readers.fetch import Archive, fetch, obtain
from ddcl.data.readers.source import Request
from tests.unit import archives

CONTENT = bytes(range(256)) * 40_000  # 10 MB: several blocks
MD5 = hashlib.md5(CONTENT).hexdigest()


@dataclass
class Server:
    """What is served, how, and what was asked for.

    cut_after: close the connection after so many bytes. chunked: without saying how many there are.
    length: what is said in place of the right Content-Length.
    """

    url: str = ""
    content: bytes = CONTENT
    cut_after: int | None = None
    resumes: bool = True
    chunked: bool = False
    length: str = ""
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.resumes else 0
            if state.status != 200 or start >= len(state.content):
                self.send_error(416 if state.status == 200 else state.status)
                return
            rest = state.content[start:]
            self.close_connection = True
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            if state.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", state.length or str(len(rest)))
            self.end_headers()
            length, rest = len(rest), rest[: state.cut_after]
            state.sent += len(rest)
            if state.chunked:
                self.wfile.write(f"{length:x}\r\n".encode())
            self.wfile.write(rest)
            if state.chunked and len(rest) == length:
                self.wfile.write(b"\r\n0\r\n\r\n")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}/data.bin"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def archive(server: Server) -> Archive:
    return Archive(server.url, MD5)


def test_a_whole_download_and_then_no_request_at_all(server: Server, tmp_path: Path) -> None:
    path = fetch(archive(server), tmp_path / "new")
    assert path == tmp_path / "new" / "data.bin"
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["data.bin"]
    fetch(archive(server), tmp_path / "new")
    assert server.asked == [None]


@pytest.mark.parametrize("length", ["abc", "-1", "²", "9" * 40])
def test_a_length_that_is_none_is_not_believed(length: str, server: Server, tmp_path: Path) -> None:
    server.length = length.encode().decode("latin-1")
    try:
        assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    except UserError as error:  # Python's own client reads to a length that it can read
        assert "download failed" in str(error)  # noqa: PT017


def test_a_download_that_was_cut_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.cut_after = 3_000_000
    with pytest.raises(UserError, match=r"data\.bin: download failed .*3000000 bytes are kept; run the command again"):
        fetch(archive(server), tmp_path)
    assert not (tmp_path / "data.bin").exists()
    with pytest.raises(UserError, match=r"ended after 6000000 of 10240000 bytes.*6000000 bytes are kept"):
        fetch(archive(server), tmp_path)
    server.cut_after = None
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=3000000-", "bytes=6000000-"]
    assert server.sent == len(CONTENT)
    assert [file.name for file in tmp_path.iterdir()] == ["data.bin"]


def test_a_download_of_unknown_length_that_was_cut_goes_on(server: Server, tmp_path: Path) -> None:
    server.chunked, server.cut_after = True, 5_000_000
    with pytest.raises(UserError, match=r"data\.bin: download failed .* bytes are kept; run the command again"):
        fetch(archive(server), tmp_path)
    kept = (tmp_path / "data.bin.part").stat().st_size
    assert 2**20 <= kept <= 5_000_000
    server.cut_after = None
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={kept}-"]


@pytest.mark.parametrize("part", [b"of another file", CONTENT + b"too long"])
def test_a_part_that_does_not_fit_is_deleted_and_the_next_call_starts_over(
    part: bytes, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "data.bin.part").write_bytes(part)
    with pytest.raises(UserError, match=r"data\.bin\.part: damaged .*; it was deleted; run the command again"):
        fetch(archive(server), tmp_path)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(part)}-", None]


def test_a_server_that_does_not_resume_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT[:1000])
    server.resumes = False
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]
    assert server.sent == len(CONTENT)


def test_a_part_that_is_already_whole_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]
    assert server.sent == 0  # the answer was 416


def test_what_is_not_there_says_so(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(UserError, match=rf"HTTP Error 404.*nothing was kept.*put the file into {tmp_path}"):
        fetch(archive(server), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    root = tmp_path / "file" / "data"
    request = Request("toys", root, 8, NoSettings(), True, "")
    with pytest.raises(UserError, match=rf"{root}: cannot be written"):
        obtain(request, root / "toys", [Archive("http://127.0.0.1:9/toys.tgz", MD5)])


def test_no_server_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/a\.tgz: download failed .*put the file into"):
        fetch(Archive("http://127.0.0.1:9/a.tgz", MD5), tmp_path)


def test_a_wrong_checksum_of_a_download_deletes_it(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(UserError, match=rf"data\.bin\.part: damaged \(md5 .*, expected {MD5}\); it was deleted"):
        fetch(archive(server), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_checksum_of_a_file_of_the_users_does_not(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"something else")
    with pytest.raises(UserError, match=rf"{tmp_path}/data\.bin: damaged .*; delete it and run the command again"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "data.bin").read_bytes() == b"something else"
    assert server.asked == []


def test_a_data_set_is_downloaded_and_unpacked_only_if_asked(server: Server, tmp_path: Path) -> None:
    md5 = archives.tar(tmp_path / "elsewhere.tar.gz", {"toys/a.txt": b"a"})
    server.content = (tmp_path / "elsewhere.tar.gz").read_bytes()
    toys = Archive(server.url.replace("data.bin", "toys.tar.gz"), md5)
    request = Request("toys", tmp_path, 8, NoSettings(), False, "ask a child")
    with pytest.raises(
        UserError, match=r"toys: not found \(looked for .*/toys or .*toys\.tar\.gz\); get it: ask a child"
    ):
        obtain(request, tmp_path / "toys", [toys])
    assert server.asked == []
    obtain(Request("toys", tmp_path, 8, NoSettings(), True, ""), tmp_path / "toys", [toys])
    assert (tmp_path / "toys/a.txt").read_bytes() == b"a"
    (tmp_path / "toys.tar.gz").unlink()
    obtain(request, tmp_path / "toys", [toys])
    assert server.asked == [None]
