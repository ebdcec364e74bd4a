"""The host's CPU packages by RAPL, as the Linux kernel shows them: one energy counter each, in files.

Packages only: their cores and memory controllers are parts of them, and `psys` is a zone around them. A reading is one
small file; at a few a second it costs nothing (at 1000 a second up to 47 % of the machine: arXiv 2604.26815).

Source: kernel.org, Documentation/power/powercap/powercap.rst; energy_uj is for root alone since CVE-2020-8694.
"""

from collections.abc import Mapping
from pathlib import Path

from harness.errors import NoMeter
from harness.power.stream import Device, Reading

POWERCAP = "/sys/class/powercap"
SCOPE = "host-cpu-package"
_J_PER_UJ = 1e-6


class RaplMeter:
    """Every CPU package of this machine, by the name of its zone."""

    def __init__(self, powercap: Path) -> None:
        """Find the packages and read each once.

        Raises:
            NoMeter: there are none (`no_rapl`), or this user may not read them (`rapl_not_readable`).
        """
        try:
            self._zones = {zone.name: zone for zone in sorted(powercap.glob("intel-rapl:*")) if _is_package(zone)}
            self._devices = tuple(_device(index, zone) for index, zone in enumerate(self._zones.values()))
            for zone in self._zones.values():
                _number(zone / "energy_uj")
        except (OSError, ValueError) as error:
            raise NoMeter(
                f"rapl_not_readable: {error}; as root: chmod a+r {powercap}/intel-rapl:*/energy_uj"
            ) from error
        if not self._zones:
            raise NoMeter(f"no_rapl: {powercap} has no CPU package: a virtual machine, or the driver is not loaded")

    def versions(self) -> Mapping[str, str]:
        """Empty: the kernel's files have no version."""
        return {}

    def devices(self) -> tuple[Device, ...]:
        """The packages, as they were found."""
        return self._devices

    def read(self, gpu: str) -> Reading:
        """The counter of one package."""
        try:
            return Reading(energy_count=_number(self._zones[gpu] / "energy_uj"))
        except (OSError, ValueError) as error:
            return Reading(faults=(f"energy_count: {error}",))

    def close(self) -> None:
        """Nothing is held."""


def _is_package(zone: Path) -> bool:
    """Whether it is a package: `intel-rapl:0` may be, `intel-rapl:0:1` is a part of one."""
    return zone.name.count(":") == 1 and _text(zone / "name").startswith("package")


def _device(index: int, zone: Path) -> Device:
    return Device(
        gpu=zone.name,
        name=_text(zone / "name"),
        scope=SCOPE,
        energy_unit_j=_J_PER_UJ,
        energy_wraps_at=_number(zone / "max_energy_range_uj"),
        index=index,
    )


def _text(path: Path) -> str:
    return path.read_text().strip()


def _number(path: Path) -> int:
    return int(_text(path))
