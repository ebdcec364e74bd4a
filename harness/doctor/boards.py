"""GPUs as their libraries show them: kind, limits, how they are split, who is on them, whether their sensors work.

The libraries are loaded in a process of its own, as in a sweep; one that hangs or crashes is a line here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from harness.doctor.finding import Examination, Finding, good, note, warning
from harness.doctor.hardware import AREA, MAKERS, present
from harness.doctor.needs import needs
from harness.errors import NoMeter
from harness.power.energy import Trace, traces
from harness.power.probe import probe
from harness.power.stream import Device, Header, Stream
from harness.spec import Vendor
from harness.units import number

RATIO = (0.8, 1.2)
"""Energy by the counter over energy by power: the sensors' own delays are up to a tenth of so short a time."""

IN_USE_GB = 2.0
"""More than a driver keeps for itself, which is up to 1 GB."""

SET_LIMIT = {Vendor.NVIDIA: "sudo nvidia-smi -pl {watts}", Vendor.AMD: "sudo amd-smi set --power-cap {watts}"}
WHOLE = {Vendor.NVIDIA: "sudo nvidia-smi -mig 0", Vendor.AMD: "sudo amd-smi set --compute-partition SPX"}
UPDATE = {
    Vendor.NVIDIA: "update the driver; a virtual machine's host may hide the sensor",
    Vendor.AMD: "update amdgpu and ROCm together; a virtual machine's host may hide the sensor",
}


def boards(examination: Examination) -> Iterator[Finding]:
    """Every vendor whose hardware is here, and what the sweep needs of it."""
    devices: dict[Vendor, Sequence[Device]] = {}
    for vendor in present(examination):
        try:
            stream = probe(vendor, examination.sensor_s)
        except NoMeter as error:
            says, _, remedy = str(error).rpartition(": ")
            yield warning(AREA, f"{MAKERS[vendor].name} library", f"{says}: there will be no power figures", remedy)
            continue
        assert stream.header is not None, "probe gives none without"
        devices[vendor] = stream.header.devices
        yield from findings_of_stream(vendor, stream)
    yield from needs(examination, devices)


def findings_of_stream(vendor: Vendor, stream: Stream) -> Iterator[Finding]:
    """All that a stream of a vendor's GPUs says of them."""
    header = stream.header
    assert header is not None, "probe gives none without"
    yield from _named(header)
    for look in (_limits, _split, _users, _persistence):
        yield from look(vendor, header.devices)
    yield from _sensors(vendor, stream)


def _named(header: Header) -> Iterator[Finding]:
    versions = ", ".join(f"{name} {version}" for name, version in header.versions.items())
    kinds = Counter((device.name, device.memory_gb) for device in header.devices)
    for (name, memory_gb), count in kinds.items():
        size = "" if memory_gb is None else f", {number(memory_gb)} GB each"
        yield good(AREA, "GPUs", f"{count} x {name}{size}; {versions}")


def _limits(vendor: Vendor, devices: Sequence[Device]) -> Iterator[Finding]:
    limits = sorted({device.limit_w for device in devices if device.limit_w is not None})
    if not limits:
        yield note(AREA, "power limit", "not told by the library")
        return
    says = " and ".join(f"{watts:.0f} W" for watts in limits)
    lowered = [d for d in devices if None not in (d.limit_w, d.limit_default_w) and d.limit_w != d.limit_default_w]
    if not lowered:
        yield good(AREA, "power limit", f"{says}, as delivered")
        return
    default = f"{lowered[0].limit_default_w:.0f}"
    remedy = f"{SET_LIMIT[vendor].format(watts=default)}, unless it is meant to be so: rows keep the limit"
    yield warning(AREA, "power limit", f"{says} on {len(lowered)} GPUs, where {default} W is as delivered", remedy)


def _split(vendor: Vendor, devices: Sequence[Device]) -> Iterator[Finding]:
    split = [device for device in devices if device.shared is not None]
    if split:
        says = f"{len(split)} GPUs are split ({split[0].shared}); power is of the whole GPU, so there is no figure"
        yield warning(AREA, "whole GPUs", says, WHOLE[vendor])


def _users(_: Vendor, devices: Sequence[Device]) -> Iterator[Finding]:
    pids = sorted({pid for device in devices for pid in device.processes or ()})
    full = [device for device in devices if (device.memory_used_gb or 0) > IN_USE_GB]
    if pids:
        says = f"processes {', '.join(map(str, pids))} are on them; speed and power would be of both"
        yield warning(AREA, "in use", says, "stop them, or choose other GPUs by the visibility variable")
    elif full:
        says = f"{number(full[0].memory_used_gb)} GB of {full[0].gpu} are taken by a process that is not shown here"
        yield warning(AREA, "in use", says, "look for it outside this container")


def _persistence(_: Vendor, devices: Sequence[Device]) -> Iterator[Finding]:
    if any(device.facts.get("persistence") is False for device in devices):
        says = "off: the driver unloads between servers, and the first start of each is slower"
        yield warning(AREA, "persistence", says, "sudo nvidia-smi -pm 1")


def _sensors(vendor: Vendor, stream: Stream) -> Iterator[Finding]:
    """The first fault of each GPU, GPUs with the same fault in one line; where there are none, what they say."""
    gpus = traces(stream)
    faults = Counter(fault for trace in gpus if (fault := _fault(trace)) is not None)
    for fault, count in faults.items():
        yield warning(AREA, "sensors", f"{count} of {len(gpus)} GPUs: {fault}", UPDATE[vendor])
    held = sorted({reason for trace in gpus for reason in _held(trace)})
    if held:
        yield warning(
            AREA, "clocks", f"held down now: {', '.join(held)}", "look to cooling, supply and the power limit"
        )
    if not faults:
        took_us = np.array([sample.took_us for sample in stream.samples])
        watts = sum(trace.samples[-1].power_w or 0.0 for trace in gpus)
        read = f"a reading takes {np.median(took_us) / 1000:.2g} ms, at most {took_us.max() / 1000:.2g} ms"
        yield good(AREA, "sensors", f"{watts:.0f} W now, and energy counters agree; {read}")


def _fault(trace: Trace) -> str | None:
    return next((text for check in _FAULTS if (text := check(trace)) is not None), None)


def _silent(trace: Trace) -> str | None:
    faults = [fault for sample in trace.samples for fault in sample.faults]
    if not trace.samples:
        return "no reading"
    lost = next((fault for fault in faults if fault.startswith("gpu:")), None)
    return lost or next((fault for fault in faults if fault.startswith(("energy:", "power:"))), None)


def _zero(trace: Trace) -> str | None:
    return "power reads 0 W, which is no reading" if any(s.power_w == 0 for s in trace.samples) else None


def _standing(trace: Trace) -> str | None:
    grown = float(np.diff(trace.counter_j[1]).sum())
    return "the energy counter stands still" if grown == 0 else None


def _apart(trace: Trace) -> str | None:
    edges = np.array([trace.samples[0].t_ns, trace.samples[-1].t_ns])
    ratio = float(trace.energy_j(edges).sum() / trace.trapezoid_j(edges).sum())
    return None if RATIO[0] <= ratio <= RATIO[1] else f"energy by the counter is {ratio:.1g} of that by power"


_FAULTS: tuple[Callable[[Trace], str | None], ...] = (_silent, _zero, _standing, _apart)


def _held(trace: Trace) -> Iterator[str]:
    first, last = (s.throttle for s in (trace.samples[0], trace.samples[-1])) if trace.samples else ({}, {})
    yield from (reason for reason, count in last.items() if count > first.get(reason, count))
