"""Programs that stand in for Slurm's."""

import os
from pathlib import Path

import pytest

from harness import config
from harness.rundir import SweepDir
from harness.slurm import calls
from harness.slurm.files import ClusterDir
from harness.slurm.manifest import Manner, elements_of
from harness.spec import Cluster, GpuNodes

CLUSTER = Cluster(name="site", label="Site", gpus={"h100": GpuNodes()}, source="a test")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Makes a program, by name and script; each call's words are a line of the file that is returned."""
    folder = tmp_path / "bin"
    monkeypatch.setattr(calls, "PAUSES_S", ())
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        program, called = folder / name, tmp_path / f"{name}.called"
        folder.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$*" >> {called}\n{script}\n')
        program.chmod(0o755)
        return called

    return make


@pytest.fixture
def frozen(tmp_path):
    """The folder of a sweep of two launches, its elements and site written down, of which nothing has begun."""
    sweep = config.load(Path("quickstart-emulator")).model_copy(update={"launches": 2})
    files = ClusterDir(SweepDir(tmp_path / "results"))
    files.results.claim(config.dump(sweep))
    files.freeze(CLUSTER, elements_of(sweep, CLUSTER, Manner()))
    return files
