"""A profile from data sheets: bytes over bandwidth and arithmetic over peak, at a share of both.

Where nothing has been measured this is what can be said, and its band is wide: serving engines lie between a quarter
and three quarters of a GPU's peak. Knows facts of a model and a GPU, and no measurement.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.emulator.profile import Profile
from harness.errors import UserError
from harness.paths import packaged_configs
from harness.spec import Run

SHARE_OF_PEAK = (0.25, 0.75)
"""Of bandwidth and arithmetic: where serving engines lie."""

USUAL_SHARE = (SHARE_OF_PEAK[0] * SHARE_OF_PEAK[1]) ** 0.5

STEP_OVERHEAD_S = 0.002
"""Scheduling, sampling and kernel launches of one step; of a draft pass a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """Of one server, all its GPUs together: bytes, bytes/s, FLOP and FLOP/s."""

    weights: float
    active_share: float
    kv_per_token: float
    bandwidth: float
    flop_per_position: float
    flops: float


def why_unknown(run: Run) -> str | None:
    """The first fact that is missing for a roofline; None when all are there."""
    model, gpu = run.model, run.gpu
    facts = {
        f"{model.name} has no weight_gb.{run.precision}": model.weight_gb.get(run.precision),
        f"{gpu.name} has no dense_tflops.{run.precision}": gpu.dense_tflops.get(run.precision),
        f"{gpu.name} has no bandwidth_tb_s": gpu.bandwidth_tb_s,
        f"{model.name} has no kv_bytes_per_token": model.kv_bytes_per_token,
    }
    return next((reason for reason, fact in facts.items() if fact is None), None)


def roofline(run: Run, share: float = USUAL_SHARE, *, overhead_s: float = STEP_OVERHEAD_S) -> Profile:
    """The profile of a Run's server at a share of its GPUs' peak.

    One position reads its own experts, a large batch all weights; positions cost arithmetic; a draft pass reads what a
    layer of the target does.

    Raises:
        UserError: a fact is missing.
    """
    facts = _facts(run)
    bytes_s, flops = facts.bandwidth * share, facts.flops * share
    position_s = facts.flop_per_position / flops
    active_s = facts.weights * facts.active_share / bytes_s
    low, high = (share / end for end in reversed(SHARE_OF_PEAK))
    return Profile(
        name=name_of(run),
        fixed_s=active_s + overhead_s,
        per_position_s=position_s,
        per_context_token_s=facts.kv_per_token / bytes_s,
        per_prefill_token_s=position_s,
        per_draft_s=active_s / run.model.layers + overhead_s / 10,
        spread_s=facts.weights / bytes_s - active_s,
        spread_positions=1 / facts.active_share,
        band=(low, high),
        source=f"derived from the data sheet of {run.gpu.name} and the shape of {run.model.name}",
    )


def name_of(run: Run) -> str:
    """Stem of a system's profile in configs/emulator: model, precision, GPU and how many."""
    return f"{run.model.name}-{run.precision}-{run.gpu.name}x{run.parallel.gpus}"


def fitted_file(run: Run) -> Path | None:
    """File of the profile that was fitted to measurements of a Run's system; None when there is none."""
    file = packaged_configs() / "emulator" / f"{name_of(run)}.yaml"
    return file if file.is_file() else None


def _facts(run: Run) -> _Facts:
    missing = why_unknown(run)
    if missing:
        raise UserError(missing)
    model, gpu, gpus = run.model, run.gpu, run.parallel.gpus
    assert model.kv_bytes_per_token is not None
    assert gpu.bandwidth_tb_s is not None
    return _Facts(
        weights=model.weight_gb[run.precision] * 1e9,
        active_share=model.active_b / model.parameters_b if model.moe else 1.0,
        kv_per_token=model.kv_bytes_per_token,
        bandwidth=gpu.bandwidth_tb_s * 1e12 * gpus,
        flop_per_position=2e9 * model.active_b,
        flops=gpu.dense_tflops[run.precision] * 1e12 * gpus,
    )
