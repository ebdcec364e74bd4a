"""The accelerators of this machine, by the vendor's own tool or library. A machine without them has none.

Sources: `nvidia-smi --help-query-gpu`; for AMD `harness.power.amd`, and where its library does not start
`rocm-smi --help` (https://rocm.docs.amd.com/projects/rocm_smi_lib).
"""

import csv
import io
import json
import logging
import shutil
import subprocess
from collections.abc import Mapping, Sequence

import msgspec

from harness.errors import NoMeter
from harness.power.amd_library import rocm_folder
from harness.power.sampler import Job
from harness.power.sampler_process import describe
from harness.power.stream import Device
from harness.spec import Vendor

logger = logging.getLogger(__name__)

LIMIT_S = 30.0
NVIDIA = ("uuid", "name", "driver_version", "power.limit", "memory.total", "vbios_version")
AMD = ("--showuniqueid", "--showproductname", "--showdriverversion", "--showmaxpower", "--showmeminfo", "vram")


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One accelerator.

    Attributes:
        uuid: the vendor's name for this very board.
        power_limit_w: what the board may draw, as set now; None where the tool does not say.
        memory_gb: bytes / 1e9.
        rocm: its version; None for NVIDIA.
        vbios: firmware that the board starts with.
        partition: how it is split, compute and memory (`SPX/NPS1`); None where it can't be.
    """

    uuid: str
    name: str
    driver: str | None
    power_limit_w: float | None
    memory_gb: float | None
    rocm: str | None = None
    vbios: str | None = None
    partition: str | None = None

    @property
    def kind(self) -> str:
        """All that must be the same of two GPUs for a comparison, in a line."""
        told = {"driver": self.driver, "ROCm": self.rocm, "partition": self.partition}
        words = [f"{self.power_limit_w} W", *(f"{name} {value}" for name, value in told.items() if value is not None)]
        return ", ".join([self.name, *words])


def visible_gpus() -> tuple[Gpu, ...]:
    """All GPUs, in the vendor's order."""
    if shutil.which("nvidia-smi"):
        return parse_nvidia(_output(["nvidia-smi", f"--query-gpu={','.join(NVIDIA)}", "--format=csv,noheader,nounits"]))
    if rocm_folder().is_dir() and (found := _by_amdsmi()):
        return found
    if shutil.which("rocm-smi"):
        return parse_amd(_output(["rocm-smi", *AMD, "--json"]))
    return ()


def _by_amdsmi() -> tuple[Gpu, ...]:
    try:
        header = describe(Job(vendor=Vendor.AMD))
    except NoMeter as error:
        logger.warning("%s", error)
        return ()
    return tuple(from_device(device, header.versions) for device in header.devices)


def from_device(device: Device, versions: Mapping[str, str]) -> Gpu:
    """An AMD GPU as its meter describes it."""
    modes = [device.facts.get(name) for name in ("compute_partition", "memory_partition")]
    vbios = device.facts.get("vbios")
    return Gpu(
        uuid=device.gpu,
        name=device.name,
        driver=versions.get("driver"),
        power_limit_w=device.limit_w,
        memory_gb=None if device.memory_gb is None else round(device.memory_gb, 3),
        rocm=versions.get("rocm"),
        vbios=None if vbios is None else str(vbios),
        partition="/".join(str(mode) for mode in modes if mode) or None,
    )


def parse_nvidia(text: str) -> tuple[Gpu, ...]:
    """One line a GPU, fields as in `NVIDIA`, memory in MiB; what a board does not have is `[N/A]`."""
    rows = [row for row in csv.reader(io.StringIO(text), skipinitialspace=True) if len(row) == len(NVIDIA)]
    return tuple(
        Gpu(
            uuid=uuid,
            name=name,
            driver=driver,
            power_limit_w=_number(limit_w),
            memory_gb=_number(mib, 1024 * 1024 / 1e9),
            vbios=vbios,
        )
        for uuid, name, driver, limit_w, mib, vbios in rows
    )


def parse_amd(text: str) -> tuple[Gpu, ...]:
    """`card<n>` objects and one `system`; the case of the names changes between versions."""
    try:
        said = json.loads(text)
    except ValueError:
        logger.warning("rocm-smi: no JSON: %.200s", text)
        return ()
    lowered = {card: {name.lower(): value for name, value in facts.items()} for card, facts in said.items()}
    driver = lowered.get("system", {}).get("driver version")
    cards = sorted((card for card in lowered if card.startswith("card")), key=lambda card: int(card[4:]))
    return tuple(_amd(lowered[card], driver) for card in cards)


def _amd(facts: dict[str, str], driver: str | None) -> Gpu:
    return Gpu(
        uuid=facts.get("unique id", "unknown"),
        name=facts.get("card series", "unknown"),
        driver=driver,
        power_limit_w=_number(facts.get("max graphics package power (w)")),
        memory_gb=_number(facts.get("vram total memory (b)"), 1e-9),
    )


def _number(text: str | None, scale: float = 1.0) -> float | None:
    try:
        return None if text is None else round(float(text) * scale, 3)
    except ValueError:
        return None


def _output(command: Sequence[str]) -> str:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("%s: %s", command[0], error)
        return ""
    return ran.stdout
