"""Between two points: a server must have let go of the last one before the next begins."""

import asyncio

from harness.errors import ServerDied
from harness.server import Server

LIMIT_S = 60.0
LOOK_S = 0.2


async def settle(server: Server, *, used: bool = False) -> None:
    """Wait until the server has let go of the last point's requests: they would run beside the next one's.

    A prefix cache that is on is emptied, so that every point starts alike.

    Args:
        server: as it was started.
        used: whether a point was measured on it and another is to come, whose prompts are the same.

    Raises:
        ServerDied: it does not let go of them, or of their prompts: no point can be measured on it any more.
    """
    deadline = asyncio.get_running_loop().time() + LIMIT_S
    while not server.died.is_set():
        counters = await server.counters()
        if not counters.running and not counters.waiting:
            break
        if asyncio.get_running_loop().time() >= deadline:
            raise ServerDied(
                f"{server.endpoint.base_url}: {counters.running:g} requests run and {counters.waiting or 0:g} wait "
                f"{LIMIT_S:.0f} s after the last point ended; a new server is started for what is left"
            )
        await asyncio.sleep(LOOK_S)
    if not await server.reset_prefix_cache() and used and (hits := (await server.counters()).prefix_cache_hits):
        raise ServerDied(
            f"{server.endpoint.base_url}: its prefix cache, which has served {hits:.0f} prompt tokens, can't be "
            "emptied; a new server is started for what is left"
        )
