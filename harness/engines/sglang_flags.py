"""The command line of `sglang.launch_server`, in its own units. Checked against the wheels 0.5.9 to 0.5.23 of PyPI.

A Run speaks of a whole server's requests and of one rank's step. SGLang divides both over attention ranks where
attention is data-parallel, and leaves them to each replica otherwise; its graph sizes are requests of one rank.
"""

import re
from collections.abc import Mapping

from harness.engines.base import Additions, Nodes
from harness.engines.options import graph_sizes, is_all_local, model_options, options, user_args
from harness.errors import UserError
from harness.paths import expand
from harness.spec import Mtp, Run, Vendor

Version = tuple[int, ...]

TESTED: Version = (0, 5, 23)
"""Taken for a Run that names no version."""

SPELLINGS: Mapping[str, Mapping[Version, str]] = {
    "graph sizes": {(0, 5, 9): "--cuda-graph-bs", (0, 5, 14): "--cuda-graph-bs-decode"},  # the old one ends with 0.5.19
    "no graphs": {(0, 5, 9): "--disable-cuda-graph", (0, 5, 14): "--cuda-graph-backend-decode disabled"},
    "no prefill graphs": {(0, 5, 9): "", (0, 5, 14): "--cuda-graph-backend-prefill disabled"},
    "attention ranks": {(0, 5, 9): "--enable-dp-attention --dp-size", (0, 5, 22): "--attn-dp-size"},
    # Speculation with overlapped scheduling: off unless asked for, then on, then without the variable.
    "overlap under speculation": {(0, 5, 9): "SGLANG_ENABLE_SPEC_V2", (0, 5, 12): ""},
    # Tokens of a forced acceptance: id 100 throughout, until the drafts' own could be had.
    "forced tokens": {(0, 5, 9): "", (0, 5, 16): "SGLANG_SIMULATE_ACC_TOKEN_MODE"},
}
"""What a setting is called from which version on; seen in the wheels of 0.5.9, .12, .14, .16, .19, .20, .22 and .23."""

CPU = (
    "--device cpu",
    # The one pair that speculation and Off both run with; asked for as one name, SGLang would swap it for another.
    "--attention-backend torch_native --prefill-attention-backend intel_amx --decode-attention-backend intel_amx",
    # Speculation turns it off on a CPU by itself, and then Off would be alone in having it.
    "--disable-overlap-schedule",
)

_BY_MTP = "speculation is what arms differ in: use mtp, acceptance and overrides"
_BY_HARNESS = "is given by mtpbench, anew for each launch"
_BY_SWEEP = "is a setting of the sweep"
RESERVED = {
    "--speculative*": _BY_MTP,
    "--host": _BY_HARNESS,
    "--port": _BY_HARNESS,
    "--api-key": _BY_HARNESS,
    "--served-model-name": _BY_HARNESS,
    "--config": "would hide what the server is started with",
    "--max-running-requests": _BY_SWEEP,
    "--mem-fraction-static": _BY_SWEEP,
    "--chunked-prefill-size": _BY_SWEEP,
    "--model": _BY_SWEEP,
    "--model-path": _BY_SWEEP,
    "--tokenizer-path": _BY_SWEEP,
    "--revision": _BY_SWEEP,
    "--tp": _BY_SWEEP,
    "--tp-size": _BY_SWEEP,
    "--tensor-parallel-size": _BY_SWEEP,
    "--pp-size": _BY_SWEEP,
    "--pipeline-parallel-size": _BY_SWEEP,
    "--dp-size": _BY_SWEEP,
    "--data-parallel-size": _BY_SWEEP,
}
"""Flags that `engine.args` can't have."""


def version(run: Run) -> Version:
    """The version that a Run asks for, by itself or in its image's tag; the tested one where it names none."""
    named = run.engine.version or (run.engine.image or "").rpartition(":")[2]
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", named)
    return tuple(map(int, numbers.groups())) if numbers else TESTED


def spelled(setting: str, run: Run) -> str:
    """What a setting is called in the Run's version; the oldest name for any before."""
    names, wanted = SPELLINGS[setting], version(run)
    since = [first for first in names if first <= wanted]
    return names[max(since, default=min(names))]


def has_attention_ranks(run: Run) -> bool:
    """Whether data parallelism splits the attention of one server: mixtures of experts, as vLLM means it too.

    A dense model is served by replicas. Source: docs.vllm.ai, Data Parallel Deployment.
    """
    return run.model.moe and run.parallel.dp > 1


def common_args(run: Run, *, host: str, port: int, served_name: str) -> Additions:
    """Model, limits and topology.

    Raises:
        UserError: SGLang would choose a limit by the arm, or an argument is not the user's to give.
    """
    settings = run.settings
    args = [
        *options(model_path=expand(run.model.weights), host=host, port=port, served_model_name=served_name),
        *model_options(run, tokenizer_flag="tokenizer_path"),
        *options(context_length=settings.context, max_running_requests=_running_requests(run)),
        *options(mem_fraction_static=_memory_fraction(run), chunked_prefill_size=_chunked_prefill_tokens(run)),
        *_topology(run),
        *_graphs(run),
        # A chunk for each token, or it would hold several in both arms; the sampling of requests, or a model's own
        # would fill its gaps; weights of no file, or dummy ones, alike in every launch.
        *options(stream_interval=1, sampling_defaults="openai", random_seed=0),
        "--disable-radix-cache",
        "--enable-metrics",
    ]
    if run.gpu.vendor is Vendor.CPU:
        args += " ".join(CPU).split()
    return Additions((*args, *user_args(run, RESERVED)), _environment(run))


def node_args(run: Run, nodes: Nodes, rank: int) -> Additions:
    """How many nodes, which one this is, where the first one waits. Source: docs/references/multi_node of SGLang."""
    del run
    meeting = f"{nodes.addresses[0]}:{nodes.port}"
    return Additions(tuple(options(nnodes=nodes.count, node_rank=rank, dist_init_addr=meeting)), nodes.interface_env())


def mtp_args(mtp: Mtp) -> Additions:
    """A chain of drafts from the checkpoint's own head, verified at once: as many drafts and the token before them.

    Any of the names can be overridden. Acceptance is forced by the environment; the drafts' own tokens are kept, since
    one token over and over would be another text.
    """
    if not mtp.draft_tokens:
        return Additions()
    chain: dict[str, object] = {
        "speculative-algorithm": "NEXTN",
        "speculative-num-steps": mtp.draft_tokens,
        "speculative-eagle-topk": 1,
        "speculative-num-draft-tokens": mtp.draft_tokens + 1,
    }
    forced = mtp.forced_acceptance_length
    env = {} if forced is None else {"SGLANG_SIMULATE_ACC_LEN": str(forced), **_FORCED}
    return Additions(tuple(options(**chain | dict(mtp.overrides))), env)


_FORCED = {"SGLANG_SIMULATE_ACC_METHOD": "match-expected", "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token"}


def derived_args(run: Run) -> Additions:
    """Where the drafts' weights are: in the checkpoint. Only some architectures look there by themselves.

    Limits and graph sizes are counted in requests, so nothing else follows from the draft length.

    Raises:
        UserError: this version's forced acceptance writes the same token everywhere.
    """
    mtp, wanted = run.mtp, version(run)
    if mtp.forced_acceptance_length is not None and not spelled("forced tokens", run):
        raise UserError(
            f"acceptance: SGLang {'.'.join(map(str, wanted))} can't force it with the drafts' own tokens, "
            "0.5.16 and later can: name another engine.version, or leave acceptance natural"
        )
    if not mtp.draft_tokens or "speculative-draft-model-path" in mtp.overrides:
        return Additions()
    return Additions(tuple(options(speculative_draft_model_path=expand(run.model.weights))))


def _environment(run: Run) -> dict[str, str]:
    env = {}
    if overlap := spelled("overlap under speculation", run):
        env[overlap] = "1"
    if run.gpu.vendor is Vendor.CPU:
        env["SGLANG_USE_CPU_ENGINE"] = "1"
        # The first step under speculation would compile a few small functions: minutes, and a C++ compiler.
        env["TORCHDYNAMO_DISABLE"] = "1"
    if is_all_local(run.model):
        env["HF_HUB_OFFLINE"] = "1"
    return env | dict(run.engine.env)


def _memory_fraction(run: Run) -> float:
    if run.settings.memory_fraction is None:
        raise UserError(
            "memory_fraction: SGLang sets aside more memory under speculation when it is left out: "
            "give it, the same for both arms, as 0.8"
        )
    return run.settings.memory_fraction


def _chunked_prefill_tokens(run: Run) -> int | None:
    """Prompt tokens of one step, of all attention ranks together: SGLang divides them."""
    step = run.settings.chunked_prefill_tokens
    return step if step is None or not has_attention_ranks(run) else step * run.parallel.dp


def _topology(run: Run) -> list[str]:
    """Sizes as SGLang counts them: with attention ranks, tensor parallelism spans all GPUs of a pipeline stage."""
    parallel = run.parallel
    group = parallel.tp * (parallel.dp if has_attention_ranks(run) else 1)
    if parallel.ep > 1 and group % parallel.ep:
        raise UserError(f"ep: {parallel.ep} does not divide the {group} GPUs that share the experts")
    sizes = options(tp_size=group, pp_size=parallel.pp, ep_size=parallel.ep)
    if has_attention_ranks(run):
        return [*sizes, *spelled("attention ranks", run).split(), str(parallel.dp)]
    return [*sizes, *options(dp_size=parallel.dp)]


def _graphs(run: Run) -> list[str]:
    largest = run.settings.max_graph_requests
    if largest is None:
        return [*spelled("no graphs", run).split(), *spelled("no prefill graphs", run).split()]
    # Every size, or SGLang would space them by the arm.
    return [spelled("graph sizes", run), *map(str, graph_sizes(-(-largest // run.parallel.dp)))]


def _running_requests(run: Run) -> int:
    """A server's requests as SGLang takes them: whole, to be divided over attention ranks; for each of replicas."""
    of_rank = -(-run.settings.max_running_requests // run.parallel.dp)
    return of_rank * run.parallel.dp if has_attention_ranks(run) else of_rank
