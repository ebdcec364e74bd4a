"""How far launches of a system differ, recorded earlier: for arms that have one launch each.

Knows rows of one system and nothing of what they are used for.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.pairs import Question
from analysis.rows import OUTPUT, Row, X, Y
from harness.spec import Load

SERIES = (X, Y, OUTPUT)
"""Resampled jointly; the rest of a row has no blocks."""


@dataclass(frozen=True, slots=True, eq=False)
class LaunchSpread:
    """Launches of a system around the mean of their Run.

    Attributes:
        deviations: ln of each launch's numbers over its Run's, shape (launches, series), wide enough for so few.
        freedom: degrees of freedom: launches less one for each Run.
    """

    deviations: NDArray[np.float64]
    freedom: int


def launch_spread(rows: Iterable[Row], question: Question) -> LaunchSpread | None:
    """What rows tell of the launches of a question's system, whatever the arm and the workload; None for nothing.

    A launch's deviation is its mean over the concurrencies that all launches of its Run have: what a restart changes
    lasts as long as the server.
    """
    runs: dict[object, dict[object, dict[Load, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if _same_system(row, question):
            runs[row.folder, row.run_key, row.workload, row.isl, row.osl][row.launch_id][row.load] = row
    found = [_deviations(list(launches.values())) for launches in runs.values()]
    known = [deviations for deviations in found if deviations is not None]
    if not known:
        return None
    return LaunchSpread(np.concatenate(known), sum(len(deviations) - 1 for deviations in known))


def _same_system(row: Row, question: Question) -> bool:
    asked = (question.model, question.gpu, question.precision, question.engine, question.emulated, question.demo)
    same_loop = (row.arrivals or "") == question.arrivals  # open loops send what is due: their launches scatter less
    return (
        asked == (row.model, row.gpu, row.precision, row.engine, row.emulated, row.demo)
        and same_loop
        and not row.attached
    )


def _deviations(launches: Sequence[dict[Load, Row]]) -> NDArray[np.float64] | None:
    shared = set.intersection(*(set(launch) for launch in launches))
    if len(launches) < 2 or not shared:
        return None
    logs = np.log([[[launch[c].number_or_nan(name) for name in SERIES] for c in sorted(shared)] for launch in launches])
    around = (logs - logs.mean(axis=0)).mean(axis=1)
    return np.asarray(around * math.sqrt(len(launches) / (len(launches) - 1)))
