"""What every power library is made to look like. A meter reads; it sets nothing, ever.

A library is loaded in the sampler's process alone: one that hangs, crashes or prints costs the power figures, not
the measurement.
"""

from collections.abc import Mapping
from typing import Protocol

from harness.power.stream import Device, Reading


class Meter(Protocol):
    """One vendor's GPUs, each counted once, named by UUID, in the library's own order."""

    def versions(self) -> Mapping[str, str]:
        """Driver, library and binding, by name."""

    def devices(self) -> tuple[Device, ...]:
        """Every GPU that the library shows, as it is at this moment."""

    def read(self, gpu: str) -> Reading:
        """One GPU now, in as few calls as the library allows.

        A field that can't be had is None, with what was said among the faults. Raises nothing for it: one lost GPU
        must not end the readings of the others.
        """

    def close(self) -> None:
        """Let go of the library."""
