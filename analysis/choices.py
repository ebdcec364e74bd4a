"""Several draft lengths beside one Off: which should run where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.comparison import Comparison
from analysis.pairs import MATCHED
from analysis.targets import default_targets
from analysis.understand import Best, best_by_concurrency, best_by_interactivity


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
        if (
            pair.view == MATCHED and judged and not comparison.diff.of("must equal")
        ):  # by force, it may be another system
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
