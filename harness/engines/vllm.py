"""vLLM, by its own names: flags, routes, metrics. Tested with 0.32; no other module knows any of them.

Launched with VLLM_SERVER_DEV_MODE=1, which opens /server_info and /reset_prefix_cache: servers listen on loopback only.
Sources: `vllm serve --help=all` of 0.32.0 and https://docs.vllm.ai/en/v0.32.0/
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import aiohttp

from harness.engines import vllm_config, vllm_flags
from harness.engines.base import Endpoint, program
from harness.engines.prometheus import Reading, mean, readings, total
from harness.records import Configuration, EngineCounters
from harness.spec import Run, Vendor, Workload

logger = logging.getLogger(__name__)

SPEC = "vllm:spec_decode_num_"
PER_POSITION = f"{SPEC}accepted_tokens_per_pos_total"
KV_USAGE = "vllm:kv_cache_usage_perc"
SUMS = {
    "drafts": f"{SPEC}drafts_total",
    "draft_tokens": f"{SPEC}draft_tokens_total",
    "accepted_tokens": f"{SPEC}accepted_tokens_total",
    "prompt_tokens": "vllm:prompt_tokens_total",
    "generation_tokens": "vllm:generation_tokens_total",
    "requests": "vllm:request_success_total",  # every finished request, one series a reason
    "preemptions": "vllm:num_preemptions_total",
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "prefix_cache_hits": "vllm:prefix_cache_hits_total",
    "queue_s": "vllm:request_queue_time_seconds_sum",
    "queued_requests": "vllm:request_queue_time_seconds_count",
}
"""Field of EngineCounters -> metric, summed over engines."""

METRICS = frozenset((*SUMS.values(), PER_POSITION, KV_USAGE))


class Vllm:
    """Adapter for vLLM's OpenAI server."""

    name = "vllm"

    def executable(self, run: Run) -> tuple[str, ...]:
        """`<venv>/bin/vllm`, or the one on PATH."""
        return (program(run, "vllm"), "serve")

    # Flags: see `vllm_flags`.
    common_args = staticmethod(vllm_flags.common_args)
    mtp_args = staticmethod(vllm_flags.mtp_args)
    derived_args = staticmethod(vllm_flags.derived_args)
    node_args = staticmethod(vllm_flags.node_args)

    def key_env(self, api_key: str) -> Mapping[str, str]:
        """VLLM_API_KEY; it guards the paths below /v1."""
        return {"VLLM_API_KEY": api_key}

    def stamps(self, run: Run) -> tuple[str, ...]:
        """The CPU build needs a plugin of ours; forced acceptance is no property of the model."""
        stamps = {
            "cpu-plugin": run.gpu.vendor is Vendor.CPU,
            "forced-acceptance": run.mtp.forced_acceptance_length is not None,
        }
        return tuple(stamp for stamp, applies in stamps.items() if applies)

    async def version(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> str:
        """What /version says."""
        async with http.get(f"{endpoint.base_url}/version", raise_for_status=True) as response:
            return str((await response.json())["version"])

    async def configuration(self, http: aiohttp.ClientSession, endpoint: Endpoint, run: Run) -> Configuration:
        """What /server_info says; without it (no development mode) what /metrics says of the cache."""
        version = await self.version(http, endpoint)
        async with http.get(f"{endpoint.base_url}/server_info", params={"config_format": "json"}) as response:
            if response.status == HTTPStatus.OK:
                return vllm_config.configuration(await response.json(), run, version)
            reply = (await response.text())[:200]
        logger.warning(
            "%s: /server_info answers %d (%s): equal flags can't be proved; in an environment without pip, add pip",
            endpoint.base_url,
            response.status,
            reply,
        )
        return vllm_config.not_reported(await self._metrics(http, endpoint), run, version)

    async def counters(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> EngineCounters:
        """What /metrics says."""
        before_ns = time.monotonic_ns()
        page = await self._metrics(http, endpoint)
        return counters_of(page, (before_ns + time.monotonic_ns()) // 2)

    async def tokenize(self, http: aiohttp.ClientSession, endpoint: Endpoint, text: str, *, chat: bool) -> list[int]:
        """What /tokenize says; plain text gets the special tokens that the tokenizer puts around a prompt."""
        turn = {"messages": [{"role": "user", "content": text}], "add_generation_prompt": True}
        body = {"model": endpoint.model, **(turn if chat else {"prompt": text})}
        url = f"{endpoint.base_url}/tokenize"
        async with http.post(url, json=body, headers=endpoint.headers, raise_for_status=True) as response:
            return list((await response.json())["tokens"])

    async def reset_prefix_cache(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> bool:
        """Through a route of the development mode; it fails while blocks are in use."""
        async with http.post(f"{endpoint.base_url}/reset_prefix_cache") as response:
            if response.status != HTTPStatus.OK:
                return False
            reply = await response.text()
        return not reply or bool(json.loads(reply).get("success", True))

    def request_path(self) -> str:
        """Completions take token ids, so that a prompt has the length asked for."""
        return "/v1/completions"

    def request_body(
        self, endpoint: Endpoint, prompt: Sequence[int], osl: int, workload: Workload
    ) -> dict[str, object]:
        """The ids of the output come back too: they tell where the model would have stopped."""
        return {
            "model": endpoint.model,
            "prompt": list(prompt),
            "max_tokens": osl,
            "ignore_eos": workload.length == "exact",
            **workload.sampling.model_dump(),
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "return_token_ids": True,
        }

    async def _metrics(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> str:
        async with http.get(f"{endpoint.base_url}/metrics", raise_for_status=True) as response:
            return await response.text()


def counters_of(page: str, t_ns: int) -> EngineCounters:
    """The counters on a metrics page that was read at `t_ns`."""
    series = readings(page, METRICS)
    sums = {name: total(series.get(metric)) for name, metric in SUMS.items()}
    return EngineCounters(
        t_ns=t_ns,
        kv_usage=mean(series.get(KV_USAGE)),
        accepted_per_position=_per_position(series.get(PER_POSITION)),
        **sums,
    )


def _per_position(series: Sequence[Reading] | None) -> tuple[float, ...] | None:
    if series is None:
        return None
    by_position: dict[int, float] = {}
    for reading in series:
        position = int(reading.label("position") or 0)
        by_position[position] = by_position.get(position, 0.0) + reading.value
    return tuple(by_position[position] for position in sorted(by_position))
