"""The table of meters by name, and the GPUs that a server will take: what differs between vendors stands here."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import NoMeter
from harness.power import visible
from harness.power.meter import Meter
from harness.power.node import PluggedMeter
from harness.power.rapl import RaplMeter
from harness.power.stream import Device

VisibleGpus = Callable[[Sequence[Device], Mapping[str, str]], tuple[str, ...]]


class VendorMeter(NamedTuple):
    """What differs between vendors.

    Attributes:
        open: makes its meter, in this process.
        visible: the GPUs that a process sees with an environment, in its order.
        order: variables that make this order certain, for servers that are started here.
    """

    open: Callable[[], Meter]
    visible: VisibleGpus
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


# By `spec.Vendor`, whose module is not imported, so that a sampler is small and starts at once.
METERS: Mapping[str, VendorMeter] = {
    "nvidia": VendorMeter(_nvidia, visible.nvidia, {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}),
    "amd": VendorMeter(_amd, visible.amd, {}),
}


BESIDE_HZ: Mapping[str, float] = {"host": 2.0, "node": 1.0}
"""What is read beside the GPUs, each by a process of its own, and how often: the host's CPUs, the node by its meter."""


def open_meter(name: str, powercap: Path) -> Meter:
    """A vendor's meter, or the `host`'s or the `node`'s.

    Raises:
        NoMeter: why it can't be had here.
    """
    match name:
        case "host":
            return RaplMeter(powercap)
        case "node":
            return PluggedMeter()
        case vendor:
            return METERS[vendor].open()


def visibility_order(vendor: str) -> Mapping[str, str]:
    """Variables for a server that is started here, so that numbers in its visibility variables mean what we take."""
    return METERS[vendor].order if vendor in METERS else {}


def gpus_of_server(vendor: str, devices: Sequence[Device], env: Mapping[str, str], count: int) -> tuple[str, ...]:
    """The GPUs that a server of `count` takes: the first that its environment shows it.

    Raises:
        NoMeter: it sees fewer.
    """
    visible_gpus = METERS[vendor].visible(devices, env)
    if len(visible_gpus) < count:
        raise NoMeter(f"the server needs {count} GPUs (tp x pp x dp) but its environment shows it {len(visible_gpus)}")
    return tuple(dict.fromkeys(visible_gpus[:count]))
