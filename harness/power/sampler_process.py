"""A sampler at work in a process of its own, here or on another node: started, cut, watched, ended.

One that dies or hangs costs the power of the points that it missed; the measurement goes on and says so.
"""

import asyncio
import logging
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.errors import NoMeter
from harness.power.sampler import STDOUT, Job
from harness.power.stream import Header, PowerSample, cut_stream, parse_line
from harness.units import NS_PER_S

logger = logging.getLogger(__name__)

DESCRIBE_LIMIT_S = 60.0
START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
SILENCE_S = 3.0
_POLL_S = 0.05
_END_BYTES = 256 * 1024
"""Holds over two seconds of sixteen GPUs at 10 Hz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where GPUs are.

    Attributes:
        node: its name; empty for this one.
        start: words that start a command there, its standard streams here; none for this one.
    """

    node: str = ""
    start: tuple[str, ...] = ()

    def prefixed(self, phrase: str) -> str:
        """A phrase with the node's name in front; as it is for this node."""
        return f"{self.node}: {phrase}" if self.node else phrase


HERE = Place()


def command_line(job: Job) -> list[str]:
    """Command line of a sampler process for `job`."""
    return [sys.executable, "-m", "harness.power.sampler", msgspec.json.encode(job).decode()]


def describe(job: Job, place: Place = HERE) -> Header:
    """All GPUs of a vendor as they are now, or what is beside them, asked in a process of its own.

    Raises:
        NoMeter: why they can't be read, and the remedy.
    """
    command = [*place.start, *command_line(job)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=DESCRIBE_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        limit = f"{job.vendor}: the library did not answer in {DESCRIBE_LIMIT_S:.0f} s"
        raise NoMeter(place.prefixed(limit)) from error
    header = parse_line(ended.stdout)
    if not isinstance(header, Header):
        errors = ended.stderr.decode(errors="replace").strip().splitlines()
        why = errors[-1] if errors else f"{job.vendor}: its library ended the process ({ended.returncode})"
        raise NoMeter(place.prefixed(why))
    return header


async def end_process(process: "subprocess.Popen[bytes]") -> None:
    """End a process that ends with its standard input, by force if need be."""
    assert process.stdin is not None, "made with a pipe"
    process.stdin.close()
    try:
        await asyncio.to_thread(process.wait, STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.wait)


class SamplerProcess:
    """A sampler at work, or the reason why there is none.

    Attributes:
        failure: why there are no readings, or none to the end.
    """

    def __init__(self, job: Job, stream: Path, place: Place = HERE, failure: str | None = None) -> None:
        self.failure = failure
        self._job = job
        self._stream = stream
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, gpus: tuple[str, ...], log: Path) -> None:
        """Begin to read these GPUs, and wait for the first line."""
        remote = bool(self._place.start)
        job = msgspec.structs.replace(self._job, gpus=gpus, path=STDOUT if remote else str(self._stream))
        with log.open("ab") as errors, self._stream.open("ab") as stream:
            # A session of its own: Ctrl-C is for us, and the sampler ends with its standard input. From another node
            # readings come by its standard output: a shared file system shows what is written there too late.
            self._process = subprocess.Popen(  # noqa: ASYNC220 - must outlive the loop's own cleaning up
                [*self._place.start, *command_line(job)],
                stdin=subprocess.PIPE,
                stdout=stream if remote else errors,
                stderr=errors,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_LIMIT_S
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._stream.stat().st_size:
                return
            await asyncio.sleep(_POLL_S)
        await self.stop()
        self._fail(f"the sampler wrote nothing: see {log.name}")

    @property
    def stream(self) -> Path:
        """Where the readings go."""
        return self._stream

    @property
    def reads(self) -> bool:
        """Whether there are readings, at least of the past."""
        return self._process is not None

    async def stop(self) -> None:
        """End the sampler, by force if need be."""
        if self._process is not None:
            await end_process(self._process)
            self._process = None

    async def keep(self, target: Path, start_ns: int, end_ns: int) -> None:
        """Copy the readings between two moments of the node's own clock, the last of which has passed.

        A last one that is late is waited for, as long as a sampler may be silent, and copied too.
        """
        if self._process is None:
            return
        end_ns = await self._read_to(end_ns)
        failure = self._why_not_reading()
        await asyncio.to_thread(cut_stream, self._stream, target, start_ns, end_ns)
        if failure is not None:
            self._fail(failure)

    def _fail(self, why: str) -> None:
        if self.failure is None:
            logger.warning("%s: %s: no power figures from here on", self._stream, self._place.prefixed(why))
            self.failure = self._place.prefixed(why)

    async def _read_to(self, end_ns: int) -> int:
        """Wait for the reading that was due last before a moment; the moment, or the later one when it was taken."""
        due_ns, deadline = end_ns - int(NS_PER_S / self._job.hz), time.monotonic() + SILENCE_S
        while (read_ns := self._first_since(due_ns)) is None:
            if self._why_not_reading() is not None or time.monotonic() > deadline:
                return end_ns
            await asyncio.sleep(_POLL_S)
        return max(end_ns, read_ns)

    def _first_since(self, moment_ns: int) -> int | None:
        """When the first reading of the last ones was taken that is not before a moment; None where there is none."""
        with self._stream.open("rb") as lines:
            lines.seek(max(0, self._stream.stat().st_size - _END_BYTES))
            readings = [one.t_ns for text in lines if isinstance(one := parse_line(text), PowerSample)]
        return next((t_ns for t_ns in readings if t_ns >= moment_ns), None)

    def _why_not_reading(self) -> str | None:
        """How the process ended or since when it has been silent; None where it reads."""
        assert self._process is not None, "looked at while it reads"
        if (code := self._process.poll()) is not None:
            return f"the sampler ended with {code}"
        silence_s = time.time() - self._stream.stat().st_mtime
        return f"the sampler has been silent for {silence_s:.0f} s" if silence_s > SILENCE_S else None
