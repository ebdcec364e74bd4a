"""`python -m harness.emulator`: one emulator server, until it is told to stop."""

import asyncio
import logging
import sys

from harness.emulator.command import settings
from harness.emulator.server import Server
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
    asyncio.run(Server(asked).run())


if __name__ == "__main__":
    main()
