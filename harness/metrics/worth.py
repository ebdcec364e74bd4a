"""What the tokens cost: dollars, megawatts, joules.

Provisioned power is an assumption from the GPU's file, measured energy a reading of the GPU boards: they never share
a name.
"""

import numpy as np

from harness.metrics.scene import Scene, held, mapped, missing
from harness.metrics.throughput import output_tok_s_gpu, total_tok_s_gpu
from harness.records import Estimate
from harness.stats import Floats, mean_interval
from harness.units import tok_s_mw, usd_per_mtok


def cost_per_mtok(scene: Scene) -> Estimate:
    """$ for a million tokens, input and output."""
    return _cost(scene, total_tok_s_gpu(scene))


def cost_per_mtok_output(scene: Scene) -> Estimate:
    """$ for a million output tokens, which carry the whole price."""
    return _cost(scene, output_tok_s_gpu(scene))


def _cost(scene: Scene, tok_s_gpu: Estimate) -> Estimate:
    price = None if scene.prices is None else scene.prices.usd_per_gpu_hour.get(scene.tier)
    if price is None:
        return missing("no_price")
    return mapped(tok_s_gpu, lambda rate: usd_per_mtok(price, rate))


def tok_s_mw_provisioned(scene: Scene) -> Estimate:
    """Tokens a second for each megawatt of provisioned all-in power."""
    kw = None if scene.prices is None else scene.prices.all_in_kw
    return missing("no_all_in_power") if kw is None else mapped(total_tok_s_gpu(scene), lambda rate: tok_s_mw(rate, kw))


def tok_s_mw_measured(scene: Scene) -> Estimate:
    """Tokens a second for each megawatt that the GPU boards drew: 1e6 / (J/token)."""
    return mapped(energy_j_per_tok(scene), lambda joules: 1e6 / joules)


def energy_j_per_tok(scene: Scene) -> Estimate:
    """Energy over input and output tokens."""
    return _energy_per(scene, scene.reduced.input_tokens + scene.reduced.output_tokens)


def energy_j_per_tok_input(scene: Scene) -> Estimate:
    """The whole energy over input tokens; does not add up with the output figure."""
    return _energy_per(scene, scene.reduced.input_tokens)


def energy_j_per_tok_output(scene: Scene) -> Estimate:
    """The whole energy over output tokens."""
    return _energy_per(scene, scene.reduced.output_tokens)


def _energy_per(scene: Scene, tokens: Floats) -> Estimate:
    energy = scene.energy
    if energy is None:
        return missing("no_power_meter")
    if not tokens.sum() or not energy.total_j:
        return missing("no_tokens" if energy.total_j else "nothing_counted")
    by_block = scene.ratio(np.asarray(energy.blocks_j), tokens, lambda joules: joules)
    return Estimate(value=energy.total_j / float(tokens.sum()), lo=by_block.lo, hi=by_block.hi)


def power_w_gpu(scene: Scene) -> Estimate:
    """Mean power of one GPU board."""
    energy = scene.energy
    if energy is None:
        return missing("no_power_meter")
    by_block = [joules / s / scene.gpus for joules, s in zip(energy.blocks_j, scene.reduced.block_s, strict=True)]
    return held(energy.total_j / scene.reduced.duration_s / scene.gpus, mean_interval(by_block))
