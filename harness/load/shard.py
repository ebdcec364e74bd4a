"""A share of one point's load, held by this process.

A share is every n-th slot, or in open loop every n-th arrival, and every n-th request of the prompt stream, so that
shares together are the whole load, each request once. Knows nothing of other processes: `workers` starts several,
`measure` holds the whole load itself.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from harness.arrivals import most_in_flight, schedule_s
from harness.engines.base import Endpoint, Engine
from harness.load.aiohttp_client import AiohttpClient
from harness.load.client import Client, kind_for
from harness.load.health import Heartbeat
from harness.load.jobs import ScheduledJobs, StreamJobs
from harness.load.kernel_client import KernelClient
from harness.load.pool import LoadProgress, Pool, Stop
from harness.load.quiet import low_latency_mode
from harness.load.recording import Recording
from harness.load.schedule import Schedule
from harness.load.users import Users
from harness.prompts import PromptStream
from harness.records import ClientHealth, RequestSample
from harness.spec import ClientKind, Point


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareSpec:
    """Which share of a point's load a process holds, and how.

    Attributes:
        engine: builds the body of a request.
        endpoint: the server.
        point: load and workload, of all shares together.
        stream: the prompts.
        eos_ids: token ids that end a text.
        drain: let requests in flight run out after the stop.
        stall_s: longest silence within one request.
        client: the transport that is preferred.
        share, shares: takes slots, arrivals and requests `share`, `share + shares`, ...
    """

    engine: Engine
    endpoint: Endpoint
    point: Point
    stream: PromptStream
    eos_ids: frozenset[int]
    drain: bool
    stall_s: float
    client: ClientKind
    share: int = 0
    shares: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareResult:
    """Samples and client health of one share of the load.

    Attributes:
        finished: every request sent, in order of their end.
        health: how well the client kept up.
        started_ns, stopped_ns, aborted: as in `Measurement`.
    """

    finished: Sequence[RequestSample] = field(repr=False)
    health: ClientHealth
    started_ns: int
    stopped_ns: int
    aborted: str | None


async def run_share(
    spec: ShareSpec,
    stop: Stop,
    *,
    died: asyncio.Event | None,
    on_progress: Callable[[LoadProgress], None] | None,
    epoch_ns: int | None = None,
) -> ShareResult:
    """Hold a share in flight until the stop rule says so; the arguments are those of `Pool.run` and `Schedule`."""
    heart = Heartbeat()
    async with _transport(spec) as transport:
        pool = _pool(spec, transport, epoch_ns)
        async with heart:
            with low_latency_mode() as realtime:
                aborted = await pool.run(stop, died=died, drain=spec.drain, on_progress=on_progress)
    return ShareResult(
        finished=pool.finished,
        health=heart.health(realtime=realtime, reads=transport.reads()),
        started_ns=pool.started_ns,
        stopped_ns=pool.stopped_ns,
        aborted=aborted,
    )


def _pool(spec: ShareSpec, transport: Client, epoch_ns: int | None) -> Pool:
    point, build_body = spec.point, partial(_body, spec)
    record = partial(Recording, eos_ids=spec.eos_ids, secret=spec.endpoint.api_key)
    if point.concurrency is None:
        jobs = ScheduledJobs(spec.stream, build_body, spec.share, spec.shares)
        due_s = schedule_s(point, spec.share, spec.shares)
        most = math.ceil(most_in_flight(point.run) / spec.shares)
        return Schedule(transport, jobs, due_s, record, most=most, epoch_ns=epoch_ns)
    slots = range(spec.share, point.concurrency, spec.shares)
    return Users(transport, StreamJobs(spec.stream, build_body, point.concurrency, slots), slots, record)


def _transport(spec: ShareSpec) -> Client:
    endpoint = spec.endpoint
    url = endpoint.base_url + spec.engine.request_path()
    if kind_for(url, spec.client) == "kernel":
        return KernelClient(url, endpoint.headers, stall_s=spec.stall_s)
    return AiohttpClient(url, endpoint.headers, stall_s=spec.stall_s)


def _body(spec: ShareSpec, ids: Sequence[int], osl: int) -> dict[str, object]:
    return spec.engine.request_body(spec.endpoint, ids, osl, spec.point.workload)
