"""Whether GPUs are free for a server that is about to start: what of them is filled, and who runs there. Pure.

Before its start nobody has a right to be on a server's GPUs: whoever is there is somebody else, most often a server
that was not ended. Where processes can't be seen, as in most containers, the memory that they fill tells.
"""

from collections.abc import Sequence

from harness.power.stream import Device
from harness.units import mib

FREE_SHARE = 0.03
"""Of a GPU's memory, what may be filled though nobody is there: the driver keeps 0.6 % of an H100's
(results/hardware/h100-one-gpu-vllm, power.jsonl), and a server fills most of it."""


def occupied(devices: Sequence[Device], gpus: Sequence[str]) -> tuple[str, ...]:
    """The GPUs among some that are not free: a phrase for each, with its memory and who is there.

    Args:
        devices: all GPUs as they are now; what the library does not say of one speaks for nothing.
        gpus: UUIDs of those that a server will take.
    """
    return tuple(_phrase(device) for device in devices if device.gpu in gpus and not _is_free(device))


def filled_mib(devices: Sequence[Device], gpus: Sequence[str]) -> dict[str, float | None]:
    """Memory of some GPUs that is filled, by UUID; None where the library does not say."""
    used = {device.gpu: device.memory_used_gb for device in devices if device.gpu in gpus}
    return {gpu: None if gigabytes is None else round(mib(gigabytes)) for gpu, gigabytes in used.items()}


def _is_free(device: Device) -> bool:
    filled = device.memory_gb and device.memory_used_gb and device.memory_used_gb / device.memory_gb
    return not device.processes and (filled or 0.0) <= FREE_SHARE


def _phrase(device: Device) -> str:
    memory = "memory not told" if device.memory_used_gb is None else f"{mib(device.memory_used_gb):.0f} MiB filled"
    names = ", ".join(map(str, device.processes or ()))
    return f"{device.gpu}: {memory}, " + (f"by process {names}" if names else "by processes that can't be seen here")
