"""The engines that there are, their versions and what their PyTorch was built for; and a cluster to submit to."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.doctor.finding import Examination, Finding, blocks, good, note, warning
from harness.engines import ENGINES, engine_named
from harness.errors import EngineMissing, UserError
from harness.paths import SET_UP_BY
from harness.provenance import packages_of
from harness.spec import Run, Vendor

AREA = "engines"

BUILT_FOR = {Vendor.NVIDIA: ("+cpu", "+rocm"), Vendor.AMD: ("+cpu", "+cu"), Vendor.CPU: ()}
"""Marks of a PyTorch that can't use a vendor's GPUs. Source: https://download.pytorch.org/whl/ (local versions)."""

SLURM_LIMIT_S = 10.0
UNCONFIGURED = "set SLURM_CONF to the cluster's slurm.conf, or leave it: only submitting needs Slurm"


def engines(examination: Examination) -> Iterator[Finding]:
    """What the sweep will start; without one, what there is."""
    if examination.sweep is None:
        yield from _there()
    for run in _one_of_each(examination.runs):
        yield from _asked(run)
    yield _slurm()


def _there() -> Iterator[Finding]:
    for name in ENGINES:
        if name == "emulator":
            yield _emulator()
            continue
        programs = dict.fromkeys(filter(None, (shutil.which(name), *_set_up(name))))
        if not programs:
            yield note(AREA, name, "not on PATH; a sweep names its virtual environment as engine.venv")
        for program in programs:
            yield good(AREA, name, _versions(name, Path(program)))


def _emulator() -> Finding:
    return good(AREA, "emulator", "comes with mtpbench")


def _set_up(name: str) -> Iterator[str]:
    """The engine in the environments that our own scripts have made."""
    for variable in SET_UP_BY:
        program = Path(os.environ.get(variable, "")) / "bin" / name
        if program.is_file():
            yield str(program)


def _one_of_each(runs: Sequence[Run]) -> Sequence[Run]:
    return list({run.engine.model_dump_json(): run for run in runs}.values())


def _asked(run: Run) -> Iterator[Finding]:
    engine = run.engine
    if engine.image is not None:
        yield note(AREA, engine.name, f"in the image {engine.image}, which is not looked into")
        return
    try:
        program = Path(engine_named(engine.name).executable(run)[0])
    except (EngineMissing, UserError) as error:
        says, _, remedy = str(error).rpartition(": ")
        yield blocks(AREA, engine.name, says or str(error), remedy)
        return
    if engine.name == "emulator":
        yield _emulator()
        return
    packages = packages_of(program)
    if packages and not {engine.name, f"{engine.name}-cpu"} & packages.keys():
        says, remedy = f"not installed beside {program}", f"install {engine.name} into it, or name another environment"
        yield blocks(AREA, engine.name, says, remedy)
        return
    yield good(AREA, engine.name, _versions(engine.name, program))
    yield from _misfits(run, packages)


def _misfits(run: Run, packages: dict[str, str]) -> Iterator[Finding]:
    engine, torch = run.engine, packages.get("torch", "")
    version = packages.get(engine.name) or packages.get(f"{engine.name}-cpu")
    if None not in (engine.version, version) and version != engine.version:
        yield warning(
            AREA,
            engine.name,
            f"{version} is installed, the sweep asks for {engine.version}",
            f"install {engine.name}=={engine.version}, or correct engine.version",
        )
    if any(mark in torch for mark in BUILT_FOR[run.gpu.vendor]):
        yield blocks(
            AREA,
            "PyTorch",
            f"{torch} can't use the GPUs of {run.gpu.vendor.value}",
            f"install {engine.name} for {run.gpu.vendor.value} into that environment, or name another",
        )


def _versions(name: str, program: Path) -> str:
    packages = packages_of(program)
    shown = [f"{package} {packages[package]}" for package in (name, "torch", "python") if package in packages]
    return f"{', '.join(shown) or 'of unknown version'}: {program}"


def _slurm() -> Finding:
    program = shutil.which("sinfo")
    if program is None:
        return note(AREA, "Slurm", "not here; it is needed only to submit a sweep to a cluster")
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=SLURM_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return warning(AREA, "Slurm", f"{program} does not answer: {error}", UNCONFIGURED)
    if ran.returncode:
        reply = next(iter(ran.stderr.strip().splitlines()), f"ended with {ran.returncode}")
        return warning(AREA, "Slurm", f"{program} does not answer: {reply}", UNCONFIGURED)
    job = os.environ.get("SLURM_JOB_ID")
    return good(AREA, "Slurm", ran.stdout.strip() + (f", inside job {job}" if job else ""))
