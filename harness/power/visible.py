"""Which GPUs a process sees with an environment: the visibility variables, read as the runtimes read them.

Knows UUIDs and the libraries' order; opens nothing.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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


VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "SLURM_STEP_GPUS",
    "SLURM_JOB_GPUS",
)
"""All that is looked at."""


class _HipDevice(NamedTuple):
    """Something that HIP counts: a GPU, or one partition of it."""

    uuid: str
    gpu: str


def amd(devices: Sequence[Device], env: Mapping[str, str]) -> tuple[str, ...]:
    """UUIDs as HIP numbers them; a partition stands for its whole socket, which may then be there more than once.

    ROCR_VISIBLE_DEVICES goes first, HIP_VISIBLE_DEVICES counts what that leaves; CUDA_VISIBLE_DEVICES stands in where
    the latter is empty, and where both are nothing is hidden (ROCm/clr, rocclr/device/rocm/rocdevice.cpp). Slurm alone
    names its allocation in the order of PCI addresses; inside its cgroup no other GPUs are seen anyway.
    """
    seen = _hip_order(devices)
    by_runtime, by_hip = env.get("ROCR_VISIBLE_DEVICES"), env.get("HIP_VISIBLE_DEVICES")
    by_hip = by_hip or env.get("CUDA_VISIBLE_DEVICES")
    slurm = env.get("SLURM_STEP_GPUS") or env.get("SLURM_JOB_GPUS")
    if by_runtime is None and not by_hip and slurm and len(slurm.split(",")) < len(devices):
        seen = _listed([_HipDevice(device.gpu, device.gpu) for device in devices], slurm)
    if by_runtime is not None:
        seen = _listed(seen, by_runtime)
    if by_hip:
        seen = _listed(seen, by_hip)
    return tuple(part.gpu for part in seen)


def _hip_order(devices: Sequence[Device]) -> list[_HipDevice]:
    placed = [
        (place, _HipDevice(uuid, device.gpu))
        for device in devices
        for place, uuid in zip(device.runtime_ids or (device.index,), _uuids(device), strict=False)
    ]
    return [part for _, part in sorted(placed)]


def _uuids(device: Device) -> Sequence[str]:
    """One for each place; some versions give all parts the socket's UUID, which is then kept once."""
    places = max(1, len(device.runtime_ids))
    return device.parts if len(device.parts) == places else [device.gpu] * places


def _listed(parts: Sequence[_HipDevice], entries: str) -> list[_HipDevice]:
    """The parts that a list names, by place or UUID, up to its first entry that names none."""
    found = []
    for entry in entries.split(","):
        name = entry.strip()
        chosen = parts[int(name) :][:1] if name.isdecimal() else [p for p in parts if name and p.uuid.startswith(name)]
        if not chosen:
            break
        found.append(chosen[0])
    return found
