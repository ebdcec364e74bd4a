"""What the command lines of several engines have in common: how options are written, and sizes of graphs."""

from collections.abc import Mapping

from harness.errors import UserError
from harness.paths import is_local
from harness.spec import Model, Run

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""Precisions that are a data type. Any other is how the checkpoint was quantised: engines read that from its files."""


def options(**named: object) -> list[str]:
    """`max_num_seqs=8` as `--max-num-seqs 8`; what is None is left out."""
    given = {name: value for name, value in named.items() if value is not None}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def own_args(run: Run, taken: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments that the user adds to both arms.

    Args:
        run: whose they are.
        taken: flags that are not the user's to give, and why; a name that ends in * stands for all that begin so.

    Raises:
        UserError: one of them is taken.
    """
    for argument in run.engine.args:
        flag = argument.partition("=")[0]
        for name, reason in taken.items():
            if _means(flag.replace("_", "-"), name):
                raise UserError(f"engine.args: {flag}: {reason}")
    return run.engine.args


def _means(flag: str, name: str) -> bool:
    """Whether a parser may take one flag for another: argparse completes what begins like a long one."""
    if name.endswith("*"):
        return flag.startswith(name[:-1])
    return flag == name or (len(flag) > len("--x") and name.startswith("--") and name.startswith(flag))


def graph_steps(largest: int) -> list[int]:
    """Batch sizes to capture, in requests: dense where batches are small, as vLLM spaces them by default."""
    steps = {1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, 16)}
    return sorted({step for step in steps if step < largest} | {largest})


def is_all_local(model: Model) -> bool:
    """Whether everything lies on this machine: the engine then has nothing to ask a hub for."""
    return is_local(model.weights) and (model.tokenizer is None or is_local(model.tokenizer))
