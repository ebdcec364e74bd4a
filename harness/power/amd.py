"""AMD's GPUs through `amdsmi`, the binding that ROCm ships with its own libamd_smi.so.

One `gpu_metrics` a socket and sweep carries counter, power, clocks, temperatures and throttle counters; the power cap
is a second call. A socket is counted once, however many partitions show its figures (CPX: eight).

Units: the energy counter counts 2^-16 J (Linux, kgd_pp_interface.h: "15.259uJ (2^-16) units"); the library's own
`counter_resolution` of 15.3 uJ is 0.27 % off. Throttle counters run against `accumulation_counter` (smu_v13_0_6_ppt.c).
`amdsmi_get_violation_status` sleeps 100 ms a call, so it is never called.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from harness.errors import NoMeter
from harness.power import amd_library
from harness.power.amd_library import reason_of
from harness.power.amd_sockets import NOT_AVAILABLE, Partition, Socket, group_by_socket, runtime_uuid
from harness.power.stream import Device, Reading

T = TypeVar("T")

ENERGY_UNIT_J = 2.0**-16

_MICRO = 1e-6
_MAX_CAP_W = 100_000  # a cap above it is in microwatts: the unit has changed between versions
_MAX_TEMPERATURE_C = 200  # a temperature above it is in thousandths of a degree

_THROTTLE: Mapping[str, str] = {
    "ppt_residency_acc": "power_cap",
    "socket_thm_residency_acc": "thermal_software",
    "prochot_residency_acc": "thermal_hardware",
    "vr_thm_residency_acc": "thermal_regulator",
    "hbm_thm_residency_acc": "thermal_memory",
}
_FIELDS: Mapping[str, str] = {
    "energy_accumulator": "energy",
    "current_socket_power": "power",
    "temperature_hotspot": "temperature",
    "temperature_mem": "memory_temperature",
    "current_gfxclk": "sm_clock",
    "current_uclk": "memory_clock",
    "accumulation_counter": "throttle",
}
"""What a reading is made of, and the name that its absence goes by."""


class AmdMeter:
    """amdsmi in this process, and in one thread of it: before ROCm 7.2 it mixes up GPUs between threads.

    Raises:
        NoMeter: the library is not there, does not start, or is not the one that the binding was made for.
    """

    def __init__(self) -> None:
        self._smi = amd_library.start_library()
        try:
            handles = self._smi.amdsmi_get_processor_handles()
            sockets = group_by_socket([self._partition(handle) for handle in handles])
        except self._smi.AmdSmiException as error:
            raise NoMeter(amd_library.complaint(error)) from error
        self._sockets = {socket.uuid: socket for socket in sockets}

    def versions(self) -> dict[str, str]:
        """Driver, ROCm, library and binding."""
        handles = [socket.handle for socket in self._sockets.values()]
        driver = self._fields("amdsmi_get_gpu_driver_info", handles[0]) if handles else {}
        versions = {"driver": driver.get("driver_version"), **amd_library.versions(self._smi)}
        return {name: str(version) for name, version in versions.items() if version}

    def devices(self) -> tuple[Device, ...]:
        """All sockets, in the order of their PCI addresses, which is the library's."""
        return tuple(self._device(index, socket) for index, socket in enumerate(self._sockets.values()))

    def _device(self, index: int, socket: Socket) -> Device:
        cap = self._fields("amdsmi_get_power_cap_info", socket.handle)
        return Device(
            gpu=socket.uuid,
            name=socket.name,
            scope="gpu-socket",
            energy_unit_j=ENERGY_UNIT_J,
            index=index,
            pci=socket.pci,
            limit_w=_watts(cap.get("power_cap")),
            limit_default_w=_watts(cap.get("default_power_cap")),
            limit_min_w=_watts(cap.get("min_power_cap")),
            limit_max_w=_watts(cap.get("max_power_cap")),
            shared="partition" if socket.split else None,
            parts=socket.uuids if socket.split else (),
            runtime_ids=socket.hip_ids,
            memory_used_gb=self._memory_gb("amdsmi_get_gpu_memory_usage", socket),
            memory_gb=self._memory_gb("amdsmi_get_gpu_memory_total", socket),
            processes=self._processes(socket),
            facts=self._facts(socket.handle),
        )

    def read(self, gpu: str) -> Reading:
        """One `gpu_metrics` of the socket's first partition, which shows the whole socket, and its power cap."""
        handle, faults = self._sockets[gpu].handle, list[str]()
        try:
            metrics = self._smi.amdsmi_get_gpu_metrics_info(handle)
        except self._smi.AmdSmiException as error:
            return Reading(faults=(f"gpu: {reason_of(error)}",))
        values = {name: value for name, value in metrics.items() if isinstance(value, int)}
        faults += [f"{label}: {NOT_AVAILABLE}" for name, label in _FIELDS.items() if name not in values]
        return Reading(
            energy_count=values.get("energy_accumulator"),
            power_w=values.get("current_socket_power"),
            average_w=values.get("average_socket_power"),
            limit_w=self._cap(handle, faults),
            temperature_c=_celsius(values.get("temperature_hotspot")),
            memory_temperature_c=_celsius(values.get("temperature_mem")),
            sm_mhz=values.get("current_gfxclk"),
            memory_mhz=values.get("current_uclk"),
            throttle={reason: values[name] for name, reason in _THROTTLE.items() if name in values},
            throttle_clock=values.get("accumulation_counter"),
            faults=tuple(faults),
        )

    def _cap(self, handle: object, faults: list[str]) -> float | None:
        try:
            return _watts(self._smi.amdsmi_get_power_cap_info(handle)["power_cap"])
        except self._smi.AmdSmiException as error:
            faults.append(f"limit: {reason_of(error)}")
            return None

    def close(self) -> None:
        """Let go of the library."""
        self._smi.amdsmi_shut_down()

    def _partition(self, handle: object) -> Partition:
        """What one handle stands for; what ROCm is too old to tell is `N/A` (before 6.4)."""
        numbering = self._fields("amdsmi_get_gpu_enumeration_info", handle)
        return Partition(
            handle=handle,
            pci=str(self._smi.amdsmi_get_gpu_device_bdf(handle)),
            name=str(self._fields("amdsmi_get_gpu_asic_info", handle).get("market_name", "unknown")),
            uuid=runtime_uuid(str(numbering.get("hip_uuid")), str(self._smi.amdsmi_get_gpu_device_uuid(handle))),
            hip_id=numbering.get("hip_id", NOT_AVAILABLE),
            kfd_node=self._fields("amdsmi_get_gpu_kfd_info", handle).get("node_id", NOT_AVAILABLE),
        )

    def _memory_gb(self, call: str, socket: Socket) -> float | None:
        """A size of VRAM; None for a split socket, whose partitions say the same bytes or a share of them by mode."""
        size = None if socket.split else self._answer(int, call, socket.handle, self._smi.AmdSmiMemoryType.VRAM)
        return None if size is None else size / 1e9

    def _processes(self, socket: Socket) -> tuple[int, ...] | None:
        lists = [self._answer(list, "amdsmi_get_gpu_process_list", handle) for handle in socket.handles]
        if None in lists:
            return None
        return tuple(sorted({int(process["pid"]) for processes in lists for process in processes or ()}))

    def _facts(self, handle: object) -> dict[str, str | int | float | bool | None]:
        return {
            "vbios": self._fields("amdsmi_get_gpu_vbios_info", handle).get("version"),
            "compute_partition": self._answer(str, "amdsmi_get_gpu_compute_partition", handle),
            "memory_partition": self._answer(str, "amdsmi_get_gpu_memory_partition", handle),
            "oam_id": self._fields("amdsmi_get_gpu_asic_info", handle).get("oam_id"),
        }

    def _answer(self, kind: type[T], call: str, *args: object) -> T | None:
        """A call's answer; None where the library can't, is too old to have the call, or gives another type."""
        ask = getattr(self._smi, call, None)
        try:
            answer = None if ask is None else ask(*args)
        except self._smi.AmdSmiException:
            return None
        return answer if isinstance(answer, kind) else None

    def _fields(self, call: str, handle: object) -> dict[str, Any]:
        """A call's answer by field; empty where there is none."""
        return self._answer(dict, call, handle) or {}


def _watts(cap: float | None) -> float | None:
    """A power cap, in watts or microwatts by version; 0 is no cap that anybody has set."""
    if not cap:
        return None
    return cap * _MICRO if cap > _MAX_CAP_W else float(cap)


def _celsius(value: float | None) -> float | None:
    return None if value is None else value / 1000 if value > _MAX_TEMPERATURE_C else float(value)
