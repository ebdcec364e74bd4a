"""`python -m harness.emulator`: one emulator server, until it is told to stop."""

import asyncio
import logging
import math
import sys

from harness.emulator.command import place, settings
from harness.emulator.nodes import Others, Place, follow
from harness.emulator.server import Server
from harness.emulator.settings import Settings
from harness.errors import UserError

logger = logging.getLogger("harness.emulator")


def main() -> None:
    """Serve, or say in one line why not."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asked = settings(sys.argv[1:])
    except UserError as error:
        sys.exit(f"emulator: {error}")
    for fault in asked.faults:
        if fault.name == "fail_start":
            logger.error("told to fail")
            sys.exit(int(fault.value))
    try:
        asyncio.run(_serve(asked, place(sys.argv[1:])))
    except UserError as error:
        sys.exit(f"emulator: {error}")


async def _serve(asked: Settings, where: Place) -> None:
    if where.count == 1:
        await Server(asked).run()
    elif where.rank:
        await follow(where)
    else:
        others = Others(where, needed=math.prod(asked.parallel[degree] for degree in ("tp", "pp", "dp")))
        await others.meet()
        await others.outlast(Server(asked).run())


if __name__ == "__main__":
    main()
