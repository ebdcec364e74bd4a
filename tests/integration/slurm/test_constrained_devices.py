"""Two jobs on one node, each shown its own GPUs alone and told the numbers that it finds them by."""

import os
from pathlib import Path

import pytest

from harness.atomic_files import read_json

from .conftest import Submittable, slurm

DEVICES = Path("/sys/fs/cgroup/devices")

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        not os.access(DEVICES, os.W_OK), reason=f"Slurm 22.05 constrains devices by {DEVICES}, which is not ours here"
    ),
]

HALF = {
    "tp": 4,
    "mtp": "[off]",
    "window_s": 11,
    "args": ', "--speed", "2"',
    "engine": ", env: {FAKE_NVML_ON: job}",
    "more": ", exclusive: false, extra: [--cpus-per-task=8]",
}


@pytest.fixture(scope="module")
def halves(fake_nvml, tmp_path_factory):
    """Two sweeps, each on four of a node's eight GPUs, of which the later ones draw more."""
    folder = tmp_path_factory.mktemp("constrained") / "b"
    with (
        slurm(folder, fleet="h100:1:8:nvidia", constrain="1"),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
        patch.setenv("FAKE_NVML_DEVICES", str(folder / "dev" / "nvidia"))
        patch.setenv("FAKE_NVML_TRACE", "3600:400")
        patch.setenv("FAKE_NVML_SKEW", "0.1")
        made = [Submittable(folder=tmp_path_factory.mktemp(f"half-{half}"), **HALF) for half in (0, 1)]
        for _ in range(3):
            for one in made:
                one.submit(power_required=True)
            spoilt = [point for one in made for point in one.finished().spoilt()]
            if not spoilt:
                break
            for point in spoilt:
                point.reset()
        yield made


def metered(one: Submittable) -> tuple[list[int], dict]:
    """Places of the GPUs that were metered, by the ends of their UUIDs, and the environment of their server."""
    [point] = one.files.results.done()
    [*_, attempt] = [attempt for run in one.files.results.runs() for attempt in run.attempts()]
    metering = read_json(point.point)["measured"]["metering"]
    assert metering["asked"] == metering["used"], metering
    return [int(gpu[-3:]) for gpu in metering["asked"]], read_json(attempt.argv)["env"]


def test_gpus_are_metered_by_what_they_are_and_not_by_their_numbers(halves):
    (first, env), (second, other) = map(metered, halves)

    assert "0,1,2,3" == env["CUDA_VISIBLE_DEVICES"] == other["CUDA_VISIBLE_DEVICES"], "as each job's own view counts"
    assert [[0, 1, 2, 3], [4, 5, 6, 7]] == sorted([first, second])


def test_power_is_that_of_the_job_s_own_gpus(halves):
    for one in halves:
        gpus, _ = metered(one)
        [row] = one.rows()

        assert 400 * (1 + 0.1 * sum(gpus) / 4) == pytest.approx(row["power_w_gpu"], rel=0.02), row["invalid"]
