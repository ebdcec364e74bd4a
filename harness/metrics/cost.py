"""What the tokens cost by the GPU's file: dollars, and megawatts that are provisioned for it.

Provisioned power is an assumption, measured energy (`energy`) a reading of sensors: they never share a name.
"""

from harness.metrics.point_data import PointData, mapped, missing
from harness.metrics.throughput import output_tok_s_gpu, total_tok_s_gpu
from harness.records import Estimate
from harness.units import tok_s_mw, usd_per_mtok


def cost_per_mtok(data: PointData) -> Estimate:
    """$ for a million tokens, input and output."""
    return _cost(data, total_tok_s_gpu(data))


def cost_per_mtok_output(data: PointData) -> Estimate:
    """$ for a million output tokens, which carry the whole price."""
    return _cost(data, output_tok_s_gpu(data))


def _cost(data: PointData, tok_s_gpu: Estimate) -> Estimate:
    price = None if data.prices is None else data.prices.usd_per_gpu_hour.get(data.tier)
    if price is None:
        return missing("no_price")
    return mapped(tok_s_gpu, lambda rate: usd_per_mtok(price, rate))


def tok_s_mw_provisioned(data: PointData) -> Estimate:
    """Tokens a second for each megawatt of provisioned all-in power."""
    kw = None if data.prices is None else data.prices.all_in_kw
    return missing("no_all_in_power") if kw is None else mapped(total_tok_s_gpu(data), lambda rate: tok_s_mw(rate, kw))
