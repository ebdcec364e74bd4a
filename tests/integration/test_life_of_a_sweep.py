"""Whole sweeps through the command line: servers that die, a harness killed or told to stop, and arms that lie.

Arms that lie on the emulator: test_emulated_sweep.py.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

MTPBENCH = Path(sys.executable).with_name("mtpbench")
MODEL = Path(__file__).parents[2] / "configs" / "models" / "mimo-tiny"
SWEEP = """
name: life
model: mimo-tiny
gpu: cpu-2core
precision: bf16
engine: {engine}
max_running_requests: 4
mtp: {mtp}
workload: 64x96
concurrency: {concurrency}
window: {{min_s: 4, max_s: {max_s}}}
demo: true
"""
VLLM = '{{name: vllm, venv: {venv}, env: {{VLLM_CPU_KVCACHE_SPACE: "1"}}}}'
SGLANG = '{{name: sglang, venv: {venv}, args: [--max-total-tokens, "16384"]}}\nmemory_fraction: 0.2'
EMULATOR = "{name: emulator, args: [--profile, h100-like]}"
START_LIMIT_S = 400


def sweep_file(folder: Path, engine: str, *, mtp="[off, 1]", concurrency="[2]", max_s=8) -> Path:
    path = folder / "life.yaml"
    path.write_text(SWEEP.format(engine=engine, mtp=mtp, concurrency=concurrency, max_s=max_s))
    return path


def start(sweep: Path, out: Path) -> subprocess.Popen[bytes]:
    with sweep.with_suffix(".log").open("w") as log:
        return subprocess.Popen([MTPBENCH, "run", sweep, "-o", out], stdout=log, stderr=log)


def finish(process: subprocess.Popen[bytes], sweep: Path) -> str:
    try:
        process.wait(timeout=START_LIMIT_S)
    finally:
        process.kill()
        process.wait()
    return sweep.with_suffix(".log").read_text()


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "points.jsonl").read_text().splitlines()]


def until(true, what: str) -> None:
    for _ in range(START_LIMIT_S * 10):
        if true():
            return
        time.sleep(0.1)
    pytest.fail(f"never happened: {what}")


def servers(out: Path) -> dict[int, str]:
    """Processes that write to a server.log below the folder, and their names; a zombie has no open files."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            log = str((process / "fd" / "1").readlink())
            name = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if log.startswith(str(out)):
            found[int(process.name)] = name
    return found


def measured_now(out: Path) -> str | None:
    """The point that the first server is measured at."""
    (note,) = out.glob("*/attempt-1/now.json")
    return json.loads(note.read_text()).get("point")


@dataclass(frozen=True)
class Tenant:
    """An engine of a sweep.

    Attributes:
        engine: as a sweep says it, `{venv}` to be filled in.
        venv: the fixture of its environment; None for the emulator's.
        works: what the process that does its work is called.
        program: what is started.
        speculation: the arguments of one draft.
    """

    engine: str
    venv: str | None
    works: str
    program: str = ""
    speculation: tuple[str, ...] = ()


TENANTS = {
    "emulator": Tenant(EMULATOR, None, "harness.emulator"),
    "vllm": Tenant(
        VLLM,
        "vllm_venv",
        "EngineCore",
        "vllm",
        ("--speculative-config", '{"method":"mtp","num_speculative_tokens":1}'),
    ),
    "sglang": Tenant(
        SGLANG,
        "sglang_venv",
        "sglang::scheduler",
        "python",
        (
            *("--speculative-draft-model-path", str(MODEL), "--speculative-algorithm", "NEXTN"),
            *("--speculative-num-steps", "1", "--speculative-eagle-topk", "1", "--speculative-num-draft-tokens", "2"),
        ),
    ),
}
REAL = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("vllm", "sglang")]

LIAR = """#!{here}
import os, sys

program = {venv!r} + "/bin/" + os.path.basename(sys.argv[0])
asked = sys.argv[1:]
if "--host" in asked:  # a server; provenance asks for versions
    at = [i for i, word in enumerate(asked) if word.startswith("--speculative")]
    kept = [word for i, word in enumerate(asked) if i not in at and i - 1 not in at]
    asked = kept if at else [*asked, *{speculation!r}]
os.execv(program, [program, *asked])
"""


@pytest.fixture
def lying(request, tmp_path) -> str:
    """An engine that drops the speculation it is asked for and speculates when it is not."""
    tenant = TENANTS[request.param]
    venv = request.getfixturevalue(tenant.venv)
    folder = tmp_path / "lying" / "bin"
    folder.mkdir(parents=True)
    for name in {"python", tenant.program}:
        (folder / name).write_text(LIAR.format(here=sys.executable, venv=str(venv), speculation=tenant.speculation))
        (folder / name).chmod(0o755)
    return tenant.engine.format(venv=folder.parent)


@pytest.mark.parametrize("lying", REAL, indirect=True)
def test_arms_that_are_not_what_they_say_are_invalid(lying, tmp_path):
    out = tmp_path / "out"
    sweep = sweep_file(tmp_path, lying)
    process = start(sweep, out)
    said = finish(process, sweep)

    assert 4 == process.returncode, said
    invalid = {row["draft_tokens"]: row["invalid"] for row in rows(out)}
    assert "arm_not_off" in invalid[0]
    assert "arm_not_active" in invalid[1]
    assert {} == servers(out)


@pytest.fixture(params=["emulator", *REAL])
def tenant(request) -> Tenant:
    found = TENANTS[request.param]
    venv = request.getfixturevalue(found.venv) if found.venv else None
    return replace(found, engine=found.engine.format(venv=venv) if venv else found.engine)


def test_a_harness_told_to_stop_while_its_server_starts_leaves_nothing(tenant, tmp_path):
    out = tmp_path / "out"
    sweep = sweep_file(tmp_path, tenant.engine, mtp="[1]")
    harness = start(sweep, out)
    # The real ones' children are up long before they are ready, and SGLang's do not yet end with their parent.
    until(lambda: len(servers(out)) > (1 if tenant.venv else 0), "the server has begun to start")
    harness.send_signal(signal.SIGTERM)

    said = finish(harness, sweep)

    assert 0 != harness.returncode, said
    assert {} == servers(out)
    assert [] == list(out.glob("*/attempt-1/configuration.json")) or tenant.venv is None


def test_a_killed_server_costs_its_point_and_a_killed_harness_nothing(tenant, tmp_path):
    out = tmp_path / "out"
    sweep = sweep_file(tmp_path, tenant.engine, mtp="[1]", concurrency="[1, 2, 4]", max_s=20)
    harness = start(sweep, out)
    try:
        until(lambda: list(out.glob("*/attempt-1/configuration.json")), "the server is ready")
        core = next(pid for pid, name in servers(out).items() if tenant.works in name)
        until(lambda: measured_now(out) == "c1-l0", "the first point is begun")
        time.sleep(1)  # into its load
        os.kill(core, signal.SIGKILL)
        until(lambda: list(out.glob("*/c1-l0/point.json")), "the point is saved")
        until(lambda: list(out.glob("*/c2-l0/point.json")), "the next server has measured the next point")
        harness.send_signal(signal.SIGKILL)
    finally:
        harness.kill()
        harness.wait()
    until(lambda: not servers(out), "the server of the killed harness is gone")
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/c[12]-l0/*")}

    said = finish(start(sweep, out), sweep)

    assert kept == {path: path.stat().st_mtime_ns for path in kept}, said
    by_concurrency = {row["concurrency"]: row for row in rows(out)}
    assert {1, 2, 4} == set(by_concurrency)
    assert "server_died" in by_concurrency[1]["invalid"]
    assert not {"server_died", "failed_requests"} & {*by_concurrency[2]["invalid"], *by_concurrency[4]["invalid"]}
    assert [1, 2, 3] == [by_concurrency[n]["attempt"] for n in (1, 2, 4)]
    assert {} == servers(out)
