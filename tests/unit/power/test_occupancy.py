"""Who holds a GPU before a server starts, as the libraries tell it."""

import os
import subprocess
from dataclasses import dataclass

import pytest

from harness.power.occupancy import filled_mib, occupied
from harness.power.stream import Device


@dataclass(frozen=True)
class Told:
    """What a library says of one GPU."""

    filled_gb: float | None = 0.5
    processes: tuple[int, ...] | None = ()

    @property
    def device(self) -> Device:
        return Device(
            gpu="GPU-0",
            name="H100",
            scope="gpu-board",
            energy_unit_j=1e-3,
            index=0,
            memory_used_gb=self.filled_gb,
            memory_gb=80.0,
            processes=self.processes,
        )


@pytest.mark.parametrize(
    "told",
    [Told(), Told(filled_gb=2.4), Told(processes=None), Told(filled_gb=None), Told(filled_gb=None, processes=None)],
)
def test_a_gpu_with_what_a_driver_keeps_or_of_which_nothing_is_told_is_free(told):
    assert () == occupied([told.device], ["GPU-0"])


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (Told(filled_gb=60.0), "GPU-0: 57220 MiB filled, by processes that can't be seen here"),
        (Told(filled_gb=60.0, processes=None), "GPU-0: 57220 MiB filled, by processes that can't be seen here"),
        (Told(processes=(7, 12)), "GPU-0: 477 MiB filled, by process 7, 12"),
        (Told(filled_gb=None, processes=(7,)), "GPU-0: memory not told, by process 7"),
    ],
)
def test_a_gpu_that_is_held_is_named_with_its_memory_and_who_is_there(told, says):
    assert (says,) == occupied([told.device], ["GPU-0"])


def test_gpus_that_the_server_does_not_take_are_nobody_s_concern():
    assert () == occupied([Told(processes=(7,)).device], ["GPU-1"])


def test_amd_gpus_say_who_is_there(fake_amd, amd_meter):
    fake_amd(sockets=2)
    env = {**os.environ, "FAKE_AMD_ON": "1"}
    with subprocess.Popen(["sleep", "60"], env=env) as stranger:
        try:
            devices = amd_meter().devices()
        finally:
            stranger.kill()
    first, second = (device.gpu for device in devices)

    assert () == occupied(devices, [first])
    [held] = occupied(devices, [second])
    assert held.startswith(f"{second}: ")
    assert held.endswith(f"by process {stranger.pid}")
    assert filled_mib(devices, [first]).keys() == {first}
