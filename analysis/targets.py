"""Both arms side by side, read at one interactivity or measured at one load: numbers, ratios, intervals.

Knows curves and assumptions; no files, no words, no verdict on the whole.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.assumptions import Assumptions
from analysis.curve import COLUMNS, MEASURED_POWER, Curve, Float
from analysis.launch_spread import LaunchSpread
from analysis.pairs import MeasuredLoad, Pair
from analysis.ratio import Ratio, ratio
from analysis.rows import OUTPUT, X, Y
from analysis.spread import Error, Spread, level_errors
from harness.spec import Load

QUARTERS = (0.25, 0.5, 0.75)
TTFT_APART = 2.0
"""Arms whose TTFT differ by more than this factor give the user another service: warned about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One arm at one place. None is not known.

    Attributes:
        half_width: half of the 95 % interval of total_tok_s_gpu, relative.
        concurrency: requests in flight, read between points; exact at a measured concurrency, found at a rate.
        gpus: GPUs of the deployments that the place lies between.
        tok_s_mw_provisioned: by the assumed all-in power.
        energy_j_per_tok_output, tok_s_mw_measured: by the GPUs' sensors.
        clamped: the arm has no such interactivity, and this is its nearest end.
    """

    interactivity: float
    total_tok_s_gpu: float
    half_width: float | None
    output_tok_s_gpu: float | None
    input_tok_s_gpu: float | None
    cost_per_mtok: float | None
    cost_per_mtok_output: float | None
    tok_s_mw_provisioned: float | None
    concurrency: float
    ttft_s: float | None
    acceptance_length: float | None
    gpus: tuple[int, ...]
    energy_j_per_tok_output: float | None = None
    tok_s_mw_measured: float | None = None
    clamped: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Both arms at one interactivity.

    Attributes:
        ratio: MTP over Off in total tok/s/GPU; None where an arm is clamped, for then they are not at one speed.
        output_ratio: the same in output tok/s/GPU.
        energy_ratio, tok_s_mw_ratio: the same in J per output token and in tok/s/MW, as measured; None too where the
            sensors of the arms cover different things.
    """

    at: float
    mtp: Reading
    off: Reading
    ratio: Ratio | None = None
    output_ratio: Ratio | None = None
    energy_ratio: Ratio | None = None
    tok_s_mw_ratio: Ratio | None = None

    @property
    def clamped(self) -> tuple[str, ...]:
        """Arms that do not reach the interactivity."""
        return tuple(name for name, arm in (("mtp", self.mtp), ("off", self.off)) if arm.clamped)


@dataclass(frozen=True, slots=True)
class SameConcurrency:
    """Both arms at one concurrency, or one rate in open loop, as measured: nothing is interpolated.

    Attributes:
        speedup: MTP over Off in interactivity.
        ratio, output_ratio: in total and in output tok/s/GPU.
    """

    load: Load
    mtp: Reading
    off: Reading
    speedup: Ratio
    ratio: Ratio
    output_ratio: Ratio | None

    @property
    def step_time_ratio(self) -> float | None:
        """Time of a step with MTP over one without: acceptance length over speed-up.

        It is the acceptance length at which MTP would break even here: interactivity is tokens a step over its time.
        """
        length = self.mtp.acceptance_length
        return None if length is None else length / self.speedup.value


def default_targets(overlap: tuple[float, float]) -> tuple[float, ...]:
    """A quarter, half and three quarters of the way, to three significant digits where these stay apart inside."""
    lo, hi = overlap
    exact = [lo + part * (hi - lo) for part in QUARTERS]
    rounded = [float(f"{value:.3g}") for value in exact]
    distinct = len(set(rounded)) == len(rounded) and all(lo < value < hi for value in rounded)
    return tuple(rounded if distinct else exact)


def targets(
    mtp: Spread, off: Spread, at: Sequence[float], assumptions: Assumptions, *, within_launch: bool
) -> tuple[Target, ...]:
    """Both arms at each interactivity."""
    places = np.array(at, float)
    errors = [arm.errors(_inside(arm.curve, places)) for arm in (mtp, off)]
    readings = [
        _readings(arm.curve, places, of_arm[Y], assumptions) for arm, of_arm in zip((mtp, off), errors, strict=True)
    ]
    found = []
    for i, place in enumerate(at):
        of_mtp, of_off = readings[0][i], readings[1][i]
        if of_mtp.clamped or of_off.clamped:
            found.append(Target(place, of_mtp, of_off))
            continue
        ratios = [
            _ratio(
                *(of_mtp, of_off, name, (errors[0][name][i], errors[1][name][i])),
                _interpolation(mtp.curve, off.curve, place, name if name in MEASURED_POWER else Y),
                within_launch,
            )
            if name not in MEASURED_POWER or _one_scope(mtp.curve, off.curve)
            else None
            for name in (Y, OUTPUT, *MEASURED_POWER)
        ]
        found.append(Target(place, of_mtp, of_off, *ratios))
    return tuple(found)


def _one_scope(mtp: Curve, off: Curve) -> bool:
    """Whether all power of both arms was measured of the same thing."""
    rows = [row for curve in (mtp, off) for level in curve.levels for row in level.rows]
    return len({scope for row in rows if (scope := row.cells.get("power_scope"))}) == 1


def same_concurrency(
    pair: Pair, assumptions: Assumptions, *, within_launch: bool, recorded: LaunchSpread | None = None
) -> tuple[SameConcurrency, ...]:
    """Both arms at every load that both measured; for a pair of one topology."""
    off = {level.load: level for level in pair.off.levels}
    shared = [(level, off[level.load]) for level in pair.mtp.levels if level.load in off]
    return tuple(_same_concurrency(mtp, other, assumptions, within_launch, recorded) for mtp, other in shared)


def _same_concurrency(
    mtp: MeasuredLoad, off: MeasuredLoad, assumptions: Assumptions, within_launch: bool, recorded: LaunchSpread | None
) -> SameConcurrency:
    errors = [level_errors(level, recorded) for level in (mtp, off)]
    readings = [_measured(level, error[Y], assumptions) for level, error in zip((mtp, off), errors, strict=True)]

    def of(name: str) -> Ratio | None:
        return _ratio(readings[0], readings[1], name, (errors[0][name], errors[1][name]), 0.0, within_launch)

    speedup, total = of(X), of(Y)
    assert speedup is not None  # rows without either are not usable
    assert total is not None
    return SameConcurrency(mtp.load, readings[0], readings[1], speedup, total, of(OUTPUT))


def _ratio(
    mtp: Reading,
    off: Reading,
    name: str,
    errors: tuple[Error | None, Error | None],
    interpolation: float | None,
    within_launch: bool,
) -> Ratio | None:
    values = getattr(mtp, name), getattr(off, name)
    if None in values:
        return None
    logs = math.log(values[0]), math.log(values[1])
    return ratio(*logs, errors, interpolation=interpolation, within_launch=within_launch)


def _interpolation(mtp: Curve, off: Curve, at: float, name: str) -> float | None:
    """The most that the ratio moves when a knot beside the place is left out of either curve, relative.

    None where either can't tell.
    """
    changes = [curve.interpolation_change(at, name) for curve in (mtp, off) if name in curve.log_y]
    known = [change for change in changes if change is not None]
    return math.expm1(max(known)) if len(known) == 2 else None


def _inside(curve: Curve, at: Float) -> Float:
    low, high = curve.span
    return np.clip(at, low, high)


def _readings(curve: Curve, at: Float, errors: Sequence[Error | None], assumptions: Assumptions) -> list[Reading]:
    inside = _inside(curve, at)
    columns = {name: np.exp(logs) for name, logs in curve.logs(curve.where(inside)).items()}
    return [
        _reading(
            {name: float(values[i]) for name, values in columns.items()},
            interactivity=float(inside[i]),
            error=errors[i],
            assumptions=assumptions,
            gpus=tuple(sorted({curve.knots[knot].topology.gpus for knot in curve.around(float(inside[i]))})),
            clamped=bool(inside[i] != at[i]),
        )
        for i in range(len(at))
    ]


def _measured(level: MeasuredLoad, error: Error | None, assumptions: Assumptions) -> Reading:
    """A level as it was measured."""
    columns = {name: level.mean(name) for name in COLUMNS}
    return _reading(
        {"concurrency": float(level.concurrency), **columns},
        interactivity=level.required(X),
        error=error,
        assumptions=assumptions,
        gpus=(level.topology.gpus,),
    )


def _reading(
    columns: Mapping[str, float | None],
    *,
    interactivity: float,
    error: Error | None,
    assumptions: Assumptions,
    gpus: tuple[int, ...],
    clamped: bool = False,
) -> Reading:
    total, concurrency = columns[Y], columns["concurrency"]
    assert total is not None  # rows without it are not usable
    assert concurrency is not None
    return Reading(
        interactivity=interactivity,
        total_tok_s_gpu=total,
        half_width=error.half_width if error else None,
        output_tok_s_gpu=columns.get(OUTPUT),
        input_tok_s_gpu=columns.get("input_tok_s_gpu"),
        cost_per_mtok=assumptions.cost_per_mtok(total),
        cost_per_mtok_output=assumptions.cost_per_mtok(columns.get(OUTPUT)),
        tok_s_mw_provisioned=assumptions.tok_s_mw(total),
        concurrency=concurrency,
        ttft_s=columns.get("ttft_s"),
        acceptance_length=columns.get("acceptance_length"),
        gpus=gpus,
        energy_j_per_tok_output=columns.get("energy_j_per_tok_output"),
        tok_s_mw_measured=columns.get("tok_s_mw_measured"),
        clamped=clamped,
    )
