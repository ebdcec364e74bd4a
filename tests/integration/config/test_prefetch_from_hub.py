"""The hub library of the real vLLM environment, against a hub of two files on loopback."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import config
from harness.errors import UserError
from harness.prefetch import prefetch
from harness.spec import EngineSpec

pytestmark = pytest.mark.vllm

COMMIT = "c" * 40
FILES = {"config.json": b"{}", "model.safetensors": b"w" * 1000}


class Hub(BaseHTTPRequestHandler):
    """Enough of the hub's API for one download."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        body = self.body()
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("ETag", f'"{len(body or b"")}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET" and body:
            self.wfile.write(body)

    def body(self):
        path = self.path.partition("?")[0]
        if not path.startswith(("/api/models/some/model/", "/some/model/")):
            return None
        if "/tree/" in path:
            tree = [{"type": "file", "path": name, "size": len(b), "oid": "0"} for name, b in FILES.items()]
            return json.dumps(tree).encode()
        if path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in FILES]
            return json.dumps({"id": "some/model", "sha": COMMIT, "siblings": siblings}).encode()
        return FILES.get(path.rpartition("/")[2])


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that answers, with an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def sweep_of(weights):
    sweep = config.load(Path("tiny-vllm-cpu"))
    model = sweep.model.model_copy(update={"weights": weights, "revision": "main"})
    engine = EngineSpec(name="vllm", venv=os.environ["MTPBENCH_VLLM_CPU"])
    return sweep.model_copy(update={"model": model, "engine": engine})


def test_a_hub_model_lands_in_the_cache_that_the_engine_reads(hub, tmp_path):
    said = prefetch(sweep_of("some/model"))

    folder = tmp_path / "hub" / "hub" / "models--some--model" / "snapshots" / COMMIT
    assert f"some/model: staged in {folder}" == said
    assert FILES == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_model_that_the_hub_does_not_have_is_an_error_of_the_users(hub):
    with pytest.raises(UserError, match="some/other: the download ended with 1"):
        prefetch(sweep_of("some/other"))
