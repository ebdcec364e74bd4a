"""A power stream: one header, then one line for each reading of each GPU; every line guards itself with a CRC.

A reading is a number or absent with what the library said: never 0 in its place. Lines of a sweep over all GPUs carry
its number, so that a line that is gone is missed. Counters stay as the library gives them, the header has their unit.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import ResultsError

SCHEMA = 1
"""Version of the stream; raised when a field changes its meaning, never for a new one."""

_GUARD = b',"crc":"'
_TAIL = len(_GUARD) + len(b'00000000"}')


class Device(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One GPU, or whatever else a meter can tell apart.

    Attributes:
        gpu: UUID; beside the GPUs: the zone of a CPU package, `node`.
        scope: what its figures cover: `gpu-board`, `gpu-socket`, `gpu-module`, `host-cpu-package`, a node meter's word.
        energy_unit_j: joules of one count of the energy counter.
        energy_wraps_at: counts after which it begins at 0 again.
        index: the library's; never used to find a GPU.
        pci: domain:bus:device.function.
        limit_w, limit_default_w, limit_min_w, limit_max_w: what it may draw now, as delivered, and the range.
        shared: `mig` or `partition` where parts of it may serve several users: figures are of the whole.
        parts: names of those parts, as visibility variables use them.
        runtime_ids: places of it, or of each of its parts, in the runtime's order of all GPUs; none: its index.
        memory_used_gb, memory_gb: bytes / 1e9.
        processes: that use it; None where the library does not say. Numbers may be of another PID namespace.
        facts: what else is worth keeping: VBIOS, persistence mode, clocks that are locked, ...
    """

    gpu: str
    name: str
    scope: str
    energy_unit_j: float
    energy_wraps_at: int = 2**64
    index: int
    pci: str | None = None
    limit_w: float | None = None
    limit_default_w: float | None = None
    limit_min_w: float | None = None
    limit_max_w: float | None = None
    shared: str | None = None
    parts: tuple[str, ...] = ()
    runtime_ids: tuple[int, ...] = ()
    memory_used_gb: float | None = None
    memory_gb: float | None = None
    processes: tuple[int, ...] | None = None
    facts: Mapping[str, str | int | float | bool | None] = {}


class Header(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="header"):
    """Where a stream comes from.

    Attributes:
        meter: `nvidia`, `amd`; `host`, `node`.
        versions: driver, library, binding.
        boot_id: of the machine; counters and CLOCK_MONOTONIC mean nothing across boots.
        hz: sweeps over all GPUs a second, as asked for.
        t_ns, wall_ns: CLOCK_MONOTONIC and unix time of one moment.
        devices: the GPUs that are read.
        visible: where they are only described, the visibility variables there.
        marked: where they are only described, processes of that node that bear the mark asked for.
    """

    schema: int = SCHEMA
    mtpbench: str
    meter: str
    versions: Mapping[str, str]
    node: str
    boot_id: str
    hz: float
    t_ns: int
    wall_ns: int
    devices: tuple[Device, ...]
    visible: Mapping[str, str] = {}
    marked: tuple[int, ...] = ()


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a meter says of one GPU at one moment.

    Attributes:
        energy_count: the energy counter in the device's `energy_unit_j`.
        power_w: of the moment.
        average_w: the library's own mean: over the last second on NVIDIA.
        limit_w: what the GPU may draw at this moment.
        temperature_c, memory_temperature_c: of the GPU, of its HBM.
        sm_mhz, memory_mhz: clocks.
        reasons: why clocks are held down, the library's bits.
        throttle: counters of the time that clocks were held down, by reason: see `THROTTLE`.
        throttle_clock: what these count in; None: nanoseconds of the reading's own time.
        faults: for each field that could not be had `field: what the library said`; `gpu: ...` for all of them.
    """

    energy_count: int | None = None
    power_w: float | None = None
    average_w: float | None = None
    limit_w: float | None = None
    temperature_c: float | None = None
    memory_temperature_c: float | None = None
    sm_mhz: float | None = None
    memory_mhz: float | None = None
    reasons: int | None = None
    throttle: Mapping[str, int] = {}
    throttle_clock: int | None = None
    faults: tuple[str, ...] = ()


THROTTLE: Mapping[str, str] = {
    "power_cap": "capped",
    "thermal_software": "throttled",
    "thermal_hardware": "throttled",
    "thermal_memory": "throttled",
    "thermal_regulator": "throttled",
    "power_brake": "throttled",
}
"""Reasons that clocks are held down, by what they mean: the power limit at work, or heat and faulty supply."""


class PowerSample(Reading, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="sample"):
    """One reading of one GPU, with its time.

    Attributes:
        t_ns, wall_ns: middle of the reading, CLOCK_MONOTONIC and unix time.
        took_us: how long it took.
        sweep: number of the round over all GPUs, without gaps.
        late_us: how much after its due time the round began.
    """

    gpu: str
    t_ns: int
    wall_ns: int
    took_us: int
    sweep: int
    late_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream as it was read.

    Attributes:
        header: None where its line is damaged.
        samples: in order of the file.
        damaged: lines that are not as they were written, or not there.
    """

    header: Header | None
    samples: tuple[PowerSample, ...]
    damaged: int


_decoder = msgspec.json.Decoder(Header | PowerSample)
_encoder = msgspec.json.Encoder()


def encode_line(record: Header | PowerSample) -> bytes:
    """One line of a stream, its end included."""
    body = _encoder.encode(record)
    return body[:-1] + _GUARD + b'%08x"}\n' % zlib.crc32(body)


def parse_line(text: bytes) -> Header | PowerSample | None:
    """A line as it was written; None when it is not."""
    body, guard = text.rstrip(b"\n")[:-_TAIL] + b"}", text.rstrip(b"\n")[-_TAIL:]
    if guard != _GUARD + b'%08x"}' % zlib.crc32(body):
        return None
    record: Header | PowerSample = _decoder.decode(body)
    return record


def read_stream(path: Path) -> Stream:
    """A whole stream; a last line without its end was being written when the sampler stopped, and is left out.

    Raises:
        ResultsError: a line is whole but none of ours.
    """
    with path.open("rb") as lines:
        whole = [text for text in lines if text.endswith(b"\n")]
    try:
        records = [parse_line(text) for text in whole]
    except msgspec.ValidationError as error:
        raise ResultsError(f"{path}: not a power stream of this version: {error}") from error
    header = records[0] if records and isinstance(records[0], Header) else None
    samples = tuple(record for record in records if isinstance(record, PowerSample))
    unreadable = records.count(None)
    return Stream(header=header, samples=samples, damaged=max(unreadable, _missing_lines(header, samples)))


def _missing_lines(header: Header | None, samples: Sequence[PowerSample]) -> int:
    """Lines that should lie between the first sweep and the last."""
    if header is None or not samples:
        return 0
    sweeps = samples[-1].sweep - samples[0].sweep + 1
    return abs(sweeps * len(header.devices) - len(samples))


def _unfinished_sweep(header: Header | PowerSample | None, samples: Sequence[PowerSample]) -> set[int]:
    """The last sweep, if some of its GPUs are still to come."""
    expected = len(header.devices) if isinstance(header, Header) else 0
    last = [sample.sweep for sample in samples if sample.sweep == samples[-1].sweep]
    return set(last) if len(last) < expected else set()


def cut_stream(source: Path, target: Path, start_ns: int, end_ns: int) -> None:
    """Copy the part of a stream between two moments, line by line as it is, whole sweeps, its header in front.

    A last sweep that is still being written is left out: from another node it comes in pieces.
    """
    with source.open("rb") as lines:
        header, *rest = [text for text in lines if text.endswith(b"\n")] or [b""]
    records = enumerate(map(parse_line, rest))
    samples = [(place, record) for place, record in records if isinstance(record, PowerSample)]
    sweeps = {record.sweep for _, record in samples if start_ns <= record.t_ns <= end_ns}
    sweeps -= _unfinished_sweep(parse_line(header), [record for _, record in samples])
    places = [place for place, record in samples if record.sweep in sweeps]
    kept = rest[min(places) : max(places) + 1] if places else []
    target.write_bytes(b"".join([header, *kept]))
