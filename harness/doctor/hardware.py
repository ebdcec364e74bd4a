"""GPUs before any library is asked: what sits in the slots, whether a driver has it, whether this user may open it.

Libraries say no more than "no GPU" in all of these cases; the cause is here.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.doctor.finding import Examination, Finding, good, note, warning
from harness.spec import Vendor

AREA = "GPUs"

GPU_CLASSES = ("0x0300", "0x0302", "0x0380", "0x1200")
"""VGA, 3D and other display controllers, processing accelerators. Source: pci.ids, classes 03 and 12."""

NO_DRIVER = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What one vendor's GPUs need to be usable.

    Attributes:
        pci: vendor number.
        driver: the kernel module that must have them.
        nodes: device files, as globs below /dev, all of which a user must be able to open.
        load: how to get the driver.
        grant: how to get at the device files, in a container and outside.
    """

    name: str
    pci: str
    driver: str
    nodes: Sequence[str]
    load: str
    grant: str


MAKERS: Mapping[Vendor, Maker] = {
    Vendor.NVIDIA: Maker(
        name="NVIDIA",
        pci="0x10de",
        driver="nvidia",
        nodes=("nvidiactl", "nvidia[0-9]*"),
        load="install NVIDIA's driver, then sudo modprobe nvidia",
        grant="docker run --gpus all, with the NVIDIA container toolkit; outside a container run nvidia-modprobe",
    ),
    Vendor.AMD: Maker(
        name="AMD",
        pci="0x1002",
        driver="amdgpu",
        nodes=("kfd", "dri/renderD*"),
        load="install amdgpu-dkms of ROCm, then sudo modprobe amdgpu",
        grant="docker run --device /dev/kfd --device /dev/dri; outside a container sudo usermod -aG render,video $USER",
    ),
}


def present(examination: Examination) -> tuple[Vendor, ...]:
    """Whose GPUs sit in the slots."""
    return tuple(vendor for vendor, maker in MAKERS.items() if _drivers(examination, maker.pci))


def hardware(examination: Examination) -> Iterator[Finding]:
    """One line for each vendor whose GPUs are here; one line in all where there are none."""
    drivers = {vendor: _drivers(examination, maker.pci) for vendor, maker in MAKERS.items()}
    if not any(drivers.values()):
        yield note(AREA, "hardware", "no GPU of NVIDIA or AMD in this machine; CPU and emulator sweeps run without")
    for vendor, names in drivers.items():
        if names:
            yield from _of(examination, MAKERS[vendor], names)


def _drivers(examination: Examination, pci: str) -> Sequence[str]:
    """The driver of each GPU with this vendor number."""
    devices = sorted((examination.root / "sys/bus/pci/devices").glob("*"))
    return [
        _driver(device)
        for device in devices
        if (device / "vendor").read_text().strip() == pci
        and (device / "class").read_text().strip().startswith(GPU_CLASSES)
    ]


def _driver(device: Path) -> str:
    driver = device / "driver"
    return driver.readlink().name if driver.is_symlink() else NO_DRIVER


def _of(examination: Examination, maker: Maker, drivers: Sequence[str]) -> Iterator[Finding]:
    others = sorted({driver for driver in drivers if driver != maker.driver})
    count = len(drivers)
    if others:
        wrong = sum(driver in others for driver in drivers)
        yield warning(
            AREA, "driver", f"{wrong} of {count} {maker.name} GPUs have driver {', '.join(others)}", maker.load
        )
        return
    closed = [node for node in maker.nodes if not _may_open(examination, node)]
    if closed:
        says = f"{count} {maker.name} GPUs are here, but /dev/{', /dev/'.join(closed)} can't be opened by this user"
        yield warning(AREA, "device files", says, maker.grant)
        return
    yield good(AREA, "hardware", f"{count} {maker.name} GPUs, with driver {maker.driver} and open to this user")


def _may_open(examination: Examination, node: str) -> bool:
    files = sorted((examination.root / "dev").glob(node))
    return any(os.access(file, os.R_OK | os.W_OK) for file in files)
