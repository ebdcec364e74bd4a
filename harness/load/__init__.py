"""Load on one server for one point, in closed or in open loop: every token stamped, counters beside it.

`measure` is the one door. Inside: `shard` holds the load in this process, or `workers` a share of it in each of
several; `jobs` encodes a prompt stream's requests, a `pool` holds them in flight (`users` a closed loop's, `schedule`
an open loop's), a `client` moves their bytes (`kernel_client` with `answer`, `http1` and `clock`; or
`aiohttp_client`), `recording` (over `sse`) says what they mean, `steady` when to stop, `poll` reads the server's
counters, `health` and `quiet` look after the client itself. Nothing here starts servers, scores or writes files.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import aiohttp

from harness.engines.base import Endpoint, Engine
from harness.load.poll import Poller
from harness.load.pool import Progress, Stop
from harness.load.shard import Order, hold
from harness.load.workers import hold_all
from harness.prompts import PromptStream
from harness.records import ClientHealth, EngineCounters, Samples, columns
from harness.spec import ClientKind, Point

__all__ = ["Measurement", "Progress", "Stop", "measure"]

STALL_S = 300.0
"""Longest silence of a server within one request; a long queue before the first token is silent too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Everything that one point's load left behind, raw.

    Attributes:
        samples: every request sent, in order of their end; those cut off by the end carry the error `cancelled`.
        counters: the server's own, from before the first request to after the last.
        health: how well the client kept up.
        started_ns, stopped_ns: first request; the moment from which on none was sent any more.
        aborted: None, or why the load was given up: `server_died`, `failed_requests`, `overloaded`.
        counter_failures: what was said by readings of the counters that failed.
    """

    samples: Samples
    counters: tuple[EngineCounters, ...]
    health: ClientHealth
    started_ns: int
    stopped_ns: int
    aborted: str | None = None
    counter_failures: tuple[str, ...] = ()


async def measure(
    engine: Engine,
    endpoint: Endpoint,
    point: Point,
    stream: PromptStream,
    stop: Stop,
    *,
    died: asyncio.Event | None = None,
    eos_ids: frozenset[int] = frozenset(),
    on_progress: Callable[[Progress], None] | None = None,
    on_reading: Callable[[EngineCounters], None] | None = None,
    drain: bool = False,
    stall_s: float = STALL_S,
    client: ClientKind = "kernel",
    shards: int = 1,
) -> Measurement:
    """Hold the point's load on a server until the stop rule says so.

    Args:
        engine: how to word a request and read the counters.
        endpoint: the server.
        point: load and workload.
        stream: the prompts; the same one for both arms.
        stop: when to stop.
        died: set when the server's process has ended; the load is then given up at once.
        eos_ids: token ids that end a text; with them the first end that was forced past is recorded.
        on_progress: called a few times a second.
        on_reading: called with each reading of the server's counters.
        drain: let requests in flight run out after the stop, so that counters run from idle to idle.
        stall_s: longest silence within one request.
        client: the transport that is preferred; an endpoint that needs TLS gets aiohttp.
        shards: processes that share the load; 1 holds them all in this one.
    """
    order = Order(
        engine=engine,
        endpoint=endpoint,
        point=point,
        stream=stream,
        eos_ids=eos_ids,
        drain=drain,
        stall_s=stall_s,
        client=client,
    )
    shares = [replace(order, share=share, shares=shards) for share in range(shards)]
    async with (
        aiohttp.ClientSession() as http,
        Poller(partial(engine.counters, http, endpoint), on_reading=on_reading) as poller,
    ):
        if shards == 1:
            held = await hold(order, stop, died=died, on_progress=on_progress)
        else:
            held = await hold_all(shares, stop, died=died, on_progress=on_progress)
    return Measurement(
        samples=columns(held.finished),
        counters=tuple(poller.readings),
        health=held.health,
        started_ns=held.started_ns,
        stopped_ns=held.stopped_ns,
        aborted=held.aborted,
        counter_failures=tuple(poller.failures),
    )
