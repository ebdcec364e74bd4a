"""Command-line options that several engines share: how they are written, the model's, the user's, sizes of graphs."""

from collections.abc import Mapping

from harness.errors import UserError
from harness.paths import expand, is_local
from harness.spec import Model, Run

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""Precisions that are a data type. Any other is how the checkpoint was quantised: engines read that from its files."""


def options(**named: object) -> list[str]:
    """`max_num_seqs=8` as `--max-num-seqs 8`; what is None is left out."""
    given = {name: value for name, value in named.items() if value is not None}
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def model_options(run: Run, *, tokenizer_flag: str) -> list[str]:
    """Revision, tokenizer, load format and data type of the model, as far as they are not the engine's default.

    Args:
        run: whose model it is.
        tokenizer_flag: what the engine calls the tokenizer's place; `tokenizer_path` for `--tokenizer-path`.
    """
    model = run.model
    tokenizer = None if model.tokenizer is None else expand(model.tokenizer)
    return options(
        revision=run.revision or model.revision,
        **{tokenizer_flag: tokenizer},
        load_format=None if model.load_format == "auto" else model.load_format,
        dtype=DTYPES.get(run.precision),
    )


def user_args(run: Run, reserved: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments that the user adds to both arms.

    Args:
        run: whose they are.
        reserved: flags that are not the user's to give, and why; a name that ends in * stands for all that begin so.

    Raises:
        UserError: one of them is reserved.
    """
    for argument in run.engine.args:
        flag = argument.partition("=")[0]
        for name, reason in reserved.items():
            if _means(flag.replace("_", "-"), name):
                raise UserError(f"engine.args: {flag}: {reason}")
    return run.engine.args


def _means(flag: str, name: str) -> bool:
    """Whether a parser may take one flag for another: argparse completes what begins like a long one."""
    if name.endswith("*"):
        return flag.startswith(name[:-1])
    return flag == name or (len(flag) > len("--x") and name.startswith("--") and name.startswith(flag))


def graph_sizes(largest: int) -> list[int]:
    """Batch sizes to capture, in requests: dense where batches are small, as vLLM spaces them by default."""
    steps = {1, 2, 4, *range(8, 256, 8), *range(256, largest + 1, 16)}
    return sorted({step for step in steps if step < largest} | {largest})


def is_all_local(model: Model) -> bool:
    """Whether everything lies on this machine: the engine then has nothing to ask a hub for."""
    return is_local(model.weights) and (model.tokenizer is None or is_local(model.tokenizer))
