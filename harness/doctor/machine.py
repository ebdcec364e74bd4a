"""The cores, the clock and the company that the client keeps: what decides whether its time stamps can be believed."""

import os
import platform
import time
from collections.abc import Iterator

from harness.doctor.finding import Examination, Finding, good, note, warning
from harness.load.quiet import low_latency_mode
from harness.provenance import cpu_model
from harness.units import NS_PER_S, number

AREA = "machine"

SLOW_CLOCKS = {"hpet", "acpi_pm", "jiffies", "pit"}
"""Clock sources that leave the CPU to be read: a microsecond or more a stamp. Source: Linux, clocksource.rst."""

BUSY_SHARE = 0.5
"""Of the cores, at work for others before a server runs."""


def machine(examination: Examination) -> Iterator[Finding]:
    """Everything about the machine itself."""
    yield _cores()
    yield from _quota(examination)
    yield _company()
    yield from _governor(examination)
    yield _clock(examination)
    yield _priority()


def _cores() -> Finding:
    mine, all_of_them = len(os.sched_getaffinity(0)), os.cpu_count()
    says = f"{cpu_model()}, Linux {platform.release()}"
    if mine == all_of_them:
        return good(AREA, "CPU", f"{says}, {mine} cores")
    return note(AREA, "CPU", f"{says}, {mine} of {all_of_them} cores may be used")


def _quota(examination: Examination) -> Iterator[Finding]:
    """A share of time that is less than the cores: everything then stands still for the rest of each period.

    Source: Linux, cgroup-v2.rst, cpu.max.
    """
    limit, _, period = (examination.text("sys/fs/cgroup/cpu.max") or "max 1").partition(" ")
    if limit == "max":
        return
    cores = int(limit) / int(period)
    if cores < len(os.sched_getaffinity(0)):
        yield warning(
            AREA,
            "CPU quota",
            f"{number(cores)} cores' time in every {int(period) // 1000} ms; when it is used up everything waits",
            "give the container whole cores (--cpuset-cpus) in place of a share of them (--cpus)",
        )


def _company() -> Finding:
    busy, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    says = f"{busy:.1f} of {cores} cores busy over the last minute"
    if busy <= BUSY_SHARE * cores:
        return good(AREA, "load", says)
    return warning(AREA, "load", says, "stop what else runs here, or the latencies will be of both")


def _governor(examination: Examination) -> Iterator[Finding]:
    """Source: Linux, cpufreq.rst."""
    governor = examination.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    driver = examination.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver")
    if governor == "powersave" and driver == "acpi-cpufreq":
        yield warning(
            AREA,
            "CPU clock",
            "held at its lowest by the governor `powersave`",
            "sudo cpupower frequency-set -g performance",
        )


def _clock(examination: Examination) -> Finding:
    tick_ns = round(time.get_clock_info("monotonic").resolution * NS_PER_S)
    source = examination.text("sys/devices/system/clocksource/clocksource0/current_clocksource")
    says = f"CLOCK_MONOTONIC in steps of {tick_ns} ns, from {source or 'a source that is not told'}"
    if source in SLOW_CLOCKS:
        return warning(
            AREA,
            "clock",
            f"{says}, which is slow to read",
            "boot with clocksource=tsc, after reading in dmesg why the kernel gave it up",
        )
    return good(AREA, "clock", says)


def _priority() -> Finding:
    with low_latency_mode() as raised:
        pass
    if raised:
        return good(AREA, "priority", "the client may take a real-time priority while it measures")
    return warning(
        AREA,
        "priority",
        "no real-time priority for the client: whatever else runs can make its time stamps late",
        "`ulimit -r 1` where limits.conf allows rtprio, or CAP_SYS_NICE (docker run --cap-add SYS_NICE)",
    )
