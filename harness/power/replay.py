"""A meter over a recorded stream: what real GPUs once said, said again at any pace.

It answers as a sensor does that published when the recording was read: the newest reading that is not in the future.
Between two readings it makes nothing up, and past the last there is none.
"""

import bisect
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.errors import NoMeter
from harness.power.stream import Device, PowerSample, Reading, read_stream
from harness.units import NS_PER_S


class ReplayMeter:
    """The GPUs of a recording, at the moments of a clock."""

    def __init__(self, recording: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Read the whole recording.

        Args:
            recording: a power.jsonl as the sampler wrote it.
            clock: moments in the recording's own time, ns.

        Raises:
            NoMeter: it has no header.
            ResultsError: it is no power stream.
        """
        stream = read_stream(recording)
        if stream.header is None:
            raise NoMeter(f"{recording}: its header is damaged; restore the file")
        self._header = stream.header
        self._clock = clock
        self._samples: dict[str, list[PowerSample]] = {device.gpu: [] for device in stream.header.devices}
        for sample in stream.samples:
            self._samples[sample.gpu].append(sample)

    def versions(self) -> Mapping[str, str]:
        """Versions recorded in the stream's header."""
        return self._header.versions

    def devices(self) -> tuple[Device, ...]:
        """The recorded GPUs, as they were when the recording began."""
        return self._header.devices

    def read(self, gpu: str) -> Reading:
        """The newest reading at this moment; a fault before the first, and a period after the last."""
        samples, now_ns = self._samples[gpu], self._clock()
        newest = bisect.bisect_right(samples, now_ns, key=lambda sample: sample.t_ns) - 1
        if newest < 0 or now_ns > samples[-1].t_ns + NS_PER_S / self._header.hz:
            return Reading(faults=("gpu: the recording does not cover this moment",))
        return Reading(**{name: getattr(samples[newest], name) for name in Reading.__struct_fields__})

    def close(self) -> None:
        """Nothing is held."""
