"""From raw samples to the numbers of a row: pure functions over one point, streaming over its samples.

`METRICS` names every number with its unit, formula and source; `score` computes them all for a Window. Knows no
files, no clocks, no verdicts: counters and power come as arguments, and a number that can't be had is None with a
reason.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.metrics.counters import Counters
from harness.metrics.others import Others
from harness.metrics.point_data import PointData, block_medians, missing
from harness.metrics.reduce import Counts, Reduced, reduce
from harness.metrics.speculation import drafted_share
from harness.metrics.table import INTERACTIVITY, METRICS, POSITIONS, REASONS, THROUGHPUT, Metric
from harness.metrics.unfinished import Unfinished
from harness.power.point_power import PointPower
from harness.records import EngineCounters, Estimate, NoWindow, SampleBatches, Window
from harness.spec import Point, Prices
from harness.stats import Floats

__all__ = [
    "DEFAULT_TIER",
    "INTERACTIVITY",
    "METRICS",
    "REASONS",
    "THROUGHPUT",
    "Counts",
    "Metric",
    "Score",
    "score",
]

DEFAULT_TIER = "hyperscaler"
"""Whose price stands behind $ per million tokens: the one tier that every GPU file with prices has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A point in numbers.

    Attributes:
        estimates: METRICS name -> number; positions beyond the arm's drafts are absent.
        blocks: the series that a comparison resamples, a value for each of the window's blocks: `interactivity`,
            `total_tok_s_gpu`, `output_tok_s_gpu`; empty where the number could not be had.
        counts: how the requests went.
        drafts: drafts that the server has counted: in the window for an MTP arm, since its start for Off or without a
            window; None when no reading has such a counter.
        counters_read: whether the server's counters were read, and count what it does: a page may be empty.
        unfinished: requests that the end cut off; None without a window.
        others: the server's work beyond this load's; None without a window.
        drafted_share: steps that had drafts over all decode steps; None for Off, and where nothing tells.
        draft_length: drafts a step that had any; None likewise.
        cached_share: prompt tokens that came from a prefix cache, over all of them; None where it is not known.
    """

    estimates: Mapping[str, Estimate]
    blocks: Mapping[str, tuple[float, ...]]
    counts: Counts
    drafts: float | None
    counters_read: bool
    unfinished: Unfinished | None = None
    others: Others | None = None
    drafted_share: float | None = None
    draft_length: float | None = None
    cached_share: float | None = None


def score(
    point: Point,
    batches: SampleBatches,
    readings: Sequence[EngineCounters],
    window: Window | NoWindow,
    *,
    power: PointPower | None = None,
    tier: str = DEFAULT_TIER,
    seed: int = 0,
    names: Collection[str] = METRICS.keys(),
) -> Score:
    """Every metric of a point, in one pass over its samples.

    Args:
        point: what was measured.
        batches: its raw samples.
        readings: the server's counters from warm-up to the end.
        window: its steady part; without one every number is missing, and only `counts` and `drafts` are had.
        power: what the GPUs drew; None where nothing measured it.
        tier: whose price counts.
        seed: of the bootstrap.
        names: of the metrics wanted; a study of thousands of points needs few.
    """
    if isinstance(window, NoWindow):
        return _without_window(point, batches, readings)
    edges_ns = np.asarray(window.blocks_ns, np.int64)
    unfinished, others = Unfinished(edges_ns), Others(readings, edges_ns)
    reduced = reduce(others.passing(unfinished.passing(batches())), edges_ns)
    data = PointData(
        point=point,
        reduced=reduced,
        counters=Counters(readings, edges_ns),
        power=power,
        edges_ns=edges_ns,
        prices=_newest(point.run.gpu.prices),
        tier=tier,
        seed=seed,
    )
    unused = {f"acceptance_position_{index}" for index in range(point.run.mtp.draft_tokens, POSITIONS)}
    asked = [name for name in _of_its_loop(point) if name in names and name not in unused]
    estimates = {name: METRICS[name].of(data) for name in asked}
    return Score(
        estimates=estimates,
        blocks=_blocks(reduced, data.gpus),
        counts=reduced.counts,
        drafts=_drafts(data),
        counters_read=_shows_tokens(readings),
        unfinished=unfinished,
        others=others,
        drafted_share=drafted_share(data),
        draft_length=None if point.run.is_off else _quotient(data.counters, "draft_tokens", "drafts"),
        cached_share=_quotient(data.counters, "prefix_cache_hits", "prompt_tokens"),
    )


def _of_its_loop(point: Point) -> list[str]:
    """METRICS that a point has: in closed loop nothing is due."""
    return [name for name, metric in METRICS.items() if point.rate is not None or not metric.open_loop]


def _without_window(point: Point, batches: SampleBatches, readings: Sequence[EngineCounters]) -> Score:
    nowhere = np.array([0, 1], np.int64)
    return Score(
        estimates=dict.fromkeys(_of_its_loop(point), missing("no_window")),
        blocks={},
        counts=reduce(batches(), nowhere).counts,
        drafts=Counters(readings, nowhere).latest("drafts"),
        counters_read=_shows_tokens(readings),
    )


def _shows_tokens(readings: Sequence[EngineCounters]) -> bool:
    return any(reading.generation_tokens is not None for reading in readings)


def _newest(prices: Sequence[Prices]) -> Prices | None:
    return max(prices, key=lambda price: price.since, default=None)


def _drafts(data: PointData) -> float | None:
    if data.point.run.is_off:
        return data.counters.latest("drafts")
    grown = data.counters.difference("drafts")
    return None if isinstance(grown, str) else float(grown.sum())


def _quotient(counters: Counters, name: str, over: str) -> float | None:
    """One counter's growth in the window over another's; None where either is not known, or the latter is 0."""
    grown = [counters.difference(each) for each in (name, over)]
    sums = [float(values.sum()) for values in grown if not isinstance(values, str)]
    return sums[0] / sums[1] if len(sums) == 2 and sums[1] else None


def _blocks(reduced: Reduced, gpus: int) -> dict[str, tuple[float, ...]]:
    def rates(tokens: Floats) -> tuple[float, ...]:
        return tuple((tokens / reduced.block_s / gpus).tolist())

    return {
        "interactivity": _block_medians(reduced),
        "total_tok_s_gpu": rates(reduced.input_tokens + reduced.output_tokens),
        "output_tok_s_gpu": rates(reduced.output_tokens),
    }


def _block_medians(reduced: Reduced) -> tuple[float, ...]:
    """Median interactivity of the requests that end in each block; where none does, of the next that has one.

    At low concurrency a request may span a block from end to end; its speed is known only where it ends.
    """
    cohort = reduced.cohort
    known = np.isfinite(cohort.tpot_s)
    if not known.any():
        return ()
    medians = block_medians(1 / cohort.tpot_s[known], cohort.block[known], len(reduced.block_s))
    filled = np.flatnonzero(np.isfinite(medians))
    following = np.minimum(np.searchsorted(filled, np.arange(len(medians))), len(filled) - 1)
    return tuple(medians[filled[following]].tolist())
