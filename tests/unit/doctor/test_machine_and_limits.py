"""What the doctor says of the machine itself, on this one and on folders laid out as other machines' /sys and /dev."""

import resource
from pathlib import Path

import pytest

from harness import config
from harness.doctor import Examination, State
from harness.doctor.hardware import hardware
from harness.doctor.host import host_power
from harness.doctor.limits import limits
from harness.doctor.machine import machine


@pytest.fixture
def examination(tmp_path):
    (tmp_path / "dev/shm").mkdir(parents=True)
    return Examination(root=tmp_path, folder=tmp_path / "results/not-yet")


def put(examination, path, text):
    file = examination.root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def gpu(examination, slot, vendor, driver=None, kind="0x030200"):
    put(examination, f"sys/bus/pci/devices/{slot}/vendor", vendor)
    put(examination, f"sys/bus/pci/devices/{slot}/class", kind)
    if driver is not None:
        (examination.root / f"sys/bus/pci/devices/{slot}/driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def found(findings, what):
    (one,) = [finding for finding in findings if finding.what == what]
    return one


def names(findings):
    return [finding.what for finding in findings]


def test_whatever_is_wrong_here_comes_with_a_remedy():
    findings = [*machine(Examination()), *limits(Examination()), *hardware(Examination())]

    assert {"CPU", "load", "clock", "priority", "open files", "disk", "loopback"} <= set(names(findings))
    assert [] == [f for f in findings if f.state in {State.WARNING, State.BLOCKS} and not f.remedy]


def test_a_share_of_the_cores_time_is_told_apart_from_whole_cores(examination):
    put(examination, "sys/fs/cgroup/cpu.max", "50000 100000")
    half = found(machine(examination), "CPU quota")
    put(examination, "sys/fs/cgroup/cpu.max", "max 100000")

    assert (State.WARNING, "--cpuset-cpus" in half.remedy) == (half.state, True)
    assert "0.500 cores' time in every 100 ms" in half.says
    assert "CPU quota" not in names(machine(examination))


@pytest.mark.parametrize(("source", "state"), [("tsc", State.GOOD), ("hpet", State.WARNING), (None, State.GOOD)])
def test_a_clock_that_is_slow_to_read_is_a_warning(examination, source, state):
    if source:
        put(examination, "sys/devices/system/clocksource/clocksource0/current_clocksource", source)

    assert state is found(machine(examination), "clock").state


@pytest.mark.parametrize(("driver", "warned"), [("acpi-cpufreq", True), ("intel_pstate", False)])
def test_powersave_is_slow_only_where_it_means_the_lowest_clock(examination, driver, warned):
    put(examination, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    put(examination, "sys/devices/system/cpu/cpu0/cpufreq/scaling_driver", driver)

    assert warned == ("CPU clock" in names(machine(examination)))


@pytest.fixture
def few_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (550, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_too_few_files_block_the_sweep_that_has_too_many_users(few_files, examination):
    sweep = config.load(Path("quickstart")).model_copy(update={"concurrency": (1, 256), "max_running_requests": 256})
    unasked = found(limits(examination), "open files")
    asked = found(limits(Examination(root=examination.root, folder=examination.folder, sweep=sweep)), "open files")

    assert (State.WARNING, State.BLOCKS) == (unasked.state, asked.state)
    assert "ulimit -n 1024" == asked.remedy


def test_locked_memory_matters_only_where_there_is_rdma(examination):
    before = names(limits(examination))
    (examination.root / "sys/class/infiniband").mkdir(parents=True)
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)

    assert "locked memory" not in before
    assert (soft != resource.RLIM_INFINITY) == ("locked memory" in names(limits(examination)))


def test_the_disk_of_a_folder_that_is_not_there_yet_is_its_parents(examination):
    assert any("results" in finding.says for finding in limits(examination) if finding.what == "disk")


def test_a_machine_without_gpus_is_told_what_it_can_do(examination):
    (only,) = hardware(examination)

    assert (State.NOTE, True) == (only.state, "emulator" in only.says)


def test_other_devices_of_a_gpu_vendor_are_no_gpus(examination):
    gpu(examination, "0000:00:01.0", "0x10de", "snd_hda_intel", kind="0x040300")

    assert ["hardware"] == names(hardware(examination))


@pytest.mark.parametrize(
    ("vendor", "driver", "says", "remedy"),
    [
        ("0x10de", None, "1 of 1 NVIDIA GPUs have driver none", "modprobe nvidia"),
        ("0x10de", "nouveau", "1 of 1 NVIDIA GPUs have driver nouveau", "install NVIDIA's driver"),
        ("0x1002", "vfio-pci", "1 of 1 AMD GPUs have driver vfio-pci", "modprobe amdgpu"),
    ],
)
def test_gpus_without_their_driver_are_told_from_no_gpus(examination, vendor, driver, says, remedy):
    gpu(examination, "0000:0c:00.0", vendor, driver)
    (only,) = hardware(examination)

    assert State.WARNING is only.state
    assert says in only.says
    assert remedy in only.remedy


def test_device_files_that_a_container_was_not_given_are_named(examination):
    gpu(examination, "0000:0c:00.0", "0x1002", "amdgpu", kind="0x120000")
    put(examination, "dev/dri/renderD128", "")
    (only,) = hardware(examination)

    assert "/dev/kfd can't be opened" in only.says
    assert "--device /dev/kfd" in only.remedy


def test_gpus_of_both_vendors_have_a_line_each(examination):
    for slot in range(8):
        gpu(examination, f"0000:{slot:02x}:00.0", "0x10de", "nvidia")
    gpu(examination, "0000:f0:00.0", "0x1002", "amdgpu", kind="0x038000")
    for node in ("nvidiactl", "nvidia0", "kfd", "dri/renderD128"):
        put(examination, f"dev/{node}", "")
    both = list(hardware(examination))

    assert [State.GOOD, State.GOOD] == [finding.state for finding in both]
    assert ["8 NVIDIA GPUs", "1 AMD GPUs"] == [finding.says.split(",")[0] for finding in both]


def test_the_hosts_power_is_readable_only_where_its_counters_are(examination):
    (none,) = host_power(examination)
    put(examination, "sys/class/powercap/intel-rapl:0/energy_uj", "1")
    (one,) = host_power(examination)

    assert (State.NOTE, "no RAPL counter" in none.says) == (none.state, True)
    assert (State.GOOD, "1 RAPL counters can be read") == (one.state, one.says)
