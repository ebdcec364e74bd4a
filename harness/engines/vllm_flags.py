"""The command line of `vllm serve`, in its own units. Checked against `vllm serve --help=all` of 0.32.0.

A Run speaks of a whole server's requests. vLLM's limits hold for each data-parallel rank, and its graph sizes are
tokens of one step, of which a decoding request takes 1 + draft tokens.
"""

import json

from harness.engines.base import Additions, Nodes
from harness.engines.options import graph_sizes, is_all_local, model_options, options, user_args
from harness.errors import UserError
from harness.paths import expand
from harness.spec import Mtp, Run

_BY_MTP = "speculation is what arms differ in: use mtp, acceptance and overrides"
_BY_HARNESS = "is given by mtpbench, anew for each launch"
_BY_SWEEP = "the sweep has a key of its own for it"
_HIDES = "would hide what the server is started with"
RESERVED = {
    "--speculative-config": _BY_MTP,
    "-sc": _BY_MTP,
    "--spec-method": _BY_MTP,
    "--spec-model": _BY_MTP,
    "--spec-tokens": _BY_MTP,
    "--host": _BY_HARNESS,
    "--port": _BY_HARNESS,
    "--uds": _BY_HARNESS,
    "--api-key": _BY_HARNESS,
    "--served-model-name": _BY_HARNESS,
    "--config": _HIDES,
    "--model": _BY_SWEEP,
    "--tokenizer": _BY_SWEEP,
    "--revision": _BY_SWEEP,
    "--tensor-parallel-size": _BY_SWEEP,
    "-tp": _BY_SWEEP,
    "--pipeline-parallel-size": _BY_SWEEP,
    "-pp": _BY_SWEEP,
    "--data-parallel-size": _BY_SWEEP,
    "-dp": _BY_SWEEP,
}
"""Flags that `engine.args` can't have."""


def common_args(run: Run, *, host: str, port: int, served_name: str) -> Additions:
    """Model, limits and topology. Limits are per data-parallel rank here, per server in a Run."""
    settings = run.settings
    args = [
        expand(run.model.weights),
        *options(host=host, port=port, served_model_name=served_name),
        *model_options(run, tokenizer_flag="tokenizer"),
        *options(max_model_len=settings.context, max_num_seqs=_per_rank(settings.max_running_requests, run)),
        *_topology(run),
        # The model's own defaults would fill sampling that a request leaves out, and may cap its length.
        *options(generation_config="vllm"),
        "--no-enable-prefix-caching",
        "--disable-uvicorn-access-log",
    ]
    args += options(
        max_num_batched_tokens=settings.chunked_prefill_tokens, gpu_memory_utilization=settings.memory_fraction
    )
    if settings.max_graph_requests is None:
        args.append("--enforce-eager")
    env = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if is_all_local(run.model):
        env["HF_HUB_OFFLINE"] = "1"
    return Additions((*args, *user_args(run, RESERVED)), {**env, **run.engine.env})


def node_args(run: Run, nodes: Nodes, rank: int) -> Additions:
    """Tensor and pipeline ranks over all nodes, or data-parallel ones spread evenly; all but the first serve nobody.

    Source: docs/serving/parallelism_scaling.md and data_parallel_deployment.md of vLLM; flags as in 0.32.0.

    Raises:
        UserError: they do not spread evenly.
    """
    head, port, dp = nodes.addresses[0], nodes.port, run.parallel.dp
    if dp == 1:
        args = options(nnodes=nodes.count, node_rank=rank, master_addr=head, master_port=port)
    elif dp % nodes.count:
        raise UserError(f"dp: {dp} data-parallel ranks do not spread evenly over {nodes.count} nodes")
    else:
        local = dp // nodes.count
        args = options(
            data_parallel_size_local=local,
            data_parallel_address=head,
            data_parallel_rpc_port=port,
            data_parallel_start_rank=rank * local if rank else None,
        )
    own = {"VLLM_HOST_IP": nodes.addresses[rank], **nodes.interface_env()}
    return Additions((*args, *(("--headless",) if rank else ())), own)


def mtp_args(mtp: Mtp) -> Additions:
    """One JSON argument. Draft heads of the checkpoint are method `mtp`, whatever the model."""
    if not mtp.draft_tokens:
        return Additions()
    speculation: dict[str, object] = {"method": "mtp", "num_speculative_tokens": mtp.draft_tokens}
    if mtp.forced_acceptance_length is not None:
        speculation |= {
            "rejection_sample_method": "synthetic",
            "synthetic_acceptance_length": mtp.forced_acceptance_length,
        }
    return Additions(("--speculative-config", json.dumps(speculation | dict(mtp.overrides))))


def derived_args(run: Run) -> Additions:
    """Graph sizes in vLLM's unit, tokens: a decoding request takes 1 + draft tokens of a step.

    Raises:
        UserError: one step can't hold what the settings ask for.
    """
    width = 1 + run.mtp.draft_tokens
    _check_step(run, width)
    largest = run.settings.max_graph_requests
    if largest is None:
        return Additions()
    sizes = [str(requests * width) for requests in graph_sizes(_per_rank(largest, run))]
    return Additions(("--cudagraph-capture-sizes", *sizes))


def _check_step(run: Run, width: int) -> None:
    step = run.settings.chunked_prefill_tokens
    needed = _per_rank(run.settings.max_running_requests, run) * width
    if step is not None and step < needed:
        raise UserError(
            f"chunked_prefill_tokens: {step} is less than one step of {run.mtp.label} takes, {needed} tokens "
            f"({width} for each running request of a rank): raise it, or lower max_running_requests"
        )


def _topology(run: Run) -> list[str]:
    parallel = run.parallel
    group = parallel.tp * parallel.dp
    if parallel.ep not in (1, group):
        raise UserError(
            f"ep: {parallel.ep}: vLLM spreads experts over all tp * dp = {group} GPUs or over none: give {group} or 1"
        )
    sizes = options(
        tensor_parallel_size=parallel.tp, pipeline_parallel_size=parallel.pp, data_parallel_size=parallel.dp
    )
    return [*sizes, *(["--enable-expert-parallel"] if parallel.ep > 1 else [])]


def _per_rank(requests: int, run: Run) -> int:
    """A server's requests as each data-parallel rank's, rounded up: ranks share them evenly."""
    return -(-requests // run.parallel.dp)
