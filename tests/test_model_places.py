"""A model of the hub is what its commit holds, and nothing else is fetched."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants

from benchmarks import Hasher, export, run
from benchmarks.models import ModelError

COMMIT = "0b2714987fa478483af9968de7c934580d0bb9a2"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    grid = ["--methods", "itq", "--datasets", "digits", "--bits", "16", "--seeds", "1"]
    places = ["--out", f"{folder}/out", "--cache", f"{folder}/cache", "--device", "cpu"]
    assert run.main([*grid, "--backbone", "pixels", *places, "--no-report"]) == 0
    record = next((folder / "out/runs").rglob("itq/*.json"))
    assert export.main([str(record), "--to", f"{folder}/model"]) == 0
    return folder / "model"


class FakeHub(ThreadingHTTPServer):
    """Serves the files of a folder as one commit of ``owner/toy``, and notes what is asked for."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked = []
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        place, _, name = self.path.rpartition("/")
        if place.startswith("/owner/"):
            self.server.asked.append(name)
        file = self.server.folder / name
        if place != f"/owner/toy/resolve/{COMMIT}" or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(model, tmp_path, monkeypatch):
    server = FakeHub(model)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    # HF_ENDPOINT and its kin are read when huggingface_hub is imported.
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_model_is_fetched_at_its_commit_and_kept(model, hub):
    x = np.random.default_rng(0).normal(size=(5, 192)).astype(np.float32)
    expected = Hasher.load(model, device="cpu").encode(x)
    for _ in range(2):
        found = Hasher.load("owner/toy", revision=COMMIT, device="cpu")
        np.testing.assert_array_equal(found.encode(x), expected)
    found = Hasher.load(f"owner/toy@{COMMIT}", device="cpu")
    np.testing.assert_array_equal(found.encode(x), expected)
    wanted = ["config.json", "model.safetensors", "golden.safetensors"]
    assert hub.asked == [name for name in wanted for _ in ("HEAD", "GET")]


def refusal(*place, **more):
    with pytest.raises(ModelError) as caught:
        Hasher.load(*place, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("revision", [None, "main", "v1.0", COMMIT[:8], "@" + COMMIT])
def test_a_name_of_the_hub_needs_a_whole_commit(hub, revision):
    assert "revision=COMMIT, of 40 hexadecimal digits" in refusal("owner/toy", revision=revision)
    assert hub.asked == []


def test_what_the_hub_does_not_have_is_one_line(hub):
    told = refusal("owner/none", revision=COMMIT)
    assert told.startswith(f"model owner/none: the hub does not give it at {COMMIT} (")
    refusal("../..", revision=COMMIT)
    refusal(f"owner/toy@{'0' * 40}")
    hub.server_close()
    refusal("owner/toy", revision=COMMIT)


def test_a_damaged_model_of_the_hub_is_refused(hub, tmp_path):
    folder = Hasher.load("owner/toy", revision=COMMIT, device="cpu").model
    assert folder.config.bits == 16
    weights = next((tmp_path / "cache").rglob("model.safetensors"))
    weights.resolve().write_bytes(b"")
    assert "model.safetensors is not the file" in refusal("owner/toy", revision=COMMIT)


def test_a_folder_goes_before_the_hub(model, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner/toy").symlink_to(model)
    assert Hasher.load("owner/toy", revision=COMMIT).n_bits == 16
    assert hub.asked == []


def test_a_name_longer_than_any_file_is_no_folder():
    assert "no such folder" in refusal("x" * 300)


def test_a_hasher_is_had_without_scikit_learn_or_pandas():
    heavy = "{'sklearn', 'pandas', 'scipy.stats', 'matplotlib', 'timm'}"
    code = f"import sys; import benchmarks.models.images; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
