"""What an SGLang server reports of itself, sorted by what a difference between two arms means.

Whatever is not named here must be equal: a setting that a later version adds is then compared, not overlooked.
Shape: GET /server_info of 0.5.23: all server arguments as they were resolved, and `internal_states`, the same and live
figures of each data-parallel rank. Older versions have fewer. Two things it does not say: NEXTN is reported as EAGLE,
and forced acceptance, which is environment, not at all: the acceptance that is measured shows it.
"""

from collections.abc import Iterator, Mapping

from harness.engines.options import DTYPES
from harness.engines.reported import differences, flatten, only_set, precision, without_build
from harness.engines.sglang_flags import has_attention_ranks
from harness.records import Configuration
from harness.spec import Run

SPECULATIVE = "speculative_"

DERIVED = (
    "cuda_graph_config.decode.bs",
    "cuda_graph_config.decode.max_bs",
    "cuda_graph_bs",
    "cuda_graph_max_bs",
    "max_total_num_tokens",  # what the weights leave: a draft head takes some
    "max_req_input_len",
)

FIXED_RANK_STATE = ("effective_max_running_requests_per_dp", "memory_usage.kvcache", "memory_usage.token_capacity")
"""The part of a rank's state that does not change; the rest repeats the arguments, or is of the moment."""

CIRCUMSTANCE = ("node_rank", "base_gpu_id")

NEW_WITH_EACH_LAUNCH = (
    "api_key",
    "dist_init_addr",
    "internal_states",
    "launch_command",
    "nccl_port",
    "port",
    "served_model_name",
    "status",
    "version",
)
"""Left out: they differ always, or are said elsewhere."""

_TIMINGS = "startup_time."


def configuration(info: Mapping[str, object], run: Run) -> Configuration:
    """Sort a whole /server_info."""
    version = str(info["version"])
    everything = dict(flatten(info))
    states = info.get("internal_states")
    rank = dict(flatten(states[0])) if isinstance(states, list) and states else {}
    speculative = {name: value for name, value in everything.items() if name.startswith(SPECULATIVE)}
    derived, circumstance = only_set(everything, DERIVED), only_set(everything, CIRCUMSTANCE)
    named = {*speculative, *derived, *circumstance, *NEW_WITH_EACH_LAUNCH}
    rest = {name: value for name, value in everything.items() if name not in named and not name.startswith(_TIMINGS)}
    return Configuration(
        must_equal={"engine_version": version, **rest},
        # Without an algorithm the others are defaults that nothing reads.
        speculative=speculative if _algorithm(everything) else {},
        derived=derived | {f"rank.{name}": value for name, value in only_set(rank, FIXED_RANK_STATE).items()},
        circumstance=circumstance,
        mismatches=tuple(_mismatches(everything, rank, run, version)),
    )


def _algorithm(everything: Mapping[str, object]) -> object:
    return everything.get(f"{SPECULATIVE}algorithm")


def _mismatches(everything: Mapping[str, object], rank: Mapping[str, object], run: Run, version: str) -> Iterator[str]:
    """Where the server runs with something else than it was asked for."""
    settings, parallel = run.settings, run.parallel
    steps = everything.get(f"{SPECULATIVE}num_steps") if _algorithm(everything) else 0
    yield from differences(
        {
            "engine version": (run.engine.version, without_build(version, run)),
            "draft tokens": (run.mtp.draft_tokens, steps),
            "tp": (parallel.tp * (parallel.dp if has_attention_ranks(run) else 1), everything.get("tp_size")),
            "pp": (parallel.pp, everything.get("pp_size")),
            "ep": (parallel.ep, everything.get("ep_size")),
            "attention ranks": (parallel.dp if has_attention_ranks(run) else 1, _attention_ranks(everything)),
            "context": (settings.context, everything.get("context_length")),
            "running requests a rank": (
                -(-settings.max_running_requests // parallel.dp),
                rank.get("effective_max_running_requests_per_dp"),
            ),
            "chunked prefill of a rank, tokens": (
                settings.chunked_prefill_tokens,
                everything.get("chunked_prefill_size"),
            ),
            "memory fraction": (settings.memory_fraction, everything.get("mem_fraction_static")),
            "graphs of up to, requests": _graphs(everything, run),
            "radix cache off": (True, everything.get("disable_radix_cache")),
            "stream interval": (1, everything.get("stream_interval")),
            "dtype": (DTYPES.get(run.precision), everything.get("dtype")),
        }
    )
    # Quantisation that SGLang finds in the checkpoint's own files is not reported.
    if run.precision in DTYPES or everything.get("quantization") is not None:
        yield from precision(everything.get("quantization"), run)


def _attention_ranks(everything: Mapping[str, object]) -> object:
    """`attn_dp_size`; before 0.5.22 a switch that turned replicas into ranks."""
    if "attn_dp_size" in everything:
        return everything["attn_dp_size"]
    return everything.get("dp_size") if everything.get("enable_dp_attention") else 1


def _graphs(everything: Mapping[str, object], run: Run) -> tuple[object, object]:
    """Largest batch that was asked for and that has a graph, 0 for none; by the names before and since 0.5.14."""
    asked = -(-(run.settings.max_graph_requests or 0) // run.parallel.dp)
    if "cuda_graph_config.decode.backend" in everything:
        off = everything["cuda_graph_config.decode.backend"] == "disabled"
        largest = everything.get("cuda_graph_config.decode.max_bs")
    else:
        off, largest = bool(everything.get("disable_cuda_graph")), everything.get("cuda_graph_max_bs")
    return asked, 0 if off else largest
