"""Which GPUs a process sees with an environment: the visibility variables, read as the runtimes read them.

Knows UUIDs and the libraries' order; opens nothing.
"""

from collections.abc import Mapping, Sequence

from harness.power.stream import Device


def nvidia(devices: Sequence[Device], env: Mapping[str, str]) -> tuple[str, ...]:
    """UUIDs as CUDA will number them under CUDA_DEVICE_ORDER=PCI_BUS_ID; a MIG instance stands for its whole GPU.

    The list ends at the first entry that names nothing (CUDA C++ Programming Guide, environment variables). Slurm
    without CUDA_VISIBLE_DEVICES names the allocation; inside its cgroup NVML shows no other GPUs anyway.
    """
    named = env.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        slurm = env.get("SLURM_STEP_GPUS") or env.get("SLURM_JOB_GPUS")
        named = slurm if slurm and len(slurm.split(",")) < len(devices) else None
    if named is None:
        return tuple(device.gpu for device in devices)
    found = []
    for entry in named.split(","):
        device = _device(devices, entry.strip())
        if device is None:
            break
        found.append(device.gpu)
    return tuple(found)


def _device(devices: Sequence[Device], entry: str) -> Device | None:
    """By number, by UUID or the start of one that is unique, or by one of its instances."""
    if entry.isdecimal():
        return devices[int(entry)] if int(entry) < len(devices) else None
    named = [d for d in devices if entry and (d.gpu.startswith(entry) or any(p.startswith(entry) for p in d.parts))]
    return named[0] if len(named) == 1 else None
