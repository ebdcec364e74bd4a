"""When a server may be trusted to be the one that was asked for.

/health alone proves nothing: a server that another run left behind answers it too. So the process that listens must be
ours, the model's name the one made for this launch, and a completion must have exactly the tokens asked for.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from harness.engines import Endpoint, Engine
from harness.errors import ServerNotReady
from harness.spec import Workload

PROBE = Workload(name="probe", isl=1, osl=8)
PROBE_TEXT = "The quick brown fox jumps over the lazy dog."
LOOK_S = 0.5
HEALTH_LIMIT_S = 30.0  # SGLang's /health generates a token


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server that may be getting ready.

    Attributes:
        is_ours: whether the process that listens belongs to this launch.
    """

    engine: Engine
    endpoint: Endpoint
    http: aiohttp.ClientSession
    is_ours: Callable[[], bool] = lambda: True


async def until_ready(
    candidate: Candidate, *, limit_s: float, died: asyncio.Event, on_wait: Callable[[float], None]
) -> float:
    """Wait until a server is ready; seconds from the call.

    Args:
        candidate: the server.
        limit_s: longest acceptable wait.
        died: ends the wait.
        on_wait: told at every look how long it has been, seconds.

    Raises:
        ServerNotReady: it did not get ready in time, died, or is another server than was asked for.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    obstacle: str | None = "not asked yet"
    try:
        async with asyncio.timeout(limit_s):
            while obstacle := await _obstacle(candidate):
                on_wait(loop.time() - start)
                if await _is_set_within(died, LOOK_S):
                    raise ServerNotReady("it ended before it was ready")
            await _complete(candidate)
    except TimeoutError:
        raise ServerNotReady(
            f"not ready in {limit_s:.0f} s ({obstacle or 'the first completion has not ended'})"
        ) from None
    return loop.time() - start


async def _obstacle(candidate: Candidate) -> str | None:
    """What is still in the way; None when the server can be asked for a completion."""
    endpoint, http = candidate.endpoint, candidate.http
    limit = aiohttp.ClientTimeout(total=HEALTH_LIMIT_S)
    try:
        async with http.get(f"{endpoint.base_url}/health", timeout=limit) as response:
            if response.status != HTTPStatus.OK:
                return f"/health answers {response.status}"
        if not candidate.is_ours():
            raise ServerNotReady(f"{endpoint.base_url} is answered by a process of somebody else: try again")
        names = await served_models(http, endpoint)
    except (aiohttp.ClientError, TimeoutError) as error:
        return str(error) or type(error).__name__
    return None if endpoint.model in names else f"it serves {', '.join(names) or 'nothing'}, not {endpoint.model}"


async def served_models(http: aiohttp.ClientSession, endpoint: Endpoint) -> dict[str, str]:
    """Names under which a server serves its model, each with what it was loaded from as far as the server tells."""
    async with http.get(f"{endpoint.base_url}/v1/models", headers=endpoint.headers, raise_for_status=True) as response:
        models = (await response.json())["data"]
    return {model["id"]: str(model.get("root") or model["id"]) for model in models}


async def _complete(candidate: Candidate) -> None:
    """Ask for one completion as the load will, and count its tokens."""
    engine, endpoint, http = candidate.engine, candidate.endpoint, candidate.http
    try:
        prompt = await engine.tokenize(http, endpoint, PROBE_TEXT, chat=False)
        body = engine.request_body(endpoint, prompt, PROBE.osl, PROBE)
        url = f"{endpoint.base_url}{engine.request_path()}"
        async with http.post(url, json=body, headers=endpoint.headers) as response:
            said = await response.text()
    except aiohttp.ClientError as error:
        raise ServerNotReady(f"its first completion failed: {error}") from error
    usages = [event["usage"] for event in _events(said) if event.get("usage")]
    if response.status != HTTPStatus.OK or not usages:
        raise ServerNotReady(f"its first completion failed: HTTP {response.status}, {said[:500]}")
    counted = (usages[-1]["prompt_tokens"], usages[-1]["completion_tokens"])
    if counted != (len(prompt), PROBE.osl):
        raise ServerNotReady(
            f"its first completion has {counted[0]} + {counted[1]} tokens, asked were {len(prompt)} + {PROBE.osl}"
        )


def _events(stream: str) -> Iterator[dict[str, dict[str, int]]]:
    for line in stream.splitlines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


async def _is_set_within(event: asyncio.Event, limit_s: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), limit_s)
    except TimeoutError:
        return False
