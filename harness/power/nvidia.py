"""NVIDIA's GPUs through NVML, by the binding that NVIDIA itself publishes (`nvidia-ml-py`, module `pynvml`).

One `nvmlDeviceGetFieldValues` a GPU and sweep carries counter, power, limit and throttle times; every field has a
verdict of its own. Units by nvml.h (API 13): energy mJ, power mW, throttle times ns. `POWER_INSTANT` is the power of
the moment, `POWER_AVERAGE` the mean of the last second. NVML ignores CUDA_VISIBLE_DEVICES: everything goes by UUID.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import pynvml as nvml

from harness.errors import NoMeter
from harness.power.stream import Device, Reading

T = TypeVar("T")
Handle = Any
"""What the binding gives out for a GPU or a field's value: it ships no types."""

_MILLI = 1e-3
_GPU, _MODULE = 0, 1  # NVML_POWER_SCOPE_*; GPUs that share a module with a CPU may have the second alone

_ENERGY = nvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION
_INSTANT = nvml.NVML_FI_DEV_POWER_INSTANT
_AVERAGE = nvml.NVML_FI_DEV_POWER_AVERAGE
_LIMIT = nvml.NVML_FI_DEV_POWER_CURRENT_LIMIT
_MEMORY_C = nvml.NVML_FI_DEV_MEMORY_TEMP
_THROTTLE: Mapping[int, str] = {
    nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP: "power_cap",
    nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN: "thermal_software",
    nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN: "thermal_hardware",
    nvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN: "power_brake",
}
_LABELS = {_ENERGY: "energy", _INSTANT: "power", _AVERAGE: "average", _LIMIT: "limit", _MEMORY_C: "memory_temperature"}
_REMEDIES: Mapping[int, str] = {
    nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "install the NVIDIA driver, or start the container with its libraries "
    "(NVIDIA_DRIVER_CAPABILITIES must hold `utility`)",
    nvml.NVML_ERROR_DRIVER_NOT_LOADED: "load the kernel module: modprobe nvidia",
    nvml.NVML_ERROR_NO_PERMISSION: "let this user read /dev/nvidia*",
    nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver and library differ since an update: restart the machine",
}


class NvidiaMeter:
    """NVML in this process.

    Raises:
        NoMeter: the library is not there or does not start; with the remedy.
    """

    def __init__(self) -> None:
        try:
            nvml.nvmlInit()
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
            self._handles = {str(nvml.nvmlDeviceGetUUID(handle)): handle for handle in handles}
            self._scopes = {gpu: _power_scope(handle) for gpu, handle in self._handles.items()}
        except nvml.NVMLError as error:
            remedy = _REMEDIES.get(error.value, "see nvidia-smi")
            raise NoMeter(f"NVML: {error}: {remedy}") from error

    def versions(self) -> dict[str, str]:
        """Driver and library."""
        return {"driver": str(nvml.nvmlSystemGetDriverVersion()), "nvml": str(nvml.nvmlSystemGetNVMLVersion())}

    def devices(self) -> tuple[Device, ...]:
        """All GPUs, in the order of their PCI addresses, which is NVML's."""
        return tuple(self._device(gpu, handle) for gpu, handle in self._handles.items())

    def _device(self, gpu: str, handle: Handle) -> Device:
        memory = _value_or_none(nvml.nvmlDeviceGetMemoryInfo, handle)
        limits = _value_or_none(nvml.nvmlDeviceGetPowerManagementLimitConstraints, handle) or (None, None)
        mig = _value_or_none(nvml.nvmlDeviceGetMigMode, handle)
        pci = _value_or_none(nvml.nvmlDeviceGetPciInfo, handle)
        return Device(
            gpu=gpu,
            name=str(nvml.nvmlDeviceGetName(handle)),
            scope="gpu-module" if self._scopes[gpu] == _MODULE else "gpu-board",
            energy_unit_j=_MILLI,
            index=int(nvml.nvmlDeviceGetIndex(handle)),
            pci=None if pci is None else str(pci.busId),
            limit_w=_watts(_value_or_none(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)),
            limit_default_w=_watts(_value_or_none(nvml.nvmlDeviceGetPowerManagementDefaultLimit, handle)),
            limit_min_w=_watts(limits[0]),
            limit_max_w=_watts(limits[1]),
            shared="mig" if mig and mig[0] else None,
            parts=_instances(handle) if mig and mig[0] else (),
            memory_used_gb=None if memory is None else memory.used / 1e9,
            memory_gb=None if memory is None else memory.total / 1e9,
            processes=_processes(handle),
            facts=_facts(handle),
        )

    def read(self, gpu: str) -> Reading:
        """Counter, power, limit and throttle times in one call; temperature, clock and reasons in one each."""
        handle, faults = self._handles[gpu], list[str]()
        values = self._fields(gpu, handle, faults)
        ask = partial(_int_or_fault, handle, faults)
        energy, throttle = values.get(_ENERGY), {_THROTTLE[f]: int(v) for f, v in values.items() if f in _THROTTLE}
        return Reading(
            energy_count=None if energy is None else int(energy),
            power_w=_watts(values.get(_INSTANT)),
            average_w=_watts(values.get(_AVERAGE)),
            limit_w=_watts(values.get(_LIMIT)),
            temperature_c=ask("temperature", nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
            memory_temperature_c=values.get(_MEMORY_C),
            sm_mhz=ask("sm_clock", nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            memory_mhz=ask("memory_clock", nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_MEM),
            reasons=ask("reasons", nvml.nvmlDeviceGetCurrentClocksEventReasons),
            throttle=throttle,
            faults=tuple(faults),
        )

    def _fields(self, gpu: str, handle: Handle, faults: list[str]) -> dict[int, float]:
        """Values by field number; what could not be had goes to `faults`."""
        scope = self._scopes[gpu]
        asked = [(_ENERGY, _GPU), (_INSTANT, scope), (_AVERAGE, scope), (_LIMIT, _GPU), (_MEMORY_C, _GPU)]
        try:
            values = nvml.nvmlDeviceGetFieldValues(handle, [*asked, *((field, _GPU) for field in _THROTTLE)])
        except nvml.NVMLError as error:
            faults.append(f"gpu: {error}")
            return {}
        good = {value.fieldId: _number(value) for value in values if value.nvmlReturn == nvml.NVML_SUCCESS}
        failed = [value for value in values if value.nvmlReturn != nvml.NVML_SUCCESS]
        labels = {**_LABELS, **_THROTTLE}
        faults.extend(f"{labels[value.fieldId]}: {nvml.NVMLError(value.nvmlReturn)}" for value in failed)
        return good

    def close(self) -> None:
        """Let go of the library."""
        nvml.nvmlShutdown()


def _power_scope(handle: Handle) -> int:
    """GPU where the library has it; else the module that the GPU shares with a CPU (GH200: zeus issue 172)."""
    gpu, module = nvml.nvmlDeviceGetFieldValues(handle, [(_INSTANT, _GPU), (_INSTANT, _MODULE)])
    only_module = gpu.nvmlReturn != nvml.NVML_SUCCESS == module.nvmlReturn
    return _MODULE if only_module else _GPU


def _number(value: Handle) -> float:
    """A field's value by the type that it says it has."""
    name = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}[value.valueType]
    number: float = getattr(value.value, name)
    return number


def _value_or_none(call: Callable[..., T], *args: object) -> T | None:
    """A call's answer; None where the library can't."""
    try:
        return call(*args)
    except nvml.NVMLError:
        return None


def _int_or_fault(handle: Handle, faults: list[str], name: str, call: Callable[..., int], *args: object) -> int | None:
    try:
        return int(call(handle, *args))
    except nvml.NVMLError as error:
        faults.append(f"{name}: {error}")
        return None


def _watts(milliwatts: float | None) -> float | None:
    return None if milliwatts is None else milliwatts * _MILLI


def _processes(handle: Handle) -> tuple[int, ...] | None:
    running = _value_or_none(nvml.nvmlDeviceGetComputeRunningProcesses, handle)
    return None if running is None else tuple(sorted(int(process.pid) for process in running))


def _instances(handle: Handle) -> tuple[str, ...]:
    """UUIDs of the MIG instances."""
    most = _value_or_none(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    instances = [_value_or_none(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index) for index in range(most)]
    return tuple(str(nvml.nvmlDeviceGetUUID(instance)) for instance in instances if instance is not None)


def _facts(handle: Handle) -> dict[str, str | int | float | bool | None]:
    persistence = _value_or_none(nvml.nvmlDeviceGetPersistenceMode, handle)
    return {
        "vbios": _value_or_none(nvml.nvmlDeviceGetVbiosVersion, handle),
        "persistence": None if persistence is None else bool(persistence),
        "sm_mhz_max": _value_or_none(nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM),
        "application_sm_mhz": _value_or_none(nvml.nvmlDeviceGetApplicationsClock, handle, nvml.NVML_CLOCK_SM),
    }
