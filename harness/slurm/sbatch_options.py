"""Options of sbatch that a site or an element's shape decides, as words of its command line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.slurm.manifest import Element
from harness.spec import AnswerJob, Cluster, GpuNodes


def element_options(element: Element, cluster: Cluster, folder: Path) -> list[str]:
    """Options of an array of elements that have this one's shape."""
    nodes = cluster.gpus[element.gpu]
    return [
        f"--nodes={element.nodes}",
        "--ntasks-per-node=1",
        *_gpu_options(element, nodes),
        f"--time={element.time_min}",
        f"--signal=B:USR1@{element.notice_s}",
        "--requeue",
        "--open-mode=append",
        f"--chdir={folder}",
        f"--output={_literal(folder)}/slurm/%A_%a.log",
        "--export=ALL",
        *_given_options(partition=nodes.partition, constraint=nodes.constraint, account=nodes.account, qos=nodes.qos),
        *([f"--exclude={','.join(nodes.exclude)}"] if nodes.exclude else []),
        *nodes.extra,
    ]


def answer_options(answer: AnswerJob, after: Sequence[str], folder: Path) -> list[str]:
    """Options of the answer, the job that runs when all jobs of `after` have ended, however they did."""
    return [
        "--nodes=1",
        f"--time={answer.time_min}",
        *([f"--dependency=afterany:{':'.join(after)}", "--kill-on-invalid-dep=yes"] if after else []),
        "--requeue",
        "--open-mode=append",
        f"--chdir={folder}",
        f"--output={_literal(folder)}/slurm/answer-%j.log",
        "--export=ALL",
        *_given_options(partition=answer.partition, account=answer.account, qos=answer.qos),
        *answer.extra,
    ]


def array_option(tasks: Sequence[int], at_once: int | None) -> str:
    """`--array=0-3,7%4`."""
    return f"--array={','.join(_ranges(tasks))}" + ("" if at_once is None else f"%{at_once}")


def _gpu_options(element: Element, nodes: GpuNodes) -> Iterator[str]:
    gpus = f"{nodes.type}:{element.gpus_per_node}" if nodes.type else str(element.gpus_per_node)
    if nodes.ask == "gres":
        yield f"--gres=gpu:{gpus}"
    elif nodes.ask == "gpus-per-node":
        yield f"--gpus-per-node={gpus}"
    if nodes.exclusive:
        yield from ("--exclusive", "--mem=0")


def _literal(folder: Path) -> str:
    """A folder as a part of a file name pattern, in which sbatch replaces `%A`."""
    return str(folder).replace("%", "%%")


def _given_options(**options: str | None) -> Iterator[str]:
    yield from (f"--{name}={value}" for name, value in options.items() if value is not None)


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    first = last = numbers[0]
    for number in [*numbers[1:], None]:
        if number is not None and number == last + 1:
            last = number
            continue
        yield str(first) if first == last else f"{first}-{last}"
        if number is not None:
            first = last = number
