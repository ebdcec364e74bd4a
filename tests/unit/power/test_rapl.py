"""Host power of the kernel's files, made by the test as the kernel makes them."""

import io
import os
import tempfile
from pathlib import Path

import pytest

from harness.errors import NoMeter
from harness.power.energy import Trace
from harness.power.host_and_node import mean_power
from harness.power.rapl import RaplMeter
from harness.power.sampler import header, sample
from harness.power.stream import PowerSample, encode_line, read_stream
from harness.records import Window

WRAPS_AT_UJ = 65_532_610_987
HZ = 2.0


def zone(folder: Path, name: str, called: str, energy_uj: int = 0) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "name").write_text(f"{called}\n")
    (made / "max_energy_range_uj").write_text(f"{WRAPS_AT_UJ}\n")
    (made / "energy_uj").write_text(f"{energy_uj}\n")
    return made


@pytest.fixture
def two_packages(tmp_path) -> Path:
    """A server's zones: two packages with a part each, and the zone around them."""
    zone(tmp_path, "intel-rapl:0", "package-0", WRAPS_AT_UJ - 1_000_000_000)
    zone(tmp_path, "intel-rapl:0:0", "dram")
    zone(tmp_path, "intel-rapl:1", "package-1")
    zone(tmp_path, "intel-rapl:1:0", "dram")
    zone(tmp_path, "intel-rapl:2", "psys")
    (tmp_path / "intel-rapl").mkdir()
    return tmp_path


def window(start_s: float, end_s: float) -> Window:
    edges = (round(start_s * 1e9), round(end_s * 1e9))
    return Window(start_ns=edges[0], end_ns=edges[1], blocks_ns=edges, request_time_s=1.0, cut_s=0.0)


def recorded(powercap: Path, target: Path, watts: dict[str, float], until_s: float):
    """What the sampler writes while each package draws so much."""
    start_uj = {name: int((powercap / name / "energy_uj").read_text()) for name in watts}
    now_s = 0.0

    def ends(wait_s: float) -> bool:
        nonlocal now_s
        now_s += wait_s
        for name, power_w in watts.items():
            counted = (start_uj[name] + round(power_w * now_s * 1e6)) % WRAPS_AT_UJ
            (powercap / name / "energy_uj").write_text(f"{counted}\n")
        return now_s >= until_s

    meter, out = RaplMeter(powercap), io.BytesIO()
    out.write(encode_line(header(meter, "host", meter.devices(), HZ)))
    zones = [device.gpu for device in meter.devices()]
    sample(meter, zones, out, HZ, ends, clock=lambda: round(now_s * 1e9), wall=lambda: 0)
    target.write_bytes(out.getvalue())
    return read_stream(target)


def test_packages_are_counted_and_neither_their_parts_nor_what_is_around_them(two_packages):
    devices = RaplMeter(two_packages).devices()

    assert [("intel-rapl:0", "package-0"), ("intel-rapl:1", "package-1")] == [(d.gpu, d.name) for d in devices]
    assert {("host-cpu-package", WRAPS_AT_UJ)} == {(d.scope, d.energy_wraps_at) for d in devices}


def test_host_power_is_the_sum_of_the_packages_across_a_wrap(two_packages, tmp_path):
    stream = recorded(two_packages, tmp_path / "host.jsonl", {"intel-rapl:0": 250.0, "intel-rapl:1": 130.0}, 40)
    counts = [s.energy_count for s in stream.samples if s.gpu == "intel-rapl:0"]
    drawn = mean_power(None, stream, window(1.2, 31.7))

    assert counts[0] > counts[-1]
    assert ("host-cpu-package", None) == (drawn.scope, drawn.reason)
    assert pytest.approx(380.0, rel=1e-6) == drawn.power_w


def test_a_package_that_was_set_back_below_32_bits_did_not_wrap(two_packages):
    device = RaplMeter(two_packages).devices()[0]
    counts = {0: 3_000_000_000, 500_000_000: 0}
    samples = tuple(
        PowerSample(gpu=device.gpu, t_ns=t_ns, wall_ns=t_ns, took_us=0, sweep=i, late_us=0, energy_count=count)
        for i, (t_ns, count) in enumerate(counts.items())
    )

    _, joules = Trace(device, samples).counter_j

    assert [0.0, -3000.0] == joules.tolist()


@pytest.mark.parametrize(
    ("watts", "start_s", "end_s", "reason"),
    [
        (100.0, 1, 39.9, "power_edge"),
        (100.0, 1, 9, "power_window_short"),
        (0.0, 1, 31, "power_counter_frozen"),
    ],
)
def test_readings_in_doubt_give_no_host_power(two_packages, tmp_path, watts, start_s, end_s, reason):
    stream = recorded(two_packages, tmp_path / "host.jsonl", {"intel-rapl:0": watts, "intel-rapl:1": watts}, 39.6)
    drawn = mean_power(None, stream, window(start_s, end_s))

    assert (None, None, reason) == (drawn.power_w, drawn.scope, drawn.reason)


def test_a_package_that_stops_to_answer_is_a_fault_and_not_zero(two_packages):
    meter = RaplMeter(two_packages)
    (two_packages / "intel-rapl:1" / "energy_uj").unlink()
    reading = meter.read("intel-rapl:1")

    assert reading.energy_count is None
    assert "energy_uj" in reading.faults[0]


def test_without_rapl_the_reason_says_so(tmp_path):
    for folder in (tmp_path, tmp_path / "not-there"):
        with pytest.raises(NoMeter, match=r"^no_rapl: "):
            RaplMeter(folder)


def test_what_only_root_may_read_gives_its_reason_and_the_remedy():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (zone(Path(folder), "intel-rapl:0", "package-0") / "energy_uj").chmod(0o400 if os.geteuid() == 0 else 0)
        mine = os.geteuid()
        if mine == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(NoMeter, match=r"^rapl_not_readable: .*Permission denied.*chmod a\+r"):
                RaplMeter(Path(folder))
        finally:
            os.seteuid(mine)
