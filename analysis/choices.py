"""Several draft lengths beside one Off: which should run where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.comparison import Comparison
from analysis.curve import Curve
from analysis.pairs import MATCHED, Arm, MeasuredLoad
from analysis.ratio import TIE_MARGIN
from analysis.rows import Y
from analysis.targets import default_targets


@dataclass(frozen=True, slots=True)
class Best:
    """Which arm delivers most at one place, of those measured there.

    Attributes:
        place: a concurrency, requests a second in open loop, or an interactivity.
        tok_s_gpu: total tok/s/GPU by arm, all that were there.
        best: the first of them.
        tied: others within the tie margin of it.
    """

    place: float
    tok_s_gpu: Mapping[Arm, float]
    best: Arm
    tied: tuple[Arm, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Several draft lengths of one system side by side: what should I run?

    Attributes:
        key: the system.
        loads: what the places of `by_concurrency` are of: `concurrency`, or `requests/s` in open loop.
        by_concurrency: measured, at each load that several arms share.
        by_interactivity: the envelope, at interactivities that any arm reaches.
        stamps: what every number of it must carry.
    """

    key: str
    loads: str
    by_concurrency: tuple[Best, ...]
    by_interactivity: tuple[Best, ...]
    stamps: tuple[str, ...]


def choices(comparisons: Sequence[Comparison]) -> Iterator[Choice]:
    """One for each question that several MTP arms were asked beside the same Off."""
    systems: dict[tuple[object, ...], list[Comparison]] = {}
    for comparison in comparisons:
        pair = comparison.pair
        judged = comparison.verdict is not None and not comparison.barred  # what to run is a verdict
        forced = bool(comparison.diff.of("must equal"))  # it may be another system
        if pair.view == MATCHED and judged and not forced:
            # A Run's key tells neither its workload nor its load, nor whether it was a demo: the question does.
            runs = tuple(sorted({(row.run_key, row.version or "") for row in pair.off.rows}))
            systems.setdefault((pair.question, pair.off.topologies, runs), []).append(comparison)
    for group in systems.values():
        if len(group) > 1:
            yield _choice(group)


def _choice(group: Sequence[Comparison]) -> Choice:
    first = group[0]
    curves = {first.pair.off.arm: first.off.curve}
    curves |= {comparison.pair.mtp.arm: comparison.mtp.curve for comparison in group}
    spans = [line.span for line in curves.values()]
    reached = min(low for low, _ in spans), max(high for _, high in spans)
    return Choice(
        key=first.pair.key.rpartition("/")[0],
        loads=first.pair.off.levels[0].load.unit,
        by_concurrency=best_by_concurrency({arm: line.levels for arm, line in curves.items()}),
        by_interactivity=best_by_interactivity(curves, default_targets(reached)),
        stamps=tuple(dict.fromkeys(stamp for comparison in group for stamp in comparison.stamps)),
    )


def best_by_concurrency(arms: Mapping[Arm, Sequence[MeasuredLoad]]) -> tuple[Best, ...]:
    """At each load that several arms were measured at, which delivers most."""
    told: dict[float, dict[Arm, float]] = {}
    for arm, levels in arms.items():
        for level in levels:
            value = level.mean(Y)
            if value is not None:
                told.setdefault(level.load.amount, {})[arm] = value
    return tuple(_best(amount, values) for amount, values in sorted(told.items()) if len(values) > 1)


def best_by_interactivity(arms: Mapping[Arm, Curve], at: Sequence[float]) -> tuple[Best, ...]:
    """The envelope: at each interactivity that any arm reaches, which delivers most."""
    places = np.array(at, float)
    told: list[dict[Arm, float]] = [{} for _ in at]
    for arm, curve in arms.items():
        for values, value in zip(told, np.exp(curve.log(Y, places)), strict=True):
            if np.isfinite(value):
                values[arm] = float(value)
    return tuple(_best(place, values) for place, values in zip(at, told, strict=True) if values)


def _best(place: float, values: Mapping[Arm, float]) -> Best:
    ranked = sorted(values, key=lambda arm: (-values[arm], arm))
    best = ranked[0]
    tied = tuple(arm for arm in ranked[1:] if values[arm] * (1 + TIE_MARGIN) >= values[best])
    return Best(place, {arm: values[arm] for arm in ranked}, best, tied)
