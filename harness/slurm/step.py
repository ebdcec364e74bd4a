"""A server as a step of the job: how it is started, how it is asked to end, how nothing of it is left.

A signal to srun would kill the server at once, without the time to free its GPUs; Slurm itself delivers one to the
step's processes (seen on Slurm 22.05; NVIDIA/cloudai, pull request 942, found the same).
"""

import asyncio
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import ClusterError
from harness.launch import processes
from harness.launch.tidy import killed
from harness.launch.wrapping import NodeCommand, Wrapping
from harness.power.sampler_process import HERE, Place
from harness.power.server_gpus import OtherPlace
from harness.slurm import calls
from harness.slurm.containers import StepCommand, docker_removal, in_container
from harness.slurm.job import Job
from harness.slurm.manifest import Element
from harness.slurm.network import nodes_of
from harness.spec import Container, Run

logger = logging.getLogger(__name__)

SERVER_STEP = "mtpbench-server"
POWER_STEP = "mtpbench-power"
"""Names of a job's steps: the server, and samplers on its other nodes."""

MARK = "MTPBENCH_ELEMENT"
"""Variable of every process of a server; its value names the element, which no two jobs measure at once."""


@dataclass(frozen=True, slots=True)
class ServerStep:
    """Servers of an element, each a step of its job, one after the other."""

    job: Job
    element: Element
    mark: str
    container: Container | None
    interface: str | None

    def wrapping(self, run: Run) -> Wrapping:
        """What goes around the command of a Run's server."""
        nodes = None if self.element.nodes == 1 else nodes_of(self.job.nodes, self.interface)

        def wrap(inner: Sequence[NodeCommand], names: Collection[str]) -> Sequence[str]:
            started = [self._started(run, one.argv, names) for one in inner]
            srun = (*self._srun(), *started[0].srun)
            if nodes is None:
                return (*srun, *started[0].argv)
            commands = [(one.env, there.argv) for one, there in zip(inner, started, strict=True)]
            return (*srun, "bash", "-c", rank_script(commands, self.element.gpus_per_node))

        addresses = () if nodes is None else nodes.addresses
        return Wrapping(
            wrap=wrap,
            nodes=nodes,
            env={MARK: self.mark},
            ask_to_end=self._ask_to_end,
            hidden={
                self.job.name: "<job>",
                self.mark: "<element>",
                **{address: f"<node-{rank}>" for rank, address in enumerate(addresses)},
            },
            processes_hidden=True,
        )

    def other_nodes(self) -> tuple[OtherPlace, ...]:
        """The other nodes of its servers, and what starts a command there."""
        if self.element.nodes == 1:
            return ()
        _, *others = calls.node_names(self.job.nodes)
        return tuple(OtherPlace(node=node, start=on_node(node), mark=f"{MARK}={self.mark}") for node in others)

    def processes(self) -> frozenset[int] | None:
        """Processes of the element's servers on this node; None behind Docker, whose processes are somebody else's."""
        if self.container is not None and self.container.runtime == "docker":
            return None
        return frozenset(processes.with_variable(MARK, self.mark))

    async def tidy(self, *, everywhere: bool) -> tuple[int, ...]:
        """Kill what servers of this element have left, in this try or an earlier one; what was killed.

        Args:
            everywhere: on all nodes of the job, not on this one alone.
        """
        others = self.other_nodes() if everywhere else ()
        if self.container is not None and self.container.runtime == "docker":
            await asyncio.gather(*(asyncio.to_thread(self._remove_containers, place) for place in (HERE, *others)))
        here = await killed(MARK, self.mark)
        there = await asyncio.gather(*(asyncio.to_thread(self._tidied, place) for place in others))
        return tuple(sorted({*here, *(pid for pids in there for pid in pids)}))

    def _remove_containers(self, place: Place) -> None:
        command = [*place.start, *docker_removal(self.mark)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=calls.LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            fault = str(error)
        else:
            fault = done.stderr.strip() if done.returncode else ""
        if fault:
            logger.warning("%s: %s", self.job.key, place.prefixed(f"containers that may be left there stay: {fault}"))

    def _tidied(self, place: OtherPlace) -> tuple[int, ...]:
        command = [*place.start, sys.executable, "-m", "harness.launch.tidy", MARK, self.mark]
        try:
            # As it is: srun finds its job by the job's own variables.
            return tuple(map(int, calls.run_once(*command, env=os.environ).split()))
        except ClusterError as error:  # the job is being ended, and Slurm ends what runs there
            logger.warning("%s: %s: what is left there is not known: %s", self.job.key, place.node, error)
            return ()

    def _started(self, run: Run, argv: Sequence[str], names: Collection[str]) -> StepCommand:
        if self.container is None or run.engine.image is None:
            return StepCommand((), tuple(argv))
        return in_container(
            argv,
            names,
            container=self.container,
            image=run.engine.image,
            vendor=run.gpu.vendor,
            job=self.job.name,
            mark=self.mark,
        )

    def _srun(self) -> tuple[str, ...]:
        nodes = self.element.nodes
        return (
            "srun",
            "--overlap",
            f"--nodes={nodes}",
            f"--ntasks={nodes}",
            "--ntasks-per-node=1",
            # One task would be bound to one core.
            "--cpu-bind=none",
            "--mem=0",
            "--kill-on-bad-exit=1",
            "--unbuffered",
            "--export=ALL",
            f"--job-name={SERVER_STEP}",
            *(["--label"] if nodes > 1 else []),
        )

    async def _ask_to_end(self) -> None:
        try:
            for step in await asyncio.to_thread(calls.steps_named, self.job.key, SERVER_STEP):
                await asyncio.to_thread(calls.run, "scancel", "--full", "--signal=TERM", f"{self.job.key}.{step}")
        except ClusterError as error:  # the step is gone already, or will be ended with srun
            logger.info("%s: %s", self.job.key, error)


def on_node(node: str) -> tuple[str, ...]:
    """What starts a command on one node of this job, beside the server, with its standard streams here."""
    return (
        "srun",
        "--overlap",
        f"--nodelist={node}",
        "--nodes=1",
        "--ntasks=1",
        "--ntasks-per-node=1",
        "--cpu-bind=none",
        "--mem=0",
        "--unbuffered",
        "--quiet",
        "--export=ALL",
        f"--job-name={POWER_STEP}",
    )


def rank_script(commands: Sequence[tuple[Mapping[str, str], Sequence[str]]], gpus: int) -> str:
    """A script for all nodes of a step: each runs its own command, if it has its GPUs.

    Args:
        commands: variables and command of each node, in the order of their ranks.
        gpus: of each node.
    """
    cases = [
        f"{rank}) {''.join(f'export {name}={shlex.quote(value)}; ' for name, value in env.items())}"
        f"exec {shlex.join(argv)};;"
        for rank, (env, argv) in enumerate(commands)
    ]
    return "\n".join(
        (
            "visible=${CUDA_VISIBLE_DEVICES-${ROCR_VISIBLE_DEVICES-}}",
            "there=(${visible//,/ })",
            f'if [ -n "$visible" ] && [ ${{#there[@]}} -lt {gpus} ]; then',
            f'  echo "$SLURMD_NODENAME: has GPUs $visible, {gpus} are needed" >&2; exit 1',
            "fi",
            "case $SLURM_NODEID in",
            *cases,
            "esac",
        )
    )
