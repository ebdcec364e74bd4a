"""Report CLOCK_MONOTONIC of this machine, in ns, each time that a line comes on standard input.

    python -m harness.power.clock_reporter

It ends when standard input does.
"""

import sys
import time


def main() -> int:
    """Answer every line until standard input ends."""
    for _ in sys.stdin:
        print(time.monotonic_ns(), flush=True)  # noqa: T201 - to whoever asked
    return 0


if __name__ == "__main__":
    sys.exit(main())
