"""A cluster that runs Slurm: how a site wants to be asked for nodes of each GPU, and what a server runs in there."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.spec.base import Name, Positive, Sequence, Spec, Text

Words = Annotated[tuple[Text, ...], Sequence]

_ELSEWHERE = re.compile(r"-M|--cl\w*(=|$)")
"""`--clusters`, also cut short."""

_NAMED = re.compile(r"-J|--job-n\w*(=|$)")


def _findable(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words of sbatch; none that would keep squeue from finding the job, which would be submitted again."""
    for word in words:
        if _ELSEWHERE.match(word):
            raise ValueError(
                f"{word}: a job on another cluster can't be followed; submit where SLURM_CONF is that cluster's"
            )
        if _NAMED.match(word):
            raise ValueError(f"{word}: jobs are found by the names that mtpbench gives them; leave it out")
    return words


SbatchWords = Annotated[Words, AfterValidator(_findable)]


class Container(Spec):
    """What the image of a sweep's engine is started with.

    Attributes:
        mounts: folders that the server sees, `from` or `from:to`.
        args: further words, in the runtime's own language.
    """

    runtime: Literal["pyxis", "apptainer", "docker"]
    mounts: Words = ()
    args: Words = ()


class GpuNodes(Spec):
    """The nodes that have one kind of GPU.

    Attributes:
        ask: how GPUs are asked for; sites take one of them or the other, or give whole nodes only (`none`).
        type: the GPU's name in Slurm; None asks for GPUs of any name.
        per_node: GPUs of a node; None is what the GPU's own file says.
        exclusive: whether a job has its nodes to itself; neighbours disturb a measurement.
        constraint, account, qos: as sbatch takes them.
        time_limit_min: the longest that a job may ask for.
        exclude: nodes that are never to be used.
        extra: further options of sbatch.
        container: what starts the engine's image; None where engines are installed on the nodes.
        interface: network interface whose address nodes know each other by; None is Slurm's NodeAddr.
    """

    partition: Text | None = None
    ask: Literal["gres", "gpus-per-node", "none"] = "gres"
    type: Text | None = None
    per_node: Positive | None = None
    exclusive: bool = True
    constraint: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    time_limit_min: Positive | None = None
    exclude: Words = ()
    extra: SbatchWords = ()
    container: Container | None = None
    interface: Text | None = None


class AnswerJob(Spec):
    """The job after the last element, which scores and compares: no GPU, a few minutes."""

    partition: Text | None = None
    account: Text | None = None
    qos: Text | None = None
    time_min: Positive = 30
    extra: SbatchWords = ()


class Cluster(Spec):
    """One site.

    Attributes:
        gpus: by the name of the file in configs/gpus.
        at_once: elements of one array that may run at a time; None leaves it to Slurm.
        requeues: how often an element may be put back in the queue before somebody should look.
    """

    name: Name
    label: Text
    gpus: Annotated[Mapping[str, GpuNodes], Field(min_length=1)]
    answer: AnswerJob = AnswerJob()
    at_once: Positive | None = None
    requeues: Annotated[int, Field(ge=0)] = 20
    source: Text
