"""The meter of a vendor, and the GPUs that a server will take: both asked in a process that may load its library."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import NoMeter
from harness.power import visible
from harness.power.meter import Meter
from harness.power.node import PluggedMeter
from harness.power.rapl import RaplMeter
from harness.power.stream import Device

Choose = Callable[[Sequence[Device], Mapping[str, str]], tuple[str, ...]]


class Maker(NamedTuple):
    """What differs between vendors.

    Attributes:
        open: its meter, in this process.
        visible: the GPUs that a process sees with an environment, in its order.
        order: variables that make this order certain, for servers that are started here.
    """

    open: Callable[[], Meter]
    visible: Choose
    order: Mapping[str, str]


def _nvidia() -> Meter:
    try:
        from harness.power.nvidia import NvidiaMeter
    except ModuleNotFoundError as error:
        raise NoMeter(f"{error}: pip install 'mtpbench[nvidia]'") from error
    return NvidiaMeter()


def _amd() -> Meter:
    from harness.power.amd import AmdMeter

    return AmdMeter()


# By `spec.Vendor`; its module is not imported, so that a sampler is small and starts at once.
MAKERS: Mapping[str, Maker] = {
    "nvidia": Maker(_nvidia, visible.nvidia, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
    "amd": Maker(_amd, visible.amd, {}),
}


BESIDE_HZ: Mapping[str, float] = {"host": 2.0, "node": 1.0}
"""What is read beside the GPUs, each by a process of its own, and how often: the host's CPUs, the node by its meter."""


def opened(name: str, powercap: Path) -> Meter:
    """A vendor's meter, or one of those beside it.

    Raises:
        NoMeter: why it can't be had here.
    """
    match name:
        case "host":
            return RaplMeter(powercap)
        case "node":
            return PluggedMeter()
        case vendor:
            return MAKERS[vendor].open()


def visibility_order(vendor: str) -> Mapping[str, str]:
    """Variables for a server that is started here, so that numbers in its visibility variables mean what we take."""
    return MAKERS[vendor].order if vendor in MAKERS else {}


def asked_gpus(vendor: str, devices: Sequence[Device], env: Mapping[str, str], count: int) -> tuple[str, ...]:
    """The GPUs that a server of `count` takes: the first that its environment shows it.

    Raises:
        NoMeter: it sees fewer.
    """
    seen = MAKERS[vendor].visible(devices, env)
    if len(seen) < count:
        raise NoMeter(f"the server needs {count} GPUs (tp x pp x dp) but its environment shows it {len(seen)}")
    return tuple(dict.fromkeys(seen[:count]))
