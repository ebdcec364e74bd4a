"""A machine of H100s that does not exist: the real nvidia-ml-py over our own NVML, in a time that the test sets."""

import ctypes
import io
import mmap
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.power.nvidia import NvidiaMeter
from harness.power.point_power import PointPower, point_power
from harness.power.records import Metering
from harness.power.sampler import header, sample
from harness.power.stream import Reading, Stream, encode_line, read_stream
from harness.records import Window

BOOT_S = 1000.0
"""Where the trace begins, on a clock that is far from zero, as CLOCK_MONOTONIC is."""


class Machine:
    """Eight H100s whose settings and time are the test's.

    Attributes:
        time_s: since the trace began.
    """

    def __init__(self, folder: Path, setenv: Callable[[str, str], None]) -> None:
        self.time_s = 0.0
        (folder / "clock").write_bytes(bytes(8))
        with (folder / "clock").open("r+b") as file:
            self._clock = mmap.mmap(file.fileno(), 8)
        self._stream = folder / "power.jsonl"
        self._setenv = setenv
        self.set(clock=folder / "clock", t0=BOOT_S)
        self.at(0.0)

    def set(self, **settings: object) -> None:
        for name, value in settings.items():
            self._setenv(f"FAKE_NVML_{name.upper()}", str(value))

    def at(self, time_s: float) -> None:
        self.time_s = time_s
        struct.pack_into("d", self._clock, 0, BOOT_S + time_s)

    def ns(self, time_s: float) -> int:
        return round((BOOT_S + time_s) * 1e9)

    def record(
        self,
        until_s: float,
        *,
        start_s: float = 0.0,
        gpus: Sequence[str] | None = None,
        slow: Callable[[float], float] = lambda _: 0.0,
    ) -> Stream:
        """What the sampler writes from a moment to another.

        Args:
            until_s: end.
            start_s: its first sweep.
            gpus: UUIDs; None for all.
            slow: how long a reading takes that begins at a moment, s.
        """
        self.at(start_s)
        meter = NvidiaMeter()
        devices = [device for device in meter.devices() if gpus is None or device.gpu in gpus]
        out = io.BytesIO()
        out.write(encode_line(header(meter, "nvidia", devices, 10.0)))

        def ends(wait_s: float) -> bool:
            self.at(self.time_s + wait_s)
            return self.time_s >= until_s

        class Slow:
            def read(_, gpu: str) -> Reading:  # noqa: N805
                self.at(self.time_s + slow(self.time_s))
                return meter.read(gpu)

        sample(Slow(), [d.gpu for d in devices], out, 10.0, ends, clock=lambda: self.ns(self.time_s), wall=lambda: 0)
        meter.close()
        self._stream.write_bytes(out.getvalue())
        return read_stream(self._stream)

    def judged(self, stream: Stream, start_s: float, end_s: float, **known: object) -> PointPower:
        """The stream cut to a window of ten blocks."""
        asked = tuple(device.gpu for device in stream.header.devices) if stream.header else ("GPU-?",)
        return point_power(Metering(**{"asked": asked} | known), stream, self.window(start_s, end_s))

    def window(self, start_s: float, end_s: float) -> Window:
        edges = [self.ns(start_s + (end_s - start_s) * block / 10) for block in range(11)]
        return Window(start_ns=edges[0], end_ns=edges[-1], blocks_ns=tuple(edges), request_time_s=1.0, cut_s=0.0)


@pytest.fixture(scope="session")
def loaded_nvml(fake_nvml):
    """The fake library in this process, where nvidia-ml-py finds it by its name."""
    return ctypes.CDLL(str(fake_nvml / "libnvidia-ml.so.1"), mode=ctypes.RTLD_GLOBAL)


@pytest.fixture
def machine(loaded_nvml, tmp_path, monkeypatch):
    return Machine(tmp_path, monkeypatch.setenv)
