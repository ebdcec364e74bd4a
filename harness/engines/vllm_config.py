"""What a vLLM server reports of itself, sorted by what a difference between two arms means.

Whatever is not named here must be equal: a setting that a later version adds is then compared, not overlooked.
Shape: GET /server_info?config_format=json of 0.32.0, `{vllm_config, vllm_env, system_env}`.
"""

import re
from collections.abc import Iterator, Mapping

from harness.engines.prometheus import readings
from harness.engines.reported import differences, flatten, only_set, precision, without_build
from harness.records import Configuration
from harness.spec import Run

SPECULATIVE = "speculative_config"

DERIVED = (
    "cache_config.kv_cache_max_concurrency",
    "cache_config.kv_cache_memory_bytes",  # what the weights leave: a draft head takes some
    "cache_config.kv_cache_size_tokens",
    "cache_config.num_gpu_blocks",
    "compilation_config.cudagraph_capture_sizes",
    "compilation_config.fast_moe_cold_start",  # vLLM turns it off under any speculation
    "compilation_config.max_cudagraph_capture_size",
    "scheduler_config.max_num_scheduled_tokens",  # null without speculation, else the batch limit
)

CIRCUMSTANCE = ("parallel_config.assigned_physical_gpu_ids",)

NEW_WITH_EACH_LAUNCH = (
    "compilation_config.cache_dir",
    "compilation_config.compilation_time",
    "compilation_config.debug_dump_path",
    "compilation_config.encoder_compilation_time",
    "compilation_config.local_cache_dir",
    "compilation_config.traced_files",
    "instance_id",
    "model_config.served_model_name",
    "parallel_config._coord_store_port",
    "parallel_config._data_parallel_master_port_list",
    "parallel_config.data_parallel_master_ip",
    "parallel_config.data_parallel_master_port",
    "parallel_config.data_parallel_rpc_port",
    "parallel_config.master_addr",
    "parallel_config.master_port",
)
"""Left out: they differ always, and say nothing."""

SYSTEM = (
    "torch_version",
    "cuda_runtime_version",
    "cudnn_version",
    "hip_runtime_version",
    "rocm_version",
    "nvidia_driver_version",
    "nvidia_gpu_models",
    "gpu_topo",
    "python_version",
)
"""The part of `system_env` that is taken; the rest names folders and variables of the machine."""

_PLACE = re.compile(r"_(IP|HOST|PORT|NAME|URL|PATH|DIR|ROOT|FOLDER|CACHE)$|LOGGING")
_PLAIN = re.compile(r"[\w.,|+-]*")


REPORTED_DTYPES = {"bf16": "torch.bfloat16", "fp16": "torch.float16", "fp32": "torch.float32"}


def configuration(info: Mapping[str, Mapping[str, object]], run: Run, version: str) -> Configuration:
    """Sort a whole /server_info."""
    everything = dict(flatten(info["vllm_config"]))
    speculative = {name: value for name, value in everything.items() if name.startswith(SPECULATIVE)}
    derived = only_set(everything, DERIVED)
    circumstance = only_set(everything, CIRCUMSTANCE)
    named = {*speculative, *derived, *circumstance, *NEW_WITH_EACH_LAUNCH}
    must_equal: dict[str, object] = {"engine_version": version}
    must_equal |= {name: value for name, value in everything.items() if name not in named}
    must_equal |= {f"env.{name}": value for name, value in _settings(info["vllm_env"]).items()}
    must_equal |= {f"system.{name}": value for name, value in only_set(info["system_env"], SYSTEM).items()}
    return Configuration(
        must_equal=must_equal,
        speculative={name: value for name, value in speculative.items() if _is_about_drafting(name)},
        derived=derived,
        circumstance=circumstance,
        mismatches=tuple(_mismatches(everything, run, version)),
    )


def not_reported(metrics_page: str, run: Run, version: str) -> Configuration:
    """What is known of a server that keeps its configuration to itself: what was asked, and its cache's size."""
    series = readings(metrics_page, {"vllm:cache_config_info"}).get("vllm:cache_config_info", [])
    cache = {f"cache_config.{name}": value for reading in series for name, value in reading.all_labels().items()}
    return Configuration(
        must_equal={"engine_version": version, **_asked(run)},
        speculative=run.mtp.model_dump(mode="json"),
        derived=only_set(cache, DERIVED),
        circumstance={},
        mismatches=tuple(differences({"engine version": (run.engine.version, without_build(version, run))})),
        read_back=False,
    )


def _settings(env: Mapping[str, object]) -> dict[str, object]:
    """The engine's own variables as far as they are switches and numbers: places belong to a machine, not to an arm."""
    return {
        name: value
        for name, value in env.items()
        if not _PLACE.search(name) and (not isinstance(value, str) or _PLAIN.fullmatch(value))
    }


def _is_about_drafting(name: str) -> bool:
    """The target's own settings are repeated inside the speculative ones; so is all of the draft's topology."""
    inside = name.removeprefix(f"{SPECULATIVE}.")
    kept = {"model", "revision", "quantization", "dtype", "max_model_len"}
    block, _, field = inside.partition(".")
    return not field or (block == "draft_model_config" and field in kept)


def _asked(run: Run) -> dict[str, object]:
    parts = {"parallel": run.parallel, "settings": run.settings}
    flat = {f"{part}.{name}": value for part, spec in parts.items() for name, value in spec.model_dump().items()}
    return flat | {"model": run.model.name, "precision": run.precision, "args": list(run.engine.args)}


def _mismatches(reported: Mapping[str, object], run: Run, version: str) -> Iterator[str]:
    """Where the server runs with something else than it was asked for."""
    parallel, settings, dp = run.parallel, run.settings, run.parallel.dp
    width = 1 + run.mtp.draft_tokens
    graphs = None if settings.max_graph_requests is None else -(-settings.max_graph_requests // dp) * width
    yield from differences(
        {
            "engine version": (run.engine.version, without_build(version, run)),
            "tp": (parallel.tp, reported.get("parallel_config.tensor_parallel_size")),
            "pp": (parallel.pp, reported.get("parallel_config.pipeline_parallel_size")),
            "dp": (parallel.dp, reported.get("parallel_config.data_parallel_size")),
            "expert parallel": (parallel.ep > 1, reported.get("parallel_config.enable_expert_parallel")),
            "draft tokens": (run.mtp.draft_tokens, reported.get(f"{SPECULATIVE}.num_speculative_tokens", 0)),
            "context": (settings.context, reported.get("model_config.max_model_len")),
            "running requests a rank": (
                -(-settings.max_running_requests // dp),
                reported.get("scheduler_config.max_num_seqs"),
            ),
            "prefix caching": (False, reported.get("cache_config.enable_prefix_caching")),
            "largest graph, tokens": (graphs, reported.get("compilation_config.max_cudagraph_capture_size")),
            "dtype": (REPORTED_DTYPES.get(run.precision), reported.get("model_config.dtype")),
        }
    )
    yield from precision(reported.get("model_config.quantization"), run)
    yield from _forced(reported.get(f"{SPECULATIVE}.synthetic_acceptance_rates"), run)


def _forced(rates: object, run: Run) -> Iterator[str]:
    """An acceptance length is reported as the rates by draft position that it became; they sum to one less."""
    asked = run.mtp.forced_acceptance_length
    reported = 1 + sum(rates) if isinstance(rates, list) else None
    if asked is None and reported is None:
        return
    if asked is None or reported is None or abs(reported - asked) > 1e-3:
        yield f"acceptance length: asked {asked}, server has {reported}"
