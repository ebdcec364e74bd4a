"""METRICS: every number of a row with its name, unit, direction, formula and source; one function, one line each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from harness.metrics import cost, energy, latency, speculation, throughput
from harness.metrics.point_data import PointData
from harness.power.codes import CODES
from harness.records import Estimate
from harness.spec.run import MAX_DRAFT_TOKENS

POSITIONS = MAX_DRAFT_TOKENS
"""Draft positions that a row has room for."""

INTERACTIVITY, THROUGHPUT = "interactivity", "total_tok_s_gpu"
"""Names of the two metrics that a curve is drawn over: speed for one user, and the server's throughput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of a row.

    Attributes:
        name: as in `points.jsonl`, unit suffix included where the field has one.
        unit: for tables and axes; empty for a share or ratio.
        better: `higher`, `lower`, or empty where neither is.
        formula: how it comes about, in a line.
        source: where its parts come from.
        of: computes it.
        distribution: whether p10 to p99 stand beside the headline, which is then the median.
        open_loop: whether it says something of requests that are due, and a row of a closed loop lacks it.
    """

    name: str
    unit: str
    better: str
    formula: str
    source: str
    of: Callable[[PointData], Estimate]
    distribution: bool = False
    open_loop: bool = False


_CHUNKS = "chunk stamps and the engine's cumulative usage"
_SCHEDULE = "chunk stamps and the schedule; in open loop alone"
_USAGE = "the engine's usage"
_COUNTERS = "the engine's counters"
_PRICES = "configs/gpus: newest prices, tier hyperscaler unless said"
_METER = "the GPUs' energy counters; what they cover is `power_scope`"
_SENSORS = "the GPUs' sensors at 10 Hz"
_INFERENCEX_POWER = "InferenceX benchmarks/benchmark_lib.sh and utils/aggregate_power.py"
_INFERENCEX = "InferenceX utils/bench_serving/benchmark_serving.py"


def _m(
    of: Callable[[PointData], Estimate],
    unit: str,
    better: str,
    formula: str,
    source: str,
    *,
    distribution: bool = False,
    open_loop: bool = False,
) -> Metric:
    return Metric(
        name=of.__name__,
        unit=unit,
        better=better,
        formula=formula,
        source=source,
        of=of,
        distribution=distribution,
        open_loop=open_loop,
    )


_d = partial(_m, distribution=True)
_open = partial(_m, open_loop=True)
_due = partial(_d, open_loop=True)

_ROWS = (
    _m(throughput.window_s, "s", "", "T1 - T0", "harness.load.steady"),
    _m(throughput.requests, "requests", "", "full requests whose last token falls in the window", _CHUNKS),
    _m(throughput.isl_served, "tokens", "", "mean prompt tokens", _USAGE),
    _m(throughput.osl_served, "tokens", "", "mean completion tokens", _USAGE),
    _d(latency.ttft_s, "s", "lower", "first token - request written to the socket", _CHUNKS),
    _d(latency.tpot_s, "s", "lower", "(last token - first chunk) / (osl - tokens in the first chunk)", _CHUNKS),
    _d(latency.itl_s, "s", "lower", "chunk gap / tokens in the chunk, once for each token", _CHUNKS),
    _d(latency.chunk_gap_s, "s", "", "gap between chunks; one step, so never compared across arms", _CHUNKS),
    _d(latency.interactivity, "tok/s/user", "higher", "1 / tpot_s by request; p10 is the slow tail", _CHUNKS),
    _d(latency.e2e_s, "s", "lower", "last token - request written to the socket", _CHUNKS),
    _d(latency.user_tok_s_e2e, "tok/s/user", "higher", "osl / e2e_s by request", _CHUNKS),
    _due(latency.send_late_s, "s", "lower", "request written to the socket - due", _SCHEDULE),
    _due(latency.ttft_due_s, "s", "lower", "first token - due", _SCHEDULE),
    _due(latency.e2e_due_s, "s", "lower", "last token - due", _SCHEDULE),
    _m(latency.queue_s, "s", "lower", "mean wait before the first step", _COUNTERS),
    _m(throughput.total_tok_s_gpu, "tok/s/GPU", "higher", "(input + output tokens) / window / GPUs", _CHUNKS),
    _m(throughput.output_tok_s_gpu, "tok/s/GPU", "higher", "output tokens by stamp / window / GPUs", _CHUNKS),
    _m(throughput.input_tok_s_gpu, "tok/s/GPU", "higher", "input tokens, even over a request / window / GPUs", _CHUNKS),
    _m(throughput.request_s, "requests/s", "higher", "full requests that got their last token / window", _CHUNKS),
    _m(latency.goodput_req_s, "requests/s", "higher", "requests within the TTFT and the TPOT limit / window", _CHUNKS),
    _m(throughput.held_concurrency, "requests", "", "time in flight of all requests / window", _CHUNKS),
    _open(throughput.backlog_growth, "", "lower", "growth of the requests in flight a second / rate", _SCHEDULE),
    _m(throughput.littles_law_ratio, "", "", "completion rate x mean latency / concurrency, edges counted", _CHUNKS),
    _m(throughput.queued_share, "", "lower", "mean of the waiting gauge / concurrency", _COUNTERS),
    _m(throughput.preempted_share, "", "lower", "preemptions / requests finished", _COUNTERS),
    _m(speculation.acceptance_length, "tokens/step", "higher", "1 + accepted / drafts", _COUNTERS),
    _m(speculation.draft_share, "", "higher", "drafts / (generated - accepted - requests)", _COUNTERS),
    _m(speculation.tokens_per_chunk, "tokens", "", "tokens / chunks after the first", _CHUNKS),
    _m(speculation.tokens_per_chunk_before_eos, "tokens", "", "the same up to the first EOS", _CHUNKS),
    _m(speculation.tokens_per_chunk_after_eos, "tokens", "", "the same past the first EOS", _CHUNKS),
    _m(speculation.past_eos_share, "", "lower", "output tokens past the first EOS / output tokens", _CHUNKS),
    _m(cost.cost_per_mtok, "$/Mtok", "lower", "$/GPU-hour x 1e6 / (3600 x total_tok_s_gpu)", _PRICES),
    _m(cost.cost_per_mtok_output, "$/Mtok", "lower", "$/GPU-hour x 1e6 / (3600 x output_tok_s_gpu)", _PRICES),
    _m(cost.tok_s_mw_provisioned, "tok/s/MW", "higher", "total_tok_s_gpu / provisioned all-in MW per GPU", _PRICES),
    _m(energy.tok_s_mw_measured, "tok/s/MW", "higher", "1e6 / energy_j_per_tok", _METER),
    _m(energy.measured_to_provisioned, "", "", "tok_s_mw_measured / tok_s_mw_provisioned", _METER),
    _m(energy.energy_j_per_tok, "J/tok", "lower", "energy / (input + output tokens)", _METER),
    _m(energy.energy_j_per_tok_input, "J/tok", "lower", "energy / input tokens", _METER),
    _m(energy.energy_j_per_tok_output, "J/tok", "lower", "energy / output tokens", _METER),
    _m(energy.energy_net_j_per_tok_output, "J/tok", "lower", "energy above idle_power_w_gpu / output tokens", _METER),
    _m(energy.power_w_gpu, "W", "lower", "energy / window / GPUs", _METER),
    _m(energy.idle_power_w_gpu, "W", "", "the same with the model loaded and no request", _METER),
    _m(energy.idle_bare_power_w_gpu, "W", "", "the same before the server was started", _METER),
    _m(energy.power_limit_w_gpu, "W", "", "mean enforced limit", _SENSORS),
    _m(energy.power_capped_share, "", "lower", "worst GPU's time under its power limit / window", _SENSORS),
    _m(energy.throttled_share, "", "lower", "worst GPU's time slowed by heat or supply / window", _SENSORS),
    _m(energy.sm_clock_mhz, "MHz", "higher", "mean clock of the cores", _SENSORS),
    _m(energy.gpu_temperature_c, "\N{DEGREE SIGN}C", "", "mean temperature of the GPUs", _SENSORS),
    _m(energy.energy_crosscheck, "", "", "energy by counter / by power of the moment, worst GPU", _SENSORS),
    _m(energy.inferencex_power_w_gpu, "W", "", "1 s means at 1 Hz, trapezoid / whole run / GPUs", _INFERENCEX_POWER),
    _m(energy.inferencex_energy_j_per_tok_output, "J/tok", "", "the same / output tokens", _INFERENCEX_POWER),
    _m(latency.inferencex_tpot_s, "s", "lower", "median (last - first chunk) / (osl - 1), whole run", _INFERENCEX),
    _m(latency.inferencex_interactivity, "tok/s/user", "higher", "1 / inferencex_tpot_s", _INFERENCEX),
    _m(throughput.inferencex_output_tok_s_gpu, "tok/s/GPU", "higher", "output tokens / whole run / GPUs", _INFERENCEX),
    _m(throughput.inferencex_total_tok_s_gpu, "tok/s/GPU", "higher", "all tokens / whole run / GPUs", _INFERENCEX),
)  # fmt: skip


def _position(index: int) -> Metric:
    return Metric(
        name=f"acceptance_position_{index}",
        unit="",
        better="higher",
        formula=f"accepted at draft position {index} / drafts",
        source=_COUNTERS,
        of=partial(speculation.acceptance_position, position=index),
    )


METRICS: Mapping[str, Metric] = {
    metric.name: metric for metric in (*_ROWS, *(_position(index) for index in range(POSITIONS)))
}

REASONS: Mapping[str, str] = {
    "no_window": "the point has no steady part",
    "off": "the Off arm drafts nothing",
    "no_requests": "no full request got its last token inside the window",
    "no_tokens": "no token arrived inside the window",
    "too_few_blocks": "the window has too few blocks for a slope",
    "single_chunk": "every request came in a single chunk: there is no time between tokens",
    "nothing_counted": "the counter behind it did not move",
    "no_counters": "the server's counters were not read",
    "counters_end_early": "the readings of the server's counters cover under 90 % of the window",
    "not_exposed": "the server does not expose the counter",
    "counter_reset": "a counter fell during the point: the server was restarted",
    "no_usage": "the engine gave no prompt token count",
    "no_eos_seen": "no request met an EOS, or the server returns no token ids",
    "no_limits": "the workload states no latency limit",
    "no_price": "configs/gpus has no price of this tier for the GPU",
    "no_all_in_power": "configs/gpus has no all-in power for the GPU",
    "no_power_meter": "no power was measured",
    "no_idle": "the GPUs were not read while idle",
    **CODES,
}
"""What each reason of a missing number means."""
