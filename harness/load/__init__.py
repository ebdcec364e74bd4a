"""Load on one server for one point, in closed or in open loop: every token stamped, counters beside it.

`measure` is the one door. Inside: `shard` holds the load in this process, or `workers` a share of it in each of
several; `jobs` encodes a prompt stream's requests, a `pool` holds them in flight (`users` a closed loop's, `schedule`
an open loop's), a `client` moves their bytes (`kernel_client` with `response_reader`, `http1` and `clock`;
or `aiohttp_client`), `recording` (over `sse`) says what they mean, `steady` when to stop, `poll` reads the server's
counters, `health` and `quiet` look after the client itself. Nothing here starts servers, scores or writes files.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import aiohttp

from harness.engines.base import Endpoint, Engine
from harness.load.poll import Poller
from harness.load.pool import LoadProgress, Stop
from harness.load.shard import ShareResult, ShareSpec, run_share
from harness.load.workers import run_in_workers
from harness.prompts import PromptStream
from harness.records import ClientHealth, EngineCounters, Samples, columns
from harness.spec import ClientKind, Point

__all__ = ["LoadProgress", "Measurement", "Stop", "measure"]

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
        counter_failures: the errors of readings of the counters that failed.
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
    on_progress: Callable[[LoadProgress], None] | None = None,
    on_reading: Callable[[EngineCounters], None] | None = None,
    drain: bool = False,
    stall_s: float = STALL_S,
    client: ClientKind = "kernel",
    shards: int = 1,
) -> Measurement:
    """Hold the point's load on a server until the stop rule says so.

    Args:
        engine: builds the body of a request and reads the counters.
        endpoint: the server.
        point: load and workload.
        stream: the prompts; the same one for both arms.
        stop: when to stop.
        died: set when the server's process has ended; the load is then given up at once.
        eos_ids: token ids that end a text; with them the first end that was forced past is recorded.
        on_progress: called a few times a second.
        on_reading: called with each reading of the server's counters.
        drain: let requests in flight run out after the stop; for tests that need counters from idle to idle.
        stall_s: longest silence within one request; only tests need another than the default.
        client: the transport that is preferred; an endpoint that needs TLS gets aiohttp.
        shards: processes that share the load; 1 holds them all in this one.
    """
    whole = ShareSpec(
        engine=engine,
        endpoint=endpoint,
        point=point,
        stream=stream,
        eos_ids=eos_ids,
        drain=drain,
        stall_s=stall_s,
        client=client,
    )
    async with (
        aiohttp.ClientSession() as http,
        Poller(partial(engine.counters, http, endpoint), on_reading=on_reading) as poller,
    ):
        if shards == 1:
            result = await run_share(whole, stop, died=died, on_progress=on_progress)
        else:
            result = await run_in_workers(_shares(whole, shards), stop, died=died, on_progress=on_progress)
    return _measurement(result, poller)


def _shares(whole: ShareSpec, shards: int) -> list[ShareSpec]:
    """The load dealt out to that many processes."""
    return [replace(whole, share=share, shares=shards) for share in range(shards)]


def _measurement(result: ShareResult, poller: Poller) -> Measurement:
    return Measurement(
        samples=columns(result.finished),
        counters=tuple(poller.readings),
        health=result.health,
        started_ns=result.started_ns,
        stopped_ns=result.stopped_ns,
        aborted=result.aborted,
        counter_failures=tuple(poller.failures),
    )
