"""The AMD meter over the real `amdsmi` and our own libamd_smi.so: what it reads, and every fault by its code."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from harness.errors import NoMeter
from harness.power import visible
from harness.power.energy import traces
from harness.power.meters import gpus_of_server
from harness.power.records import Metering
from harness.power.validity import StreamEvidence, findings_against
from harness.spec import Vendor
from harness.units import NS_PER_S

TRACE = "4:200,8:1000,600:400"
BINDING = version("amdsmi")
BUILD = Path(__file__).parents[2] / "fakes/amdsmi/build.py"


def joules(start_s, end_s, socket=0):
    """Closed form of TRACE between two moments."""
    steps = ((0, 4, 200), (4, 12, 1000), (12, 612, 400))
    overlap = sum(max(0.0, min(end_s, b) - max(start_s, a)) * watts for a, b, watts in steps)
    return overlap * (1 + 0.01 * socket)


def codes(stream, start_s=2.0, end_s=18.0):
    found = traces(stream)
    return set(
        findings_against(
            StreamEvidence(
                metering=Metering(asked=tuple(trace.device.gpu for trace in found)),
                stream=stream,
                traces=found,
                start_ns=round(start_s * NS_PER_S),
                end_ns=round(end_s * NS_PER_S),
            )
        )
    )


@pytest.mark.parametrize("publish", [0.001, 0.1])
@pytest.mark.parametrize("edges_s", [(2.0, 18.0), (5.34, 11.76), (2.05, 17.95)])
def test_energy_is_the_closed_form_within_a_thousandth(amd_stream, publish, edges_s):
    found = traces(amd_stream(publish=publish, sockets=8))
    edges = np.array([round(edge * NS_PER_S) for edge in edges_s])

    assert 8 == len(found)
    for socket, trace in enumerate(found):
        assert joules(*edges_s, socket) == pytest.approx(trace.energy_j(edges).sum(), rel=1e-3)
        assert joules(*edges_s, socket) == pytest.approx(trace.trapezoid_j(edges).sum(), rel=0.01)


def test_a_good_stream_has_nothing_against_it(amd_stream):
    assert set() == codes(amd_stream())


def test_a_socket_says_what_it_is_and_what_it_may_draw(amd_meter, fake_amd):
    fake_amd(pids="12,34")
    one = amd_meter()
    first = one.devices()[0]

    assert ("AMD Instinct MI355X", "gpu-socket", 2.0**-16) == (first.name, first.scope, first.energy_unit_j)
    assert ("GPU-000000a000000000", "0000:0c:00.0", (12, 34)) == (first.gpu, first.pci, first.processes)
    assert (1400.0, 1400.0, None, 1400.0) == (
        first.limit_w,
        first.limit_default_w,
        first.limit_min_w,
        first.limit_max_w,
    )
    assert ("SPX", "NPS1", "022.040.003.043.000001") == tuple(
        first.facts[name] for name in ("compute_partition", "memory_partition", "vbios")
    )
    assert {"driver": "6.14.14", "rocm": BINDING, "amdsmi": "26.0.2", "binding": BINDING} == one.versions()


def test_a_reading_has_every_field_and_the_caps_share_of_time(amd_stream):
    stream = amd_stream(trace="60:1400")
    one, found = stream.samples[-1], traces(stream)[0]

    assert (1414.0, None, 1400.0, 2400.0, 2000.0) == (
        one.power_w,
        one.average_w,
        one.limit_w,
        one.sm_mhz,
        one.memory_mhz,
    )
    assert (75.0, 45.0, ()) == (one.temperature_c, one.memory_temperature_c, one.faults)
    assert 0.5 == pytest.approx(found.throttled("capped", 2 * NS_PER_S, 18 * NS_PER_S), abs=0.01)
    assert 0.0 == found.throttled("throttled", 2 * NS_PER_S, 18 * NS_PER_S)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"slowdown": "inf"}, "power_counter_frozen power_crosscheck"),
        ({"slowdown": 1024}, "power_counter_scale power_crosscheck"),
        ({"slowdown": 1.1}, "power_crosscheck"),
        ({"back": 10}, "power_counter_reset power_crosscheck"),
        ({"zero": 10}, "power_zero"),
        ({"na": "energy"}, "power_no_counter"),
        ({"na": "power"}, "power_no_counter"),
        ({"gen": 200}, "power_no_counter"),
        ({"fail": "1:10:2"}, "power_missing_gpu power_no_counter"),
        ({"cap": "10:1400,30:1000"}, "power_limit_changed"),
        ({"parts": 8}, "power_shared_gpu"),
    ],
    ids=str,
)
def test_a_fault_has_its_code_and_what_follows_from_it(amd_stream, settings, expected):
    assert set(expected.split()) == codes(amd_stream(**settings))


def test_a_lost_gpu_says_so_and_the_others_are_read_on(amd_stream):
    stream = amd_stream(fail="1:10:2", sockets=3)
    lost, kept = traces(stream)[1], traces(stream)[2]

    assert {"gpu: NOT_SUPPORTED"} == {fault for s in lost.samples if s.t_ns >= 11 * NS_PER_S for fault in s.faults}
    assert joules(2, 18, socket=2) == pytest.approx(kept.energy_j(np.array([2, 18]) * NS_PER_S).sum(), rel=1e-3)


@pytest.mark.parametrize("field", ["temperature", "clock", "residency"])
def test_a_field_that_is_all_ones_is_missing_and_voids_nothing(amd_stream, field):
    stream = amd_stream(na=field)

    assert set() == codes(stream)
    assert all("N/A" in fault for fault in stream.samples[0].faults)
    assert stream.samples[0].faults


def test_a_counter_of_32_bits_is_followed_across_its_wraps(amd_stream):
    stream = amd_stream(wrap32=1, sockets=1, until_s=110, trace="600:1400")
    (first, *_) = traces(stream)

    assert set() == codes(stream, end_s=105)
    assert 100 * 1400 == pytest.approx(first.energy_j(np.array([5, 105]) * NS_PER_S).sum(), rel=1e-3)


def test_slow_calls_leave_a_gap(amd_stream):
    stream = amd_stream(running=True, until_s=40, sleep=25, trace=TRACE)

    assert "power_gap" in codes(stream, start_s=10, end_s=30)
    assert 500_000 < stream.samples[-1].took_us


def test_a_socket_in_eight_partitions_is_counted_once(amd_meter, fake_amd):
    fake_amd(parts=8)
    devices = amd_meter().devices()

    assert (8, {"partition"}, {8}) == (
        len(devices),
        {device.shared for device in devices},
        {len(device.parts) for device in devices},
    )
    assert [None] * 8 == [device.memory_gb for device in devices]


@pytest.mark.parametrize(
    ("env", "seen"),
    [
        ({}, "3210"),
        ({"ROCR_VISIBLE_DEVICES": "0,2"}, "31"),
        ({"HIP_VISIBLE_DEVICES": "1"}, "2"),
        ({"CUDA_VISIBLE_DEVICES": "1,0"}, "23"),
        ({"HIP_VISIBLE_DEVICES": "1", "CUDA_VISIBLE_DEVICES": "0"}, "2"),
        ({"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "0"}, "3"),
        ({"HIP_VISIBLE_DEVICES": ""}, "3210"),
        ({"ROCR_VISIBLE_DEVICES": ""}, ""),
        ({"ROCR_VISIBLE_DEVICES": "2,1,0", "HIP_VISIBLE_DEVICES": "0,2"}, "13"),
        ({"ROCR_VISIBLE_DEVICES": "GPU-000000a200000000,0"}, "23"),
        ({"ROCR_VISIBLE_DEVICES": "0,7,1"}, "3"),
        ({"ROCR_VISIBLE_DEVICES": "GPU-no"}, ""),
        ({"SLURM_JOB_GPUS": "0,1"}, "01"),
        ({"SLURM_JOB_GPUS": "4,5,6,7"}, "3210"),  # a cgroup shows the job's four, and numbers them anew
        ({"SLURM_JOB_GPUS": "0,1", "ROCR_VISIBLE_DEVICES": "0"}, "3"),
    ],
    ids=str,
)
def test_visibility_is_counted_in_hips_own_order(amd_meter, fake_amd, env, seen):
    fake_amd(sockets=4, hip="3,2,1,0")
    devices = amd_meter().devices()

    assert [devices[int(place)].gpu for place in seen] == list(visible.amd(devices, env))


def test_hips_order_is_the_kernels_where_rocm_does_not_tell_it(amd_meter, fake_amd):
    fake_amd(sockets=3, hip="none")
    devices = amd_meter().devices()

    assert [(2,), (1,), (0,)] == [device.runtime_ids for device in devices]
    assert [device.gpu for device in reversed(devices)] == list(visible.amd(devices, {}))
    assert "75a3" in devices[0].gpu


def test_partitions_stand_for_their_socket(amd_meter, fake_amd):
    fake_amd(sockets=2, parts=8)
    one, other = amd_meter().devices()
    env = {"ROCR_VISIBLE_DEVICES": f"{other.parts[3]},0"}

    assert [other.gpu, one.gpu] == list(visible.amd([one, other], env))
    assert (one.gpu,) == gpus_of_server(Vendor.AMD, [one, other], {}, 8)


def test_a_server_of_more_gpus_than_it_sees_has_no_power(amd_meter, fake_amd):
    devices = amd_meter().devices()

    with pytest.raises(NoMeter, match="needs 4 GPUs"):
        gpus_of_server(Vendor.AMD, devices, {"HIP_VISIBLE_DEVICES": "0,1"}, 4)


@pytest.mark.parametrize("unit", [1, 1e6])
def test_a_cap_is_watts_whatever_its_version_gives(amd_meter, fake_amd, unit):
    fake_amd(cap_unit=unit, cap="3600:1000")

    assert 1000.0 == amd_meter().devices()[0].limit_w


def test_a_driver_that_is_not_loaded_is_said_with_its_remedy(amd_meter, fake_amd):
    fake_amd(init=34)

    with pytest.raises(NoMeter, match="DRIVER_NOT_LOADED: load the kernel module: modprobe amdgpu"):
        amd_meter()


def opened_elsewhere(folder, **env):
    """What a process of its own says when it opens the meter."""
    program = "from harness.power.amd import AmdMeter\nfrom harness.errors import NoMeter\n"
    program += "try: print(len(AmdMeter().devices()))\nexcept NoMeter as error: print(error)"
    known = {name: value for name, value in os.environ.items() if not name.startswith("FAKE_AMD")}
    places = {"ROCM_PATH": str(folder), "ROCM_HOME": str(folder)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=known | places | env, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def test_a_missing_library_is_said_although_the_binding_raises_a_key_error(tmp_path):
    said = opened_elsewhere(tmp_path)

    assert said.startswith("amdsmi: no libamd_smi.so: install amd-smi-lib of ROCm, or set ROCM_PATH")


def test_a_library_that_is_older_than_its_binding_is_told_from_none(tmp_path):
    subprocess.run([sys.executable, BUILD, tmp_path, "--without", "amdsmi_get_gpu_vram_usage"], check=True)
    said = opened_elsewhere(tmp_path)

    assert "libamd_smi.so is older than its binding" in said
    assert f"use the binding in {tmp_path}/share/amd_smi" in said


def test_a_binding_of_another_rocm_is_refused(rocm, tmp_path):
    (tmp_path / "lib").symlink_to(rocm / "lib")
    (tmp_path / ".info").mkdir()
    (tmp_path / ".info/version").write_text("6.1.1-83\n")

    assert f"the binding {BINDING} is not for 6.1.1, which is here" in opened_elsewhere(tmp_path)


def test_rocms_own_binding_goes_first_and_must_be_of_the_librarys_major(rocm, tmp_path):
    import amdsmi

    own = tmp_path / "share/amd_smi/amdsmi"
    own.mkdir(parents=True)
    for file in Path(amdsmi.__file__).parent.glob("*.py"):
        (own / file.name).write_text(file.read_text())
    (own / "_version.py").write_text('__version__ = "26.0.2+39589fda"\n')
    (tmp_path / "lib").symlink_to(rocm / "lib")

    assert "8" == opened_elsewhere(tmp_path)
    assert "the binding 26.0.2+39589fda is not for 25.0.2" in opened_elsewhere(tmp_path, FAKE_AMD_VERSION="25")
