"""What the system lets one user have: files, processes, memory that is shared or locked, disk, ports."""

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness import launch
from harness.doctor.finding import Examination, Finding, blocks, good, warning
from harness.errors import ServerNotReady
from harness.provenance.weights import hub_cache
from harness.units import number

AREA = "limits"

FILES_A_USER = 2
"""One connection is open for each user, at both of its ends."""

FILES_BESIDE = 512
"""For the engine's own files, libraries and sockets between its processes."""

USERS_UNASKED = 1024
"""What is looked for where no sweep says how many users there will be."""

PROCESSES = 4096
"""Engines start several hundred threads for each GPU, and threads count."""

SHM_GB = 1.0
"""Containers get 64 MB unless asked; NCCL and the workers of an engine pass data through it.

Source: https://docs.vllm.ai/en/v0.32.0/deployment/docker.html (--ipc=host or --shm-size).
"""

DISK_LOW_GB = 10.0
DISK_NONE_GB = 1.0


def limits(examination: Examination) -> Iterator[Finding]:
    """Everything that is granted in numbers."""
    yield _files(examination)
    yield from _processes()
    yield from _shared_memory(examination)
    yield from _locked_memory(examination)
    yield from _disks(examination)
    yield _loopback()


def _files(examination: Examination) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    users = examination.most_users or USERS_UNASKED
    needed = users * FILES_A_USER + FILES_BESIDE
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return good(AREA, "open files", f"{_limit(soft)}; {users} users take about {needed}")
    say = blocks if examination.sweep is not None else warning
    enough = hard == resource.RLIM_INFINITY or hard >= needed
    remedy = f"ulimit -n {needed}" if enough else f"raise nofile to {needed} in limits.conf, or docker --ulimit nofile"
    return say(AREA, "open files", f"{_limit(soft)}; {users} users take about {needed}", remedy)


def _processes() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and soft < PROCESSES:
        yield warning(
            AREA,
            "processes",
            f"{soft} with all threads counted; an engine starts hundreds for each GPU",
            f"ulimit -u {PROCESSES}, or raise nproc in limits.conf",
        )


def _shared_memory(examination: Examination) -> Iterator[Finding]:
    place = examination.root / "dev/shm"
    free_gb = shutil.disk_usage(place).free / 1e9 if place.is_dir() else 0.0
    if free_gb < SHM_GB:
        yield warning(
            AREA,
            "shared memory",
            f"{number(free_gb)} GB free in /dev/shm; engines on several GPUs fail or hang for want of it",
            "docker run --ipc=host, or --shm-size 16g",
        )


def _locked_memory(examination: Examination) -> Iterator[Finding]:
    """Network adapters write into locked memory alone: matters where there is one for RDMA."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft != resource.RLIM_INFINITY and (examination.root / "sys/class/infiniband").is_dir():
        yield warning(
            AREA,
            "locked memory",
            f"{number(soft / 1e6)} MB; RDMA between nodes takes as much as it transfers",
            "ulimit -l unlimited, or docker --ulimit memlock=-1",
        )


def _disks(examination: Examination) -> Iterator[Finding]:
    """One line a file system, named for all that will lie on it."""
    asked = {"results": examination.folder, "model hub": hub_cache(), "temporary files": Path(tempfile.gettempdir())}
    by_device: dict[int, list[str]] = {}
    places: dict[int, Path] = {}
    for name, path in asked.items():
        place = _first_that_is_there(path)
        device = place.stat().st_dev
        by_device.setdefault(device, []).append(name)
        places.setdefault(device, place)
    for device, names in by_device.items():
        yield _disk(", ".join(names), places[device])


def _disk(names: str, place: Path) -> Finding:
    free_gb = shutil.disk_usage(place).free / 1e9
    says = f"{number(free_gb)} GB free in {place}, for {names}"
    remedy = "make room, or point --output, HF_HOME or TMPDIR elsewhere"
    if free_gb < DISK_NONE_GB:
        return blocks(AREA, "disk", says, remedy)
    if not os.access(place, os.W_OK):
        return blocks(AREA, "disk", f"{place}, for {names}, may not be written", remedy)
    return warning(AREA, "disk", says, remedy) if free_gb < DISK_LOW_GB else good(AREA, "disk", says)


def _loopback() -> Finding:
    """A server could listen, and a client reach it."""
    try:
        with launch.reserve_port() as server:
            server.listen()
            host, port = server.getsockname()
            socket.create_connection((host, port), timeout=5).close()
    except (OSError, ServerNotReady) as error:
        return blocks(AREA, "loopback", str(error), "bring `lo` up (ip link set lo up), or free some ports below it")
    return good(AREA, "loopback", f"a server can listen on {host} and be reached")


def _first_that_is_there(path: Path) -> Path:
    absolute = path.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else f"{value:,}"
