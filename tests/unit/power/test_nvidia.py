"""The real nvidia-ml-py over our own NVML: eight H100s that publish every 100 ms, a known trace, every known fault."""

import subprocess
import sys

import numpy as np
import pytest

GPUS = 8
GAINS = [1 + 0.01 * index for index in range(GPUS)]
TRACE = "20:100,40:600,3600:100"
SHORT = "8:100,12:600,3600:100"


def uuid(index):
    return f"GPU-00000000-0000-4000-8000-{index:012d}"


@pytest.mark.parametrize("phase_s", [0.0, 0.037])
def test_energy_of_eight_gpus_is_that_of_the_closed_form(machine, phase_s):
    machine.set(trace=TRACE)
    power = machine.judged(machine.record(80, start_s=phase_s), 10, 75)
    edges = np.array(machine.window(10, 75).blocks_ns)

    assert {} == power.findings
    assert sum(GAINS) * (25 * 100 + 40 * 600) == pytest.approx(power.energy_j(edges).sum(), rel=1e-3)
    for trace, gain in zip(power.traces, GAINS, strict=True):
        assert gain * (25 * 100 + 40 * 600) == pytest.approx(trace.energy_j(edges).sum(), rel=1e-3)
        assert gain * (25 * 100 + 40 * 600) == pytest.approx(trace.trapezoid_j(edges).sum(), rel=5e-3)


def test_each_block_has_its_own_energy(machine):
    machine.set(gpus=3, trace=SHORT)
    power = machine.judged(machine.record(32), 4, 28)

    # Blocks of 2.4 s from 4 s on; the load lasts from 8 s to 20 s.
    watts = power.energy_j(np.array(machine.window(4, 28).blocks_ns)) / 2.4 / sum(GAINS[:3])
    assert [100, 600, 600, 100] == pytest.approx(watts[[0, 2, 5, 7]].tolist(), rel=1e-3)


def test_the_one_second_mean_is_late_where_the_counter_is_not(machine):
    machine.set(gpus=3, trace=SHORT)
    power = machine.judged(machine.record(32), 8, 20)
    truth_j = sum(GAINS[:3]) * 12 * 600

    assert truth_j == pytest.approx(power.energy_j(np.array([machine.ns(8), machine.ns(20)])).sum(), rel=0.01)
    assert power.inferencex_j(machine.ns(8), machine.ns(20)) < 0.97 * truth_j


@pytest.mark.parametrize(
    ("settings", "code", "phrase"),
    [
        ({"fail": "1:all:15:15"}, "power_missing_gpu", "GPU is lost"),
        ({"fail": "2:energy:0:3"}, "power_no_counter", "energy: Not Supported"),
        ({"fail": "2:power:15:3"}, "power_no_counter", "power: Not Supported"),
        ({"fail": "2:fields:15:4"}, "power_missing_gpu", "Insufficient Permissions"),
        ({"reset_at": 15}, "power_counter_reset", "by 1"),
        ({"freeze_at": 15}, "power_counter_frozen", "for 1"),
        ({"scale": 1 / 1024}, "power_counter_scale", "0.000977"),
        ({"scale": 1 / 1000}, "power_counter_scale", "0.001"),
        ({"scale": 0.9}, "power_crosscheck", "0.9"),
        ({"zero_at": 15}, "power_zero", "readings"),
        ({"limit_at": "15:500"}, "power_limit_changed", "500 to 700 W"),
        ({"mig": 1}, "power_shared_gpu", "mig"),
    ],
)
def test_every_fault_has_its_code_and_no_figure(machine, settings, code, phrase):
    machine.set(gpus=3, trace=SHORT, **settings)
    power = machine.judged(machine.record(32), 4, 30)

    assert code == power.reason
    assert phrase in power.findings[code]
    assert () == power.traces


def test_a_counter_of_32_bits_goes_on_after_it_wrapped(machine):
    machine.set(gpus=3, trace=SHORT, wrap_bits=32, energy0_mj=2**32 - 5_000_000)
    power = machine.judged(machine.record(32), 4, 30)

    assert {} == power.findings
    assert sum(GAINS[:3]) * 8600 == pytest.approx(
        power.energy_j(np.array([machine.ns(4), machine.ns(30)])).sum(), rel=1e-3
    )


def test_a_reset_near_the_end_of_32_bits_is_no_wrap(machine):
    machine.set(gpus=3, trace=SHORT, reset_at=15, energy0_mj=3_000_000_000)

    assert "power_counter_reset" == machine.judged(machine.record(32), 4, 30).reason


def test_slow_calls_are_written_down_and_cost_no_accuracy(machine):
    machine.set(gpus=3, trace=SHORT)
    stream = machine.record(32, slow=lambda _: 0.030)
    power = machine.judged(stream, 4, 30)
    edges = np.array([machine.ns(4), machine.ns(30)])

    assert 30_000 == pytest.approx(stream.samples[60].took_us, abs=1)
    assert 0.1 == pytest.approx((stream.samples[3].t_ns - stream.samples[0].t_ns) / 1e9, abs=0.03)
    assert sum(GAINS[:3]) * 8600 == pytest.approx(power.energy_j(edges).sum(), rel=5e-3)


def test_a_sampler_that_was_held_up_leaves_a_gap(machine):
    machine.set(gpus=3, trace=SHORT)
    power = machine.judged(machine.record(32, slow=lambda t_s: 4.0 if 15 <= t_s < 15.1 else 0.0), 4, 30)

    assert "power_gap" == power.reason


@pytest.mark.parametrize(("start_s", "end_s"), [(-1, 20), (4, 34)])
def test_a_window_beyond_the_readings_has_no_figure(machine, start_s, end_s):
    machine.set(gpus=3, trace=SHORT)

    assert "power_edge" == machine.judged(machine.record(32), start_s, end_s).reason


def test_ten_seconds_are_needed(machine):
    machine.set(gpus=3, trace=SHORT)

    assert "power_window_short" == machine.judged(machine.record(32), 10, 19).reason


def test_time_under_the_power_limit_and_in_heat_is_known(machine):
    machine.set(gpus=3, skew=0, trace="8:600,6:695,3600:600", hot_at=26)
    power = machine.judged(machine.record(32), 4, 28)
    window = machine.ns(4), machine.ns(28)

    assert 0.25 == pytest.approx(power.throttled("capped", *window), abs=0.005)
    assert 2 / 24 == pytest.approx(power.throttled("throttled", *window), abs=0.005)
    assert 700.0 == power.mean("limit_w", *window)
    assert 1755 < power.mean("sm_mhz", *window) < 1980


def test_a_gpu_that_shares_its_module_with_a_cpu_says_so(machine):
    machine.set(gpus=3, trace=SHORT, module=1)
    power = machine.judged(machine.record(32), 4, 30)

    assert ({}, "gpu-module") == (power.findings, power.scope)


def test_a_gpu_that_was_meant_but_not_read_leaves_no_sum(machine):
    machine.set(gpus=3, trace=SHORT)
    stream = machine.record(32, gpus=[uuid(index) for index in range(2)])
    power = machine.judged(stream, 4, 30, asked=tuple(uuid(index) for index in range(3)))

    assert f"{uuid(2)}: no reading" == power.findings["power_missing_gpu"]


def test_a_server_on_other_gpus_leaves_no_figure(machine):
    machine.set(gpus=3, trace=SHORT)
    stream = machine.record(32, gpus=[uuid(0), uuid(1)])
    power = machine.judged(stream, 4, 30, used=(uuid(1), uuid(2)), told_by="processes")

    assert ["power_missing_gpu", "power_extra_gpu"] == list(power.findings)
    assert uuid(2) in power.findings["power_extra_gpu"]


def test_a_sampler_that_died_leaves_no_figure(machine):
    machine.set(gpus=3, trace=SHORT)
    power = machine.judged(machine.record(32), 4, 30, failure="the sampler ended with -9")

    assert {"power_sampler_died": "the sampler ended with -9"} == power.findings


def test_a_library_that_can_not_be_loaded_is_told_with_the_remedy(tmp_path):
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    asked = subprocess.run(
        [sys.executable, "-m", "harness.power.sampler", '{"vendor": "nvidia"}'],
        env={"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (2, "") == (asked.returncode, asked.stdout)
    assert asked.stderr.startswith("NVML: ")
    assert "install the NVIDIA driver" in asked.stderr
    assert 1 == asked.stderr.count("\n")
