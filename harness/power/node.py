r"""The whole node by a meter that somebody else brings: a BMC by IPMI or Redfish, a metered power strip.

What reaches such a meter, and with which secret, differs by site, so none is here. A package that brings one names
it in its pyproject.toml:

    [project.entry-points."mtpbench.node_meters"]
    bmc = "our_site.bmc:Bmc"

and `Bmc()` is a `NodeMeter`:

    class Bmc:
        scope = "node-dcmi"  # which leaves out the GPUs on some boards: name what yours covers

        def power_w(self) -> float | None:
            output = subprocess.run(["ipmitool", "dcmi", "power", "reading"], capture_output=True, text=True, timeout=2)
            match = re.search(r"Instantaneous power reading: +(\d+) Watts", output.stdout)
            return float(match[1]) if match else None

It runs in a process of its own, as the user who measures: an answer that hangs costs the node's figure alone.
"""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from subprocess import SubprocessError
from typing import Protocol

from harness.errors import NoMeter
from harness.power.stream import Device, Reading

GROUP = "mtpbench.node_meters"


class NodeMeter(Protocol):
    """What a package brings.

    Attributes:
        scope: what its figure covers, in a word that stands beside it: `node-psu-input`, `node-dcmi`, ...
    """

    scope: str

    def power_w(self) -> float | None:
        """Power of the node now; None where it was not had, never 0. Asked once a second; answers within two.

        Raises:
            OSError, SubprocessError: as good as None, and its words are kept. Anything else ends the readings.
        """


class PluggedMeter:
    """The node meter that is installed, as a meter of one thing: the node."""

    def __init__(self) -> None:
        """Find it and make it.

        Raises:
            NoMeter: there is none (`no_node_meter`), or no telling which (`several_node_meters`).
        """
        self._entry = _only_entry()
        self._meter: NodeMeter = self._entry.load()()

    def versions(self) -> Mapping[str, str]:
        """Version of the plug-in's package."""
        package = self._entry.dist
        return {} if package is None else {package.name: package.version}

    def devices(self) -> tuple[Device, ...]:
        """The node; it has a power and no counter."""
        return (Device(gpu="node", name=self._entry.name, scope=self._meter.scope, energy_unit_j=0.0, index=0),)

    def read(self, _gpu: str) -> Reading:
        """Its power."""
        try:
            return Reading(power_w=self._meter.power_w())
        except (OSError, SubprocessError) as error:
            return Reading(faults=(f"power_w: {error}",))

    def close(self) -> None:
        """Nothing is held."""


def _only_entry() -> EntryPoint:
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    if not entries:
        raise NoMeter(f"no_node_meter: no installed package brings one (entry points {GROUP})")
    if len(entries) > 1:
        names = ", ".join(entry.value for entry in entries)
        raise NoMeter(f"several_node_meters: {names}: uninstall all but one")
    return entries[0]
