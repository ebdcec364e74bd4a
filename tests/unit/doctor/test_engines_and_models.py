"""What the doctor says of engines, weights and the hub. The hub here is a server on loopback; nothing else is asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import config
from harness.doctor import Examination, State
from harness.doctor.engines import engines
from harness.doctor.models import models
from harness.spec import EngineSpec, Vendor


def sweep_of(engine=None, model=None, vendor=Vendor.CPU):
    sweep = config.load(Path("tiny-vllm-cpu"))
    return sweep.model_copy(
        update={
            "model": sweep.model.model_copy(update=model or {}),
            "engine": EngineSpec(**({"name": "vllm"} | (engine or {}))),
            "gpu": sweep.gpu.model_copy(update={"vendor": vendor}),
        }
    )


@pytest.fixture
def venv(tmp_path):
    """An environment with a vLLM in it, of versions that a test chooses."""

    def make(**packages: str) -> str:
        folder = tmp_path / "venv/bin"
        folder.mkdir(parents=True)
        python = folder / "python3"
        python.write_text(f"#!/bin/sh\necho '{json.dumps(packages)}'\n")
        (folder / "vllm").write_text(f"#!{python}\n")
        for file in folder.iterdir():
            file.chmod(0o755)
        return str(folder.parent)

    return make


def of(findings, what):
    return [finding for finding in findings if finding.what == what]


def test_without_a_sweep_every_engine_has_a_line(monkeypatch, venv):
    monkeypatch.setenv("MTPBENCH_VLLM_CPU", venv(vllm="0.32.0", torch="2.9.0", python="3.12.1"))
    monkeypatch.setenv("PATH", "")
    found = list(engines(Examination()))
    (vllm,) = of(found, "vllm")

    assert vllm.says.startswith("vllm 0.32.0, torch 2.9.0, python 3.12.1: ")
    assert [State.GOOD] == [finding.state for finding in of(found, "emulator")]
    assert [State.NOTE] == [finding.state for finding in of(found, "Slurm")]


def test_an_engine_that_the_sweep_names_and_that_is_not_there_blocks(tmp_path):
    (only,) = of(engines(Examination(sweep=sweep_of({"venv": str(tmp_path)}))), "vllm")

    assert State.BLOCKS is only.state
    assert f"{tmp_path}/bin/vllm is not there" in only.says
    assert "install vllm into it" in only.remedy


def test_an_engine_on_no_path_blocks(monkeypatch):
    monkeypatch.setenv("PATH", "")
    (only,) = of(engines(Examination(sweep=sweep_of())), "vllm")

    assert (State.BLOCKS, "activate its environment, or give engine.venv") == (only.state, only.remedy)


def test_another_version_than_asked_is_a_warning(venv):
    sweep = sweep_of({"venv": venv(vllm="0.31.0", torch="2.9.0"), "version": "0.32.0"})
    there, other = of(engines(Examination(sweep=sweep)), "vllm")

    assert (State.GOOD, State.WARNING) == (there.state, other.state)
    assert "install vllm==0.32.0, or correct engine.version" == other.remedy


def test_a_python_without_the_engine_blocks(venv):
    (missing,) = of(engines(Examination(sweep=sweep_of({"venv": venv(torch="2.9.0", python="3.12.1")}))), "vllm")

    assert (State.BLOCKS, True) == (missing.state, missing.says.startswith("not installed beside "))


@pytest.mark.parametrize(
    ("vendor", "torch", "blocked"),
    [
        (Vendor.NVIDIA, "2.9.0+cpu", True),
        (Vendor.NVIDIA, "2.9.0+rocm6.4", True),
        (Vendor.NVIDIA, "2.9.0+cu128", False),
        (Vendor.AMD, "2.9.0+cu128", True),
        (Vendor.AMD, "2.9.0+rocm6.4", False),
        (Vendor.CPU, "2.9.0+cpu", False),
    ],
)
def test_a_pytorch_for_other_gpus_blocks(venv, vendor, torch, blocked):
    sweep = sweep_of({"venv": venv(vllm="0.32.0", torch=torch)}, vendor=vendor)

    assert ([State.BLOCKS] if blocked else []) == [f.state for f in of(engines(Examination(sweep=sweep)), "PyTorch")]


def test_what_runs_elsewhere_is_not_looked_for():
    attached = Examination(sweep=sweep_of({"endpoint": "http://127.0.0.1:1"}))

    assert ["Slurm"] == [finding.what for finding in engines(attached)]
    assert [] == list(models(attached))
    assert [State.NOTE] == [f.state for f in of(engines(Examination(sweep=sweep_of({"image": "vllm:1"}))), "vllm")]


def test_a_slurm_without_its_cluster_is_told_from_none(monkeypatch, tmp_path):
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\necho 'sinfo: fatal: no config' >&2\nexit 1\n")
    sinfo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    (slurm,) = of(engines(Examination(sweep=sweep_of({"endpoint": "http://x"}))), "Slurm")

    assert (State.WARNING, True) == (slurm.state, "sinfo: fatal: no config" in slurm.says)


def test_a_model_folder_without_all_of_its_shards_blocks(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.safetensors").write_bytes(b"x")
    index = {"weight_map": {"one": "a.safetensors", "two": "b.safetensors", "three": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    sweep = sweep_of(model={"weights": str(tmp_path), "tokenizer": None})
    (missing,) = models(Examination(sweep=sweep))
    (tmp_path / "b.safetensors").write_bytes(b"x")
    (whole,) = models(Examination(sweep=sweep))

    assert (State.BLOCKS, "stage it again") == (missing.state, missing.remedy)
    assert "1 weight files of its index are not there, like b.safetensors" in missing.says
    assert (State.GOOD, True) == (whole.state, "2 weight files" in whole.says)


def hub_sweep(**engine):
    return sweep_of(engine, model={"weights": "org/model", "revision": "v1", "tokenizer": None})


def test_a_model_in_the_cache_needs_no_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--org--model"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs/v1").write_text("c" * 40)
    snapshot = kept / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (half,) = models(Examination(sweep=hub_sweep()))
    (snapshot / "model.safetensors").write_bytes(b"x")
    (whole,) = models(Examination(sweep=hub_sweep(), online=True))

    assert (State.WARNING, "mtpbench prefetch SWEEP") == (half.state, half.remedy)
    assert State.GOOD is whole.state


def test_a_model_that_is_not_staged_is_not_asked_for_unless_told_to(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    (only,) = models(Examination(sweep=hub_sweep()))

    assert (State.WARNING, True) == (only.state, only.remedy.startswith("mtpbench prefetch"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that answers with the status that its `gives` says; keeps what it was asked."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.server.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(self.server.gives)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.gives, server.asked = 200, []
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "state", "remedy"),
    [
        (200, State.NOTE, "mtpbench prefetch"),
        (401, State.BLOCKS, "set HF_TOKEN"),
        (403, State.BLOCKS, "accept the model's licence"),
        (404, State.BLOCKS, "correct the name or the revision"),
        (503, State.BLOCKS, "ask again later"),
    ],
)
def test_what_the_hub_answers_is_said_with_what_to_do(hub, status, state, remedy):
    hub.gives = status
    (only,) = models(Examination(sweep=hub_sweep(), online=True))

    assert [("/org/model/resolve/v1/config.json", "Bearer hf_secret")] == hub.asked
    assert state is only.state
    assert remedy in only.remedy
    assert "hf_secret" not in str(only)


def test_a_hub_that_can_not_be_reached_blocks_only_what_is_not_staged(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    (only,) = models(Examination(sweep=hub_sweep(), online=True))

    assert (State.BLOCKS, True) == (only.state, "HF_HUB_OFFLINE" in only.remedy)


def test_the_emulator_reads_no_weights():
    assert [] == list(models(Examination(sweep=hub_sweep(name="emulator"))))


def test_without_a_sweep_the_cache_is_looked_at_and_the_hub_only_when_told_to(hub):
    (cache,) = models(Examination())
    before = list(hub.asked)
    _, answers = models(Examination(online=True))

    assert (State.NOTE, []) == (cache.state, before)
    assert State.GOOD is answers.state
