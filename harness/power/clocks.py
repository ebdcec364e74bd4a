"""How far another node's CLOCK_MONOTONIC is ahead of ours: asked over and over, the quickest answer counts.

Each node's clock counts from its own boot. An answer was read at some moment between question and arrival, so that
half of that time is the most that the difference may be off by (Cristian, Distributed Computing 3, 1989).
"""

import asyncio
import select
import subprocess
import sys
import time
from collections.abc import Sequence

from harness.power.records import OtherNode, Tick
from harness.power.sampler_process import Place, end_process

READINGS = 20
FIRST_LIMIT_S = 30.0
LIMIT_S = 5.0


class NodeClock:
    """Another node's clock, read by a process there."""

    def __init__(self, start: Sequence[str]) -> None:
        """Begin.

        Args:
            start: words that start a command there, its standard streams here.
        """
        command = [*start, sys.executable, "-m", "harness.power.clock_reporter"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        self._limit_s = FIRST_LIMIT_S

    async def tick(self) -> Tick | None:
        """How far it is ahead now; None where it does not answer."""
        return await asyncio.to_thread(self._quickest)

    async def stop(self) -> None:
        """End the process, by force if need be."""
        await end_process(self._process)

    def _quickest(self) -> Tick | None:
        """The reading that is known best of several."""
        ticks = [tick for tick in (self._read_once() for _ in range(READINGS)) if tick is not None]
        return min(ticks, key=lambda tick: tick.error_ns, default=None)

    def _read_once(self) -> Tick | None:
        """One reading; None where the process has ended or does not answer in time."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None, "made with a pipe"
        assert stdout is not None, "made with a pipe"
        if self._process.poll() is not None:
            return None
        before_ns = time.monotonic_ns()
        try:
            stdin.write(b"\n")
            answer = stdout.readline() if select.select([stdout], [], [], self._limit_s)[0] else b""
        except OSError:  # it has just ended
            return None
        after_ns = time.monotonic_ns()
        if not answer:  # whatever it still says answers an earlier question
            self._process.kill()
            return None
        self._limit_s = LIMIT_S
        middle_ns = (before_ns + after_ns) // 2
        return Tick(at_ns=middle_ns, ahead_ns=int(answer) - middle_ns, error_ns=(after_ns - before_ns + 1) // 2)


class Clocks:
    """The clocks of a server's other nodes, and their readings so far."""

    def __init__(self) -> None:
        self._clocks: dict[str, NodeClock] = {}
        self._ticks: dict[str, list[Tick]] = {}

    def start(self, places: Sequence[Place]) -> None:
        """Start a clock reporter on each of these nodes."""
        self._clocks = {place.node: NodeClock(place.start) for place in places}
        self._ticks = {place.node: [] for place in places}

    async def read(self) -> None:
        """Read all clocks now."""
        ticks = await asyncio.gather(*(clock.tick() for clock in self._clocks.values()))
        for node, tick in zip(self._clocks, ticks, strict=True):
            self._ticks[node] += [] if tick is None else [tick]

    async def stop(self) -> None:
        """End the clock reporters."""
        await asyncio.gather(*(clock.stop() for clock in self._clocks.values()))

    def ahead_ns(self, node: str) -> int:
        """By how much a node's clock was ahead when it was last read; 0 for this node, and where it never was."""
        ticks = self._ticks.get(node)
        return ticks[-1].ahead_ns if ticks else 0

    def readings_around(self, start_ns: int) -> tuple[OtherNode, ...]:
        """Of each node the last reading before a moment, and the newest if it came after."""
        return tuple(
            OtherNode(
                node=node,
                ticks=(
                    *[tick for tick in ticks if tick.at_ns <= start_ns][-1:],
                    *[tick for tick in ticks if tick.at_ns > start_ns][-1:],
                ),
            )
            for node, ticks in self._ticks.items()
        )
