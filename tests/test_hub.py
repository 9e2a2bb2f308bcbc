import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from datasets.errors import AbsentData, DatasetError
from datasets.files.hub import HubFile, HubSource, fetch

REVISION = "0b2714987fa478483af9968de7c934580d0bb9a2"
CONTENT = bytes(range(256)) * 4000  # 1 MB
NAME = "plain_text/train-00000-of-00001.parquet"
FILE = f"/datasets/owner/toy/resolve/{REVISION}/{NAME}"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def source(content=CONTENT):
    return HubSource("toy", "owner/toy", REVISION, (HubFile(NAME, sha256(content)),))


class FakeHub(ThreadingHTTPServer):
    """Serves one file as the hub does; notes the Range of each GET; breaks off when told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges = []
        self.break_off = 0  # GETs still to be cut in the middle
        self.refuse = 0  # GETs still to be answered by an error
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(self.server.content, body=False)

    def do_GET(self):
        wanted = self.headers.get("Range")
        if self.path == FILE:
            self.server.ranges.append(wanted)
        if self.server.refuse:
            self.server.refuse -= 1
            self.send_error(403)
            return
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        self.answer(self.server.content[start:], body=True, start=start)

    def answer(self, content, *, body, start=0):
        if self.path != FILE:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        whole = self.server.content
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{sha256(whole)}"')
        self.send_header("X-Linked-Etag", f'"{sha256(whole)}"')
        self.send_header("X-Linked-Size", str(len(whole)))
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body and self.server.break_off:
            self.server.break_off -= 1
            content = content[: len(content) // 2]
            self.close_connection = True
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = FakeHub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # HF_ENDPOINT and its kin are read when huggingface_hub is imported; the last test sets them.
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()


def refusal(wanted):
    with pytest.raises(DatasetError) as caught:
        fetch(wanted, None)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"toy: {NAME} of owner/toy")
    assert "--data-root DIR" in str(caught.value)
    wrong = "has SHA-256" in str(caught.value)
    assert isinstance(caught.value, AbsentData) != wrong  # what is wrong is here
    return str(caught.value)


def test_a_file_is_downloaded_once(hub):
    (first,) = fetch(source(), None)
    (second,) = fetch(source(), None)
    assert first == second
    assert first.path.read_bytes() == CONTENT
    assert first.sha256 == sha256(CONTENT)
    assert hub.ranges == [None]


def test_a_dropped_connection_goes_on_where_it_broke_off(hub):
    hub.break_off = 1
    (file,) = fetch(source(), None)
    assert file.path.read_bytes() == CONTENT
    assert hub.ranges[0] is None
    start = int(hub.ranges[1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= len(CONTENT) // 2


def test_a_failed_download_leaves_nothing_that_counts(hub, tmp_path):
    hub.refuse = 1
    message = refusal(source())
    assert f"download from {hub.endpoint} failed (" in message
    assert not any(p.is_file() for p in (tmp_path / "cache").rglob("*.parquet"))
    (file,) = fetch(source(), None)
    assert file.path.read_bytes() == CONTENT


def test_a_file_that_the_hub_does_not_have_is_refused(hub):
    missing = HubSource("toy", "owner/toy", "0" * 40, source().files)
    assert "failed (" in refusal(missing)


def test_a_wrong_checksum_is_refused_until_the_named_file_is_deleted(hub):
    hub.content = CONTENT[:-1] + b"x"
    for _ in range(2):
        message = refusal(source())
        assert sha256(CONTENT) in message
        assert sha256(hub.content) in message
    assert hub.ranges == [None]  # nothing is fetched again behind the user's back
    named = Path(message.split(" has SHA-256")[0].split("owner/toy: ")[1])
    assert named.is_file()
    named.unlink()
    hub.content = CONTENT
    (file,) = fetch(source(), None)
    assert file.path.read_bytes() == CONTENT


def test_a_file_spoiled_in_the_cache_is_fetched_again_once_the_named_file_is_deleted(hub):
    (file,) = fetch(source(), None)
    file.path.write_bytes(CONTENT[:-1] + b"x")
    message = refusal(source())
    Path(message.split(" has SHA-256")[0].split("owner/toy: ")[1]).unlink()
    assert fetch(source(), None)[0].path.read_bytes() == CONTENT
    assert hub.ranges == [None, None]


def test_offline_the_cache_is_used(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = refusal(source())
    assert f"is not in the cache {constants.HF_HUB_CACHE}" in message
    assert "HF_HUB_OFFLINE is set" in message
    assert hub.ranges == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    (file,) = fetch(source(), None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(source(), None) == [file]


def test_a_hub_that_cannot_be_reached_is_named(hub, monkeypatch):
    def unreachable(*args, **kwargs):  # the client itself tries for twenty seconds
        raise LocalEntryNotFoundError("check your connection") from OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    assert f"{hub.endpoint} did not deliver it (no route to host)" in refusal(source())


def test_a_file_of_the_users_own_needs_no_checksum_but_tells_its_own(tmp_path):
    (tmp_path / "toy").mkdir()
    mine = tmp_path / "toy" / "train-00000-of-00001.parquet"
    mine.write_bytes(b"recompressed")
    (file,) = fetch(source(), tmp_path)
    assert file.path == mine
    assert file.sha256 == sha256(b"recompressed")


def test_the_environment_is_respected(hub, tmp_path):
    script = (
        "from tests.test_hub import *\n"
        "try:\n    print(fetch(source(), None)[0].path)\n"
        "except DatasetError as error:\n    print(error)\n"
    )

    def run(**variables):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGINGFACE"))}
        environment = {**kept, "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint}
        return subprocess.run(
            [sys.executable, "-c", script],
            env={**environment, **variables},
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    offline = run(HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in offline
    assert str(tmp_path / "home") in offline
    downloaded = run()
    assert downloaded.startswith(str(tmp_path / "home"))
    assert Path(downloaded).read_bytes() == CONTENT
    assert run(HF_HUB_OFFLINE="1") == downloaded
    assert hub.ranges == [None]


def unpinned():
    return HubSource("toy", "owner/toy", REVISION, (HubFile(NAME),))


def test_without_a_pinned_checksum_the_hubs_own_is_taken(hub, monkeypatch):
    (file,) = fetch(unpinned(), None)
    assert file.sha256 == sha256(CONTENT)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(unpinned(), None) == [file]
    file.path.write_bytes(CONTENT[:-1] + b"x")
    assert f"expected {sha256(CONTENT)}; delete" in refusal(unpinned())


def test_where_the_cache_knows_no_links_the_hub_is_asked_for_its_checksum(hub, monkeypatch):
    copy = fetch(unpinned(), None)[0].path.with_name("copy.parquet")
    copy.write_bytes(CONTENT)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **kwargs: copy)
    assert fetch(unpinned(), None)[0].path == copy
    copy.write_bytes(CONTENT[:-1] + b"x")
    assert f"expected {sha256(CONTENT)}; delete" in refusal(unpinned())


def test_a_name_without_the_hubs_fingerprint_is_found_too(tmp_path):
    name = "data/train-00000-of-00001-1359597a978bc4fa.parquet"
    marked = HubSource("toy", "owner/toy", REVISION, (HubFile(name),))
    mine = tmp_path / "toy" / "train-00000-of-00001.parquet"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    assert fetch(marked, tmp_path)[0].path == mine
