"""What the tokens cost in energy, as the GPUs' own sensors tell it. One scope in all of it: see `power_scope`.

Every figure is of the Window except the two by InferenceX's method, which are of its window: the whole run. Where
anything speaks against the readings there is no figure, and its reason is the code of what was found.
"""

from harness.metrics.point_data import PointData, mapped, missing, with_interval
from harness.power.point_power import PointPower
from harness.records import Estimate, Int64
from harness.stats import Floats, mean_interval
from harness.units import W_PER_KW, W_PER_MW


def power_w_gpu(data: PointData) -> Estimate:
    """Mean power of one GPU."""
    power = _power(data)
    if isinstance(power, Estimate):
        return power
    by_block = power.energy_j(data.edges_ns) / data.gpus
    interval = mean_interval(by_block / data.reduced.block_s)
    return with_interval(float(by_block.sum()) / data.reduced.duration_s, interval)


def energy_j_per_tok(data: PointData) -> Estimate:
    """Energy over input and output tokens."""
    return _energy_per(data, data.reduced.input_tokens + data.reduced.output_tokens)


def energy_j_per_tok_input(data: PointData) -> Estimate:
    """The whole energy over input tokens; does not add up with the output figure."""
    return _energy_per(data, data.reduced.input_tokens)


def energy_j_per_tok_output(data: PointData) -> Estimate:
    """The whole energy over output tokens."""
    return _energy_per(data, data.reduced.output_tokens)


def energy_net_j_per_tok_output(data: PointData) -> Estimate:
    """Energy above idle with the model loaded, over output tokens: what the load added, never instead of the whole."""
    power = _power(data)
    if isinstance(power, Estimate):
        return power
    if power.idle_loaded_w is None:
        return missing("no_idle")
    idle_j = power.idle_loaded_w * data.gpus * data.reduced.block_s
    return _per(data, power.energy_j(data.edges_ns) - idle_j, data.reduced.output_tokens)


def tok_s_mw_measured(data: PointData) -> Estimate:
    """Tokens a second for each megawatt that the GPUs drew: 1e6 / (J/token)."""
    return mapped(energy_j_per_tok(data), lambda joules: W_PER_MW / joules)


def measured_to_provisioned(data: PointData) -> Estimate:
    """tok/s/MW by the sensors over that by the assumption; differs by vendor, so neither basis stands for the other."""
    kw = None if data.prices is None else data.prices.all_in_kw
    return missing("no_all_in_power") if kw is None else mapped(power_w_gpu(data), lambda watts: kw * W_PER_KW / watts)


def idle_power_w_gpu(data: PointData) -> Estimate:
    """Mean of one GPU with the model loaded and no request."""
    power = _power(data)
    return power if isinstance(power, Estimate) else _known(power.idle_loaded_w, "no_idle")


def idle_bare_power_w_gpu(data: PointData) -> Estimate:
    """Mean of one GPU before the server was started."""
    power = _power(data)
    return power if isinstance(power, Estimate) else _known(power.idle_bare_w, "no_idle")


def power_limit_w_gpu(data: PointData) -> Estimate:
    """What one GPU may draw."""
    return _mean(data, "limit_w")


def sm_clock_mhz(data: PointData) -> Estimate:
    """Mean clock of the GPUs' cores."""
    return _mean(data, "sm_mhz")


def gpu_temperature_c(data: PointData) -> Estimate:
    """Mean temperature of the GPUs."""
    return _mean(data, "temperature_c")


def power_capped_share(data: PointData) -> Estimate:
    """Share of the window in which the power limit held clocks down."""
    return _throttled(data, "capped")


def throttled_share(data: PointData) -> Estimate:
    """Share of the window in which heat or the supply held clocks down."""
    return _throttled(data, "throttled")


def energy_crosscheck(data: PointData) -> Estimate:
    """Energy by the counter over energy by the power of the moment."""
    power = _power(data)
    return power if isinstance(power, Estimate) else _known(power.crosscheck, "not_exposed")


def inferencex_power_w_gpu(data: PointData) -> Estimate:
    """Mean power of one GPU by InferenceX's method."""
    energy, run = _inferencex_j(data), data.reduced.run
    return mapped(energy, lambda joules: joules / run.duration_s / data.gpus)


def inferencex_energy_j_per_tok_output(data: PointData) -> Estimate:
    """The same energy over output tokens."""
    energy, run = _inferencex_j(data), data.reduced.run
    return mapped(energy, lambda joules: joules / run.output_tokens) if run.output_tokens else missing("no_tokens")


def _inferencex_j(data: PointData) -> Estimate:
    power, run = _power(data), data.reduced.run
    if isinstance(power, Estimate):
        return power
    if run.duration_s <= 0:
        return missing("no_tokens")
    return _known(power.inferencex_j(run.began_ns, run.ended_ns), "not_exposed")


def _power(data: PointData) -> PointPower | Estimate:
    """The power, or why there is none."""
    if data.power is None:
        return missing("no_power_meter")
    return data.power if data.power.reason is None else missing(data.power.reason)


def _energy_per(data: PointData, tokens: Floats) -> Estimate:
    power = _power(data)
    return power if isinstance(power, Estimate) else _per(data, power.energy_j(data.edges_ns), tokens)


def _per(data: PointData, joules: Floats, tokens: Floats) -> Estimate:
    if not tokens.sum():
        return missing("no_tokens")
    return data.ratio(joules, tokens, lambda quotient: quotient)


def _mean(data: PointData, name: str) -> Estimate:
    power = _power(data)
    return power if isinstance(power, Estimate) else _known(power.mean(name, *_ends(data.edges_ns)), "not_exposed")


def _throttled(data: PointData, kind: str) -> Estimate:
    power = _power(data)
    return power if isinstance(power, Estimate) else _known(power.throttled(kind, *_ends(data.edges_ns)), "not_exposed")


def _ends(edges_ns: Int64) -> tuple[int, int]:
    return int(edges_ns[0]), int(edges_ns[-1])


def _known(value: float | None, reason: str) -> Estimate:
    return missing(reason) if value is None else Estimate(value=value)
