"""Kill all processes of this machine that were started with a variable, and say their numbers.

    python -m harness.launch.tidy NAME VALUE

For the nodes of a job that its own process is not on.
"""

import asyncio
import sys

from harness.launch import kill
from harness.launch.processes import with_variable


async def killed(name: str, value: str) -> tuple[int, ...]:
    """Kill them; their numbers."""
    found = with_variable(name, value)
    await kill(found)
    return found


def main() -> int:
    """Do it once."""
    name, value = sys.argv[1:]
    print(*asyncio.run(killed(name, value)))  # noqa: T201 - to whoever started it
    return 0


if __name__ == "__main__":
    sys.exit(main())
