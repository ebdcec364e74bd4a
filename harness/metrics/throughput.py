"""How much the server does, and how much of the load it was really under."""

import math

import numpy as np

from harness import stats
from harness.metrics.point_data import PointData, missing, with_interval
from harness.records import Estimate
from harness.stats import Floats

_FEWEST_OF_A_SLOPE = 4


def output_tok_s_gpu(data: PointData) -> Estimate:
    """Output tokens by the stamp of their chunk."""
    return _per_gpu(data, output=True, prompt=False)


def input_tok_s_gpu(data: PointData) -> Estimate:
    """Prompt tokens, spread evenly over the life of their request.

    Over a long window that is the prompts sent, and each block gets its part: ten requests fit a window at
    concurrency 1, and counting prompts at their prefill would find ten or eleven by where the window's edges fall.
    """
    return _per_gpu(data, output=False, prompt=True)


def total_tok_s_gpu(data: PointData) -> Estimate:
    """Input and output together: what the public dashboards call throughput."""
    return _per_gpu(data, output=True, prompt=True)


def _per_gpu(data: PointData, *, output: bool, prompt: bool) -> Estimate:
    reduced = data.reduced
    if not reduced.output_tokens.sum():
        return missing("no_tokens")
    counted = output * reduced.output_tokens + prompt * reduced.input_tokens
    return data.rate(counted, 1 / data.gpus)


def request_s(data: PointData) -> Estimate:
    """Requests that got their last token, a second."""
    return data.rate(data.by_block()) if len(data.reduced.cohort) else missing("no_requests")


def requests(data: PointData) -> Estimate:
    """How many requests the latencies are of."""
    return Estimate(value=float(len(data.reduced.cohort)))


def window_s(data: PointData) -> Estimate:
    """Length of the Window."""
    return Estimate(value=data.reduced.duration_s)


def isl_served(data: PointData) -> Estimate:
    """Mean prompt length by the engine's count."""
    prompt = data.reduced.cohort.prompt_tokens
    known = prompt[np.isfinite(prompt)]
    if not len(known):
        return missing("no_usage" if len(prompt) else "no_requests")
    return Estimate(value=float(known.mean()))


def osl_served(data: PointData) -> Estimate:
    """Mean output length by the engine's count."""
    tokens = data.reduced.cohort.tokens
    return Estimate(value=float(tokens.mean())) if len(tokens) else missing("no_requests")


def held_concurrency(data: PointData) -> Estimate:
    """Requests in flight, averaged over the Window."""
    return data.rate(data.reduced.in_flight_s)


def littles_law_ratio(data: PointData) -> Estimate:
    """Completion rate times mean latency over the concurrency: 1 when nothing was lost or counted twice.

    In closed loop the concurrency is the one asked for; in open loop nobody asks, and it is the mean in flight.

    The law holds for long times. For a finite window it is exact with the ages of the requests at its edges: what
    completed inside had lived partly before, and what is in flight at the end has lived partly inside. With both, a
    clean point gives 1 less the pauses between a user's requests, however short it is; a lost record or a failed
    request lowers it, a record that stands twice raises it.
    (Little 2011, Little's Law as Viewed on Its 50th Anniversary, Operations Research 59:3, theorem LL.2.)
    """
    reduced = data.reduced
    lived = reduced.ended_s - reduced.age_start_s + reduced.age_end_s
    users = _users(data)
    return Estimate(value=lived / (reduced.duration_s * users)) if users else missing("no_requests")


def _users(data: PointData) -> float:
    """Asked for in closed loop; in flight, averaged, in open loop."""
    reduced = data.reduced
    return float(data.point.concurrency or reduced.in_flight_s.sum() / reduced.duration_s)


def backlog_growth(data: PointData) -> Estimate:
    """Requests that pile up, over those that are due: 0 while the server keeps up, 1 if it answered none.

    The slope of the mean in flight over the blocks, by least squares; its interval is Student's, widened where the
    residuals of neighbouring blocks are alike. Output tok/s does not show it: an overloaded server's are constant.
    """
    reduced, rate = data.reduced, data.point.rate
    assert rate is not None
    if len(reduced.block_s) < _FEWEST_OF_A_SLOPE:
        return missing("too_few_blocks")
    slope, half = _slope(reduced.in_flight_s / reduced.block_s, float(reduced.block_s[0]))
    return with_interval(slope / rate, stats.Interval((slope - half) / rate, (slope + half) / rate))


def _slope(series: Floats, step_s: float) -> tuple[float, float]:
    """Slope, a second, of a line through equally spaced values, and half of its 95 % interval."""
    place = (np.arange(len(series)) - (len(series) - 1) / 2) * step_s
    squares = float(place @ place)
    slope = float(place @ series) / squares
    rest = series - series.mean() - slope * place
    worth = stats.effective(rest)
    error = math.sqrt(float(rest @ rest) / (len(series) - 2) / squares * len(series) / worth)
    return slope, stats.t_quantile(0.975, max(worth - 2, 1.0)) * error


def queued_share(data: PointData) -> Estimate:
    """Share of the users whose request waited in the server's queue, averaged over its readings."""
    waiting, users = data.counters.gauge("waiting"), _users(data)
    if not len(waiting) or not users:
        return missing(data.counters.reason or ("not_exposed" if users else "no_requests"))
    return Estimate(value=float(waiting.mean()) / users)


def preempted_share(data: PointData) -> Estimate:
    """Requests pushed out of the batch for want of KV memory, over requests finished."""
    preempted = data.counters.difference("preemptions")
    finished = data.counters.difference("requests")
    if isinstance(preempted, str) or isinstance(finished, str):
        return missing(preempted if isinstance(preempted, str) else str(finished))
    return data.ratio(preempted, finished, lambda share: share)


def inferencex_output_tok_s_gpu(data: PointData) -> Estimate:
    """Output tokens of completed requests over first send to last completion, start-up included."""
    return _whole_run(data, data.reduced.run.output_tokens)


def inferencex_total_tok_s_gpu(data: PointData) -> Estimate:
    """The same with prompt tokens, as the client counts them."""
    run = data.reduced.run
    return _whole_run(data, run.input_tokens + run.output_tokens)


def _whole_run(data: PointData, tokens: float) -> Estimate:
    duration_s = data.reduced.run.duration_s
    return Estimate(value=tokens / duration_s / data.gpus) if duration_s and tokens else missing("no_requests")
