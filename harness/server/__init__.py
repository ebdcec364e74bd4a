"""`async with serve(run, attempt) as server`: launch, wait until ready, watch, stop all of it, whatever happens.

Knows no engine's flags; asks its adapter. Before any load is sent it writes what the server was started with and what
it says of itself. A server that somebody else started is attached to, and left as it was.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import msgspec

from harness import launch, provenance
from harness.atomic_files import write_json
from harness.engines import Endpoint, Engine, engine_named
from harness.errors import EngineMissing, ServerDied, ServerError, ServerNotReady
from harness.launch import processes
from harness.launch.wrapping import Wrapping
from harness.paths import expand
from harness.provenance import Provenance
from harness.provenance.disclosure import Placeholders
from harness.records import Configuration, EngineCounters
from harness.rundir import AttemptDir
from harness.server.command import KEY_VARIABLE, command, commands, record
from harness.server.process import last_words, running
from harness.server.ready import Candidate, served_models, until_ready
from harness.spec import Run

__all__ = ["KEY_VARIABLE", "Server", "serve"]

logger = logging.getLogger(__name__)

ATTACH_LIMIT_S = 30.0
REQUEST_LIMIT_S = 300.0
DEATH_LIMIT_S = 10.0  # how long a server may take to end after a request failed for that reason

OnWait = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is ready.

    Attributes:
        ready_s: from start to ready; for one that ran already, from the first look.
        died: set as soon as its process ends; never for one that was attached (`engine.endpoint`).
        log: what it says; None for one that was attached.
    """

    run: Run
    engine: Engine
    endpoint: Endpoint
    http: aiohttp.ClientSession
    version: str
    configuration: Configuration
    stamps: tuple[str, ...]
    ready_s: float
    died: asyncio.Event
    log: Path | None

    async def tokenize(self, text: str, *, chat: bool) -> list[int]:
        """Token ids of `text`, or of one user turn holding it in the model's chat template."""
        return await self.engine.tokenize(self.http, self.endpoint, text, chat=chat)

    async def counters(self) -> EngineCounters:
        """One reading of the server's counters."""
        return await self.engine.counters(self.http, self.endpoint)

    async def reset_prefix_cache(self) -> bool:
        """Empty the prefix cache; False when the server has no way to, or is using it."""
        return await self.engine.reset_prefix_cache(self.http, self.endpoint)

    def death(self) -> ServerDied:
        """What to raise once `died` is set; it carries the log's last lines."""
        return ServerDied(f"{self.run.key}: the server ended while it was needed{last_words(self.log, self.endpoint)}")


def serve(
    run: Run, attempt: AttemptDir, *, on_wait: OnWait = lambda _: None, wrapping: Wrapping | None = None
) -> AbstractAsyncContextManager[Server]:
    """A server for a Run: started here, or attached to where the Run names an endpoint.

    Args:
        run: what to serve.
        attempt: where its log, command line, provenance and configuration are written.
        on_wait: told every half second how long the server has been starting, seconds.
        wrapping: what goes around the command; nothing where it is None.

    Raises:
        EngineMissing: the program is not there.
        ServerNotReady: it did not get ready in the model's `ready_limit_s`, or is not what it should be.
        ServerDied: it ended while the block needed it.
        ServerError: it failed a request, or some of its processes can't be killed.
    """
    attempt.path.mkdir(parents=True, exist_ok=True)
    if run.engine.endpoint is not None:
        return _attached(run, attempt, run.engine.endpoint.rstrip("/"), on_wait)
    return _launched(run, attempt, wrapping, on_wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt at having a server: what is known of it before it answers.

    Attributes:
        known: the machine, before the server ran.
        log: None for a server that was attached (`engine.endpoint`).
    """

    run: Run
    engine: Engine
    files: AttemptDir
    stamps: tuple[str, ...]
    known: Provenance
    died: asyncio.Event
    log: Path | None

    def command_for(self, endpoint: Endpoint, port: int, wrapping: Wrapping) -> tuple[launch.Command, Placeholders]:
        """The command to start, recorded in argv.json; and what files hold in place of what each launch has anew."""
        places = Placeholders.of(self.run, port=port, key=endpoint.api_key, name=endpoint.model)
        places = replace(places, parts={**places.parts, **wrapping.hidden})
        inner = commands(self.run, self.engine, endpoint, port, wrapping.nodes)
        asked = command(self.run, self.engine, endpoint, port, inner, wrapping)
        write_json(self.files.argv, record(self.run, self.engine, asked, inner, self.stamps, places))
        return asked, places

    async def wait_and_describe(
        self, candidate: Candidate, places: Placeholders, limit_s: float, on_wait: OnWait
    ) -> Server:
        """Wait until the server is ready, ask what it is, write that down."""
        endpoint, http = candidate.endpoint, candidate.http
        try:
            ready_s = await until_ready(candidate, limit_s=limit_s, died=self.died, on_wait=on_wait)
        except ServerNotReady as error:
            raise ServerNotReady(f"{self.run.key}: {error}{last_words(self.log, endpoint)}") from None
        async with self.errors_named(endpoint):
            version = await self.engine.version(http, endpoint)
            reported = await self.engine.configuration(http, endpoint, self.run)
        known = await asyncio.to_thread(provenance.with_server, self.known, self.run, version)
        write_json(self.files.provenance, places.hide(msgspec.to_builtins(known)))
        configuration = _with_machine(reported, known, places)
        write_json(self.files.configuration, msgspec.to_builtins(configuration))
        for mismatch in configuration.mismatches:
            logger.warning("%s: %s", self.run.key, mismatch)
        return Server(
            run=self.run,
            engine=self.engine,
            endpoint=endpoint,
            http=http,
            version=version,
            configuration=configuration,
            stamps=self.stamps,
            ready_s=ready_s,
            died=self.died,
            log=self.log,
        )

    @asynccontextmanager
    async def errors_named(self, endpoint: Endpoint) -> AsyncIterator[None]:
        """Tell requests that fail inside the block as the server's failure, or its death where that was the cause."""
        try:
            yield
        except (aiohttp.ClientError, TimeoutError) as error:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.died.wait(), DEATH_LIMIT_S if self.log else 0)
            tail = last_words(self.log, endpoint)
            if self.died.is_set():
                raise ServerDied(f"{self.run.key}: the server ended while it was needed{tail}") from error
            raise ServerError(
                f"{self.run.key}: a request to {endpoint.base_url} failed: {_words(error, endpoint)}{tail}"
            ) from error


@asynccontextmanager
async def _launched(run: Run, files: AttemptDir, wrapping: Wrapping | None, on_wait: OnWait) -> AsyncIterator[Server]:
    engine, died = engine_named(run.engine.name), asyncio.Event()
    if run.engine.image is not None and wrapping is None:
        raise EngineMissing(f"engine.image: nothing here starts {run.engine.image}: submit the sweep to a cluster")
    wrapping = wrapping or Wrapping()
    attempt = _Attempt(
        run=run,
        engine=engine,
        files=files,
        stamps=engine.stamps(run),
        known=await asyncio.to_thread(provenance.collect, run, engine.executable(run)[0]),
        died=died,
        log=files.log,
    )
    with launch.reserve_port() as held:
        port: int = held.getsockname()[1]
        endpoint = _endpoint(run, port)
        asked, places = attempt.command_for(endpoint, port, wrapping)
    async with running(asked, files.log, died) as pid, _session() as http:
        endpoint = replace(endpoint, pid=pid)
        # Where the listener is in another session or on another node, the model's name is still ours alone.
        candidate = Candidate(
            engine, endpoint, http, is_ours=lambda: wrapping.processes_hidden or processes.listens(pid, port)
        )
        server = await attempt.wait_and_describe(candidate, places, run.model.ready_limit_s, on_wait)
        async with attempt.errors_named(endpoint):
            yield server


@asynccontextmanager
async def _attached(run: Run, files: AttemptDir, url: str, on_wait: OnWait) -> AsyncIterator[Server]:
    engine, key = engine_named(run.engine.name), os.environ.get(KEY_VARIABLE)
    attempt = _Attempt(
        run=run,
        engine=engine,
        files=files,
        stamps=(*engine.stamps(run), "attached"),
        known=await asyncio.to_thread(provenance.collect, run, None),
        died=asyncio.Event(),
        log=None,
    )
    unnamed = Endpoint(base_url=url, model="", api_key=key)
    async with _session() as http, attempt.errors_named(unnamed):
        endpoint = replace(unnamed, model=_the_model(run, await served_models(http, unnamed)))
        places = Placeholders.of(run, key=key)
        write_json(files.argv, {"argv": [], "env": {}, "stamps": list(attempt.stamps)})
        yield await attempt.wait_and_describe(Candidate(engine, endpoint, http), places, ATTACH_LIMIT_S, on_wait)


def _endpoint(run: Run, port: int) -> Endpoint:
    """Where a server of ours will listen, under a name and with a key that no other launch has."""
    return Endpoint(
        base_url=f"http://{launch.HOST}:{port}",
        model=f"{run.model.name}-{secrets.token_hex(4)}",
        api_key=secrets.token_urlsafe(24),
    )


def _words(error: Exception, endpoint: Endpoint) -> str:
    """An error without the key: the whole of a client's error holds the request's headers."""
    text = f"{type(error).__name__}: {error}"
    return text.replace(endpoint.api_key, "<key>") if endpoint.api_key else text


def _the_model(run: Run, served: Mapping[str, str]) -> str:
    """The name of the one model of a foreign server that is the Run's, by its own name or by where it came from."""
    wanted = {run.model.name, *(_last(place) for place in (run.model.weights, expand(run.model.weights)))}
    meant = [name for name, root in served.items() if wanted & {name, _last(name), _last(root)}]
    if len(meant) != 1:
        raise ServerNotReady(
            f"{run.engine.endpoint} serves {', '.join(served) or 'nothing'}; "
            f"{'several are' if meant else 'none is'} {run.model.weights}"
        )
    return meant[0]


def _last(place: str) -> str:
    """`Qwen3-8B` of a hub id or a folder."""
    return place.rstrip("/").rpartition("/")[2]


def _with_machine(reported: Configuration, known: Provenance, places: Placeholders) -> Configuration:
    """What the server says with what is known of its machine, fit to be written down."""
    whole = msgspec.structs.replace(
        reported,
        must_equal={**reported.must_equal, **known.must_equal()},
        circumstance={**reported.circumstance, **known.circumstance()},
    )
    return msgspec.convert(places.hide(msgspec.to_builtins(whole)), Configuration)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_LIMIT_S))
