"""SGLang, by its own names: routes and metrics. Tested with 0.5.23; `sglang_flags` and `sglang_config` hold the rest.

Its API key can only be given as an argument, where everyone on the machine could read it: it gets none, listens on
loopback, and is known by the name that it serves the model under.
Source: sglang/srt/entrypoints/http_server.py and sglang/srt/observability/metrics_collector.py of the wheel.
"""

import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import aiohttp

from harness.engines import sglang_config, sglang_flags
from harness.engines.base import Endpoint, program
from harness.engines.prometheus import mean, readings, total
from harness.errors import UserError
from harness.records import Configuration, EngineCounters
from harness.spec import Run, Vendor, Workload

VERIFICATIONS = "sglang:spec_verify_calls_total"  # from 0.5.13 on
KV_USAGE = "sglang:token_usage"
SUMS = {
    "drafts": VERIFICATIONS,
    "prompt_tokens": "sglang:prompt_tokens_total",
    "generation_tokens": "sglang:generation_tokens_total",
    "requests": "sglang:num_requests_total",
    "preemptions": "sglang:num_retracted_requests_total",
    "running": "sglang:num_running_reqs",
    "waiting": "sglang:num_queue_reqs",
    "prefix_cache_hits": "sglang:cached_tokens_total",
    "queue_s": "sglang:queue_time_seconds_sum",
    "queued_requests": "sglang:queue_time_seconds_count",
}
"""Field of EngineCounters -> metric, summed over ranks. Counters grow when a request ends, gauges every 40 steps."""

METRICS = frozenset((*SUMS.values(), KV_USAGE))


class Sglang:
    """Adapter for SGLang's OpenAI server."""

    name = "sglang"

    def executable(self, run: Run) -> tuple[str, ...]:
        """The venv's or the image's Python, or the one on PATH."""
        name = "python3" if run.engine.image is not None else "python"
        return (program(run, name), "-m", "sglang.launch_server")

    # Flags: see `sglang_flags`.
    common_args = staticmethod(sglang_flags.common_args)
    mtp_args = staticmethod(sglang_flags.mtp_args)
    derived_args = staticmethod(sglang_flags.derived_args)
    node_args = staticmethod(sglang_flags.node_args)

    def key_env(self, api_key: str) -> Mapping[str, str]:
        """None: see the head of this module."""
        del api_key
        return {}

    def stamps(self, run: Run) -> tuple[str, ...]:
        """On a CPU its kernels are stand-ins of ours; forced acceptance is no property of the model."""
        stamps = {
            "cpu-standin-kernels": run.gpu.vendor is Vendor.CPU,
            "forced-acceptance": run.mtp.forced_acceptance_length is not None,
        }
        return tuple(stamp for stamp, applies in stamps.items() if applies)

    async def version(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> str:
        """What /server_info says."""
        return str((await self._server_info(http, endpoint))["version"])

    async def configuration(self, http: aiohttp.ClientSession, endpoint: Endpoint, run: Run) -> Configuration:
        """What /server_info says."""
        return sglang_config.configuration(await self._server_info(http, endpoint), run)

    async def counters(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> EngineCounters:
        """What /metrics says."""
        before_ns = time.monotonic_ns()
        url = f"{endpoint.base_url}/metrics"
        async with http.get(url, headers=endpoint.headers, raise_for_status=True) as response:
            page = await response.text()
        return counters_of(page, (before_ns + time.monotonic_ns()) // 2)

    async def tokenize(self, http: aiohttp.ClientSession, endpoint: Endpoint, text: str, *, chat: bool) -> list[int]:
        """What /tokenize says; plain text gets the special tokens that the tokenizer puts around a prompt."""
        asked = {"messages": [{"role": "user", "content": text}]} if chat else {"prompt": text}
        body = {"model": endpoint.model, **asked}
        url = f"{endpoint.base_url}/tokenize"
        async with http.post(url, json=body, headers=endpoint.headers) as response:
            if chat and response.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
                raise UserError(
                    f"/tokenize takes no chat turn here ({(await response.text())[:200]}): SGLang 0.5.12 and later do; "
                    "or give the model `chat: false`"
                )
            response.raise_for_status()
            return list((await response.json())["tokens"])

    async def reset_prefix_cache(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> bool:
        """Through /flush_cache; it refuses while requests run."""
        async with http.post(f"{endpoint.base_url}/flush_cache", headers=endpoint.headers) as response:
            return response.status == HTTPStatus.OK

    def request_path(self) -> str:
        """Completions take token ids, so that a prompt has the length asked for."""
        return "/v1/completions"

    def request_body(
        self, endpoint: Endpoint, prompt: Sequence[int], osl: int, workload: Workload
    ) -> dict[str, object]:
        """The ids of the output come back too, which tell where the model would have stopped, and how it was drafted.

        Both from 0.5.19 on; older versions know neither field and pass over it.
        """
        return {
            "model": endpoint.model,
            "prompt": list(prompt),
            "max_tokens": osl,
            "ignore_eos": workload.length == "exact",
            **workload.sampling.model_dump(),
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "return_token_ids": True,
            "return_spec_tokens_details": True,  # exact where the counters are not: see `acceptance_length`
        }

    async def _server_info(self, http: aiohttp.ClientSession, endpoint: Endpoint) -> Mapping[str, object]:
        url = f"{endpoint.base_url}/server_info"
        async with http.get(url, headers=endpoint.headers, raise_for_status=True) as response:
            info: Mapping[str, object] = await response.json()
        return info


def counters_of(page: str, t_ns: int) -> EngineCounters:
    """The counters on a metrics page that was read at `t_ns`.

    SGLang counts verifications, never accepted drafts: those it tells of each request as it ends. Its gauge of the
    acceptance length is of the last few steps, and the one of /server_info of its whole life.
    """
    series = readings(page, METRICS)
    sums = {name: total(series.get(metric)) for name, metric in SUMS.items()}
    return EngineCounters(t_ns=t_ns, kv_usage=mean(series.get(KV_USAGE)), accepted_per_position=None, **sums)
