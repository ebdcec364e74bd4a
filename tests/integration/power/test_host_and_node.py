"""The host and the node beside the GPUs, each read by a process of its own: files and a plug-in that the test makes."""

import asyncio
import time

import pytest

from harness.power.host_and_node import host_and_node_fields, mean_power
from harness.power.records import Metering
from harness.power.sampler_process import SamplerProcess
from harness.power.session import Session, start_beside
from harness.power.stream import read_stream
from harness.records import Window

PLUGIN = """
class Bmc:
    scope = "node-psu-input"

    def power_w(self):
        {answer}
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch):
    """A package that brings a node meter, installed where the sampler looks."""

    def install(answer: str, name: str = "site_bmc") -> None:
        site = tmp_path / "site"
        info = site / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(PLUGIN.format(answer=answer))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[mtpbench.node_meters]\nbmc = {name}:Bmc\n")
        monkeypatch.setenv("PYTHONPATH", str(site))

    return install


@pytest.fixture
def powercap(tmp_path):
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in {"name": "package-0", "max_energy_range_uj": "262143328850", "energy_uj": "5000000"}.items():
        (zone / name).write_text(text + "\n")
    return zone.parent


def reason_of(sampling: SamplerProcess) -> str | None:
    edges = (0, 60_000_000_000)
    window = Window(start_ns=0, end_ns=edges[1], blocks_ns=edges, request_time_s=1.0, cut_s=0.0)
    return mean_power(sampling.failure, None, window).reason


async def sampled(session: Session, tmp_path, seconds: float) -> tuple[Metering, int, int]:
    """What is kept of some time by a session that has these beside it."""
    start_ns = time.monotonic_ns()
    await asyncio.sleep(seconds)
    end_ns = time.monotonic_ns()
    (tmp_path / "point").mkdir()
    try:
        return await session.keep_beside(tmp_path / "point", start_ns, end_ns), start_ns, end_ns
    finally:
        await session.stop()


async def test_host_and_node_power_are_in_the_row_with_scope_or_reason(plug_in, powercap, tmp_path):
    plug_in("return 2345.0")
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        log = folder / "power.log"
        others = {name: await start_beside(name, folder, log, str(powercap)) for name in ("host", "node")}
        gpus = Session(Metering(), beside=others)
        metering, start_ns, end_ns = await sampled(gpus, folder, 10.5)
        streams = {name: read_stream(folder / "point" / f"{name}.jsonl") for name in metering.beside}
        edges = (start_ns, end_ns)
        window = Window(start_ns=start_ns, end_ns=end_ns, blocks_ns=edges, request_time_s=1.0, cut_s=0.0)
        said = host_and_node_fields(metering.beside, streams, window)
        if not {"power_gap", "power_sampler_died"} & set(said.values()):  # a machine that stalls for over 3 s
            break

    assert {"host": None, "node": None} == metering.beside
    assert {"site_bmc": "1.2"} == streams["node"].header.versions
    assert {
        "host_power_w": None,
        "host_power_scope": None,
        "host_power_reason": "power_counter_frozen",
        "node_power_w": pytest.approx(2345.0),
        "node_power_scope": "node-psu-input",
        "node_power_reason": None,
    } == said


async def test_without_a_plug_in_and_without_rapl_there_are_reasons(tmp_path):
    node = await start_beside("node", tmp_path, tmp_path / "power.log")
    host = await start_beside("host", tmp_path, tmp_path / "power.log", str(tmp_path / "none"))

    assert ("no_node_meter", "no_rapl") == (reason_of(node), reason_of(host))
    assert not node.reads and not host.reads


async def test_of_two_plug_ins_none_is_taken(plug_in, tmp_path):
    plug_in("return 1.0")
    plug_in("return 2.0", name="other_bmc")

    assert "several_node_meters" == reason_of(await start_beside("node", tmp_path, tmp_path / "power.log"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("return None", "power_edge"),
        ("raise OSError('the BMC does not answer')", "power_edge"),
        ("return 0.0", "power_zero"),
        ("raise KeyError('a fault of the plug-in')", "power_sampler_died"),
    ],
)
async def test_a_plug_in_that_fails_costs_the_node_s_figure(plug_in, tmp_path, answer, reason):
    plug_in(answer)
    node = await start_beside("node", tmp_path, tmp_path / "power.log")
    gpus = Session(Metering(), beside={"node": node})
    metering, start_ns, end_ns = await sampled(gpus, tmp_path, 1)
    window = Window(start_ns=start_ns, end_ns=end_ns, blocks_ns=(start_ns, end_ns), request_time_s=1.0, cut_s=0.0)
    kept = tmp_path / "point" / "node.jsonl"

    assert reason == mean_power(metering.beside["node"], read_stream(kept) if kept.exists() else None, window).reason
