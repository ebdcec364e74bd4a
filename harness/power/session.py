"""The metering of one launch: a sampler from before the server starts until it has ended, and cuts of its stream.

A sampler that dies or hangs costs the power of the points that it missed; the measurement goes on and says so.
"""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from harness.errors import GpuBusy, NoMeter
from harness.power.busy import filled_mib, holders
from harness.power.open import BESIDE_HZ, asked_gpus
from harness.power.rapl import POWERCAP
from harness.power.records import Metering
from harness.power.sampler import Job
from harness.power.stream import Device, Header, cut, parsed
from harness.power.usage import usage
from harness.units import NS_PER_S

logger = logging.getLogger(__name__)

DESCRIBE_LIMIT_S = 60.0
START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
SILENCE_S = 3.0
BEFORE_S, AFTER_S = 3.0, 1.0
AFTER_READINGS = 3
FREE_LIMIT_S = 30.0
"""How long GPUs may take to be let go of: a server that was asked to end has as long."""
_LOOK_S = 0.05
_FREE_LOOK_S = 1.0


def describe(vendor: str, powercap: str = POWERCAP) -> Header:
    """All GPUs of a vendor as they are now, or what is beside them, asked in a process of its own.

    Raises:
        NoMeter: why they can't be read, and the remedy.
    """
    asking = command(Job(vendor=vendor, powercap=powercap))
    try:
        said = subprocess.run(asking, capture_output=True, timeout=DESCRIBE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoMeter(f"{vendor}: the library did not answer in {DESCRIBE_LIMIT_S:.0f} s") from error
    described = parsed(said.stdout)
    if not isinstance(described, Header):
        words = said.stderr.decode(errors="replace").strip().splitlines()
        raise NoMeter(words[-1] if words else f"{vendor}: its library ended the process ({said.returncode})")
    return described


def command(job: Job) -> list[str]:
    """What does a job in a process of its own."""
    return [sys.executable, "-m", "harness.power.sampler", msgspec.json.encode(job).decode()]


class Session:
    """A sampler at work, or the reason why there is none.

    Attributes:
        metering: what is known of it so far.
        beside: `host` and `node`, each a sampler at work, or the reason why not.
    """

    def __init__(
        self,
        metering: Metering,
        job: Job,
        stream: Path,
        before: tuple[Device, ...] = (),
        beside: Mapping[str, "Session"] | None = None,
    ) -> None:
        self.metering = metering
        self.beside = beside or {}
        self._job = job
        self._stream = stream
        self._before = before
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, log: Path) -> None:
        """Begin to read, and wait for the first line."""
        job = msgspec.structs.replace(self._job, gpus=self.metering.asked, path=str(self._stream))
        with log.open("ab") as said:
            # A session of its own: Ctrl-C is for us, and the sampler ends with its standard input.
            self._process = subprocess.Popen(  # noqa: ASYNC220 - must outlive the loop's own cleaning up
                command(job), stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._stream.exists() and self._stream.stat().st_size:
                return
            await asyncio.sleep(_LOOK_S)
        await self.stop()
        self.metering = msgspec.structs.replace(self.metering, failure=f"the sampler wrote nothing: see {log.name}")
        logger.warning("no power figures: %s", self.metering.failure)

    @property
    def reads(self) -> bool:
        """Whether there are readings, at least of the past."""
        return self._process is not None

    async def stop(self) -> None:
        """End the sampler, by force if need be, and those beside it."""
        for session in self.beside.values():
            await session.stop()
        if self._process is None:
            return
        assert self._process.stdin is not None, "made with a pipe"
        self._process.stdin.close()
        try:
            await asyncio.to_thread(self._process.wait, STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._process = None

    async def served(self, processes: frozenset[int] | None) -> None:
        """Find out which GPUs the server took, and who else is on them.

        Args:
            processes: the server's; None where they are not known.
        """
        if self._process is None or processes is None:
            return
        try:
            after = (await asyncio.to_thread(describe, self._job.vendor)).devices
        except NoMeter as error:
            self.metering = msgspec.structs.replace(self.metering, failure=str(error))
            return
        found = usage(self._before, after, processes)
        foreign = {gpu: pids for gpu, pids in found.foreign.items() if gpu in self.metering.asked}
        self.metering = msgspec.structs.replace(self.metering, used=found.used, told_by=found.told_by, foreign=foreign)

    async def idle(self, seconds: float, target: Path) -> None:
        """Let the GPUs be for a while, and keep what they drew."""
        if self._process is None or not seconds:
            return
        start_ns = time.monotonic_ns()
        await asyncio.sleep(seconds)
        await self.keep(target, start_ns + int(BEFORE_S * NS_PER_S), time.monotonic_ns())

    async def keep(self, target: Path, start_ns: int, end_ns: int) -> Metering:
        """Copy the readings from a little before to a little after; what is known of them."""
        if self._process is None:
            return self.metering
        after_s = max(AFTER_S, AFTER_READINGS / self._job.hz)
        await asyncio.sleep(end_ns / NS_PER_S + after_s - time.monotonic())
        failure = self._failure()
        begin_ns, stop_ns = start_ns - int(BEFORE_S * NS_PER_S), end_ns + int(after_s * NS_PER_S)
        await asyncio.to_thread(cut, self._stream, target, begin_ns, stop_ns)
        if failure is not None and self.metering.failure is None:
            logger.warning("%s: %s: no power figures from here on", self._stream, failure)
            self.metering = msgspec.structs.replace(self.metering, failure=failure)
        return self.metering

    async def keep_beside(self, folder: Path, start_ns: int, end_ns: int) -> Metering:
        """The same of the host's and the node's readings, as host.jsonl and node.jsonl; what is known of all."""
        for name, session in self.beside.items():
            await session.keep(folder / f"{name}.jsonl", start_ns, end_ns)
        failures = {name: session.metering.failure for name, session in self.beside.items()}
        return msgspec.structs.replace(self.metering, beside=failures)

    def _failure(self) -> str | None:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            return f"the sampler ended with {code}"
        silence_s = time.time() - self._stream.stat().st_mtime
        return f"the sampler has been silent for {silence_s:.0f} s" if silence_s > SILENCE_S else None


async def beside(name: str, folder: Path, log: Path, powercap: str = POWERCAP) -> Session:
    """Begin to read the host or the node, or find out why that can't be done here.

    Args:
        name: of BESIDE_HZ; its stream is named for it.
        folder: where the stream goes.
        log: what the sampler says.
        powercap: the kernel's folder of RAPL zones.
    """
    job, stream = Job(vendor=name, hz=BESIDE_HZ[name], powercap=powercap), folder / f"{name}.jsonl"
    try:
        devices = (await asyncio.to_thread(describe, name, powercap)).devices
    except NoMeter as error:
        logger.info("no power of the %s: %s", name, error)
        return Session(Metering(failure=str(error)), job, stream)
    session = Session(Metering(asked=tuple(device.gpu for device in devices)), job, stream)
    await session.start(log)
    return session


async def _free(vendor: str, gpus: int, env: Mapping[str, str]) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """All GPUs, and those that a server will take, once nobody is on these."""
    deadline = time.monotonic() + FREE_LIMIT_S
    while True:
        devices = (await asyncio.to_thread(describe, vendor)).devices
        asked = asked_gpus(vendor, devices, env, gpus)
        held = holders(devices, asked)
        if not held:
            return devices, asked
        if time.monotonic() > deadline:
            raise GpuBusy(f"GPUs are not free, nor became so in {FREE_LIMIT_S:.0f} s: {'; '.join(held)}")
        logger.info("waiting for %s", "; ".join(held))
        await asyncio.sleep(_FREE_LOOK_S)


@asynccontextmanager
async def metered(
    vendor: str, gpus: int, env: Mapping[str, str], stream: Path, log: Path, *, required: bool = False
) -> AsyncIterator[Session]:
    """Read the GPUs that a server with this environment will take, while the block runs.

    Args:
        vendor: whose.
        gpus: how many the server takes.
        env: the server's.
        stream: where the readings go.
        log: what the sampler says.
        required: whether no meter is an error.

    Raises:
        NoMeter: power was required and can't be read.
        GpuBusy: somebody else is on these GPUs, and stays.
    """
    try:
        devices, asked = await _free(vendor, gpus, env)
    except NoMeter as error:
        if required:
            raise
        logger.warning("no power figures: %s", error)
        yield Session(Metering(failure=str(error)), Job(vendor=vendor), stream)
        return
    looked_for = await asyncio.gather(*(beside(name, stream.parent, log) for name in BESIDE_HZ))
    others = dict(zip(BESIDE_HZ, looked_for, strict=True))
    metering = Metering(asked=asked, filled_mib=filled_mib(devices, asked))
    session = Session(metering, Job(vendor=vendor), stream, devices, others)
    try:
        await session.start(log)
        yield session
    finally:
        await session.stop()
