"""Find a sampler among the machine's processes, for the tests that end it."""

from pathlib import Path

import pytest


@pytest.fixture
def sampler_of():
    """The process that writes the GPUs' stream below a folder."""

    def find(folder: Path) -> int:
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = command.read_bytes()
            except OSError:  # it ended meanwhile
                continue
            if b"harness.power.sampler" in words and bytes(folder) in words and b"power.jsonl" in words:
                return int(command.parent.name)
        raise AssertionError(f"nothing samples into {folder}")

    return find
