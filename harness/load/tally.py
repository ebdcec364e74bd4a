"""What is kept of a point's requests to find its Window: tokens by tenths of a second and a few numbers a request.

The same tally is fed request by request while the load runs and batch by batch from a file afterwards.
"""

import math

import numpy as np

from harness.load.horizon import Horizon
from harness.metrics.requests import Requests
from harness.records import Int64, Samples
from harness.stats import Floats
from harness.units import NS_PER_S

GRID_NS = NS_PER_S // 10
"""Finest resolution in time of everything that is decided from a tally."""


class Tally:
    """Counts over the requests that have ended.

    Attributes:
        start_ns: first send; None before anything ended.
        horizon: up to when they are all that there was.
    """

    def __init__(self, horizon: Horizon) -> None:
        self.start_ns: int | None = None
        self.horizon = horizon
        self._tokens: dict[int, int] = {}
        self._full: list[Int64] = []
        self._tpot_s: list[Floats] = []

    def add(self, samples: Samples) -> None:
        """Count requests that have ended, in any order."""
        if not len(samples):
            return
        requests = Requests(samples)
        sent_ns = int(samples.sent_ns.min())
        self.start_ns = sent_ns if self.start_ns is None else min(self.start_ns, sent_ns)
        self._count_tokens(requests)
        self.horizon.add(requests)
        full = requests.full
        self._full.append(np.stack([samples.sent_ns[full], requests.last_ns[full], samples.end_ns[full]]))
        self._tpot_s.append(requests.tpot_s[full])

    def _count_tokens(self, requests: Requests) -> None:
        counted = (requests.good | requests.cut_off)[requests.owner]
        cells, place = np.unique(requests.samples.chunk_ns[counted] // GRID_NS, return_inverse=True)
        for cell, tokens in zip(
            cells.tolist(), np.bincount(place, requests.chunk_delta[counted]).tolist(), strict=True
        ):
            self._tokens[cell] = self._tokens.get(cell, 0) + int(tokens)

    def request_time_s(self) -> float | None:
        """Median time of a full request, send to end; None before the first."""
        sent_ns, _, end_ns = self._columns()
        return float(np.median(end_ns - sent_ns)) / NS_PER_S if len(sent_ns) else None

    def rates(self, bin_s: float, end_ns: int) -> tuple[Floats, float]:
        """Output tokens a second from the first send on, by bins, and the length of a bin.

        Args:
            bin_s: shortest bin; it is lengthened to whole grid cells.
            end_ns: where the last whole bin ends at the latest.
        """
        assert self.start_ns is not None
        width = max(1, math.ceil(bin_s * NS_PER_S / GRID_NS - 1e-9))
        width_s = width * GRID_NS / NS_PER_S
        cells = self._cells(self.start_ns // GRID_NS, end_ns // GRID_NS)
        bins = len(cells) // width
        rates: Floats = cells[: bins * width].reshape(bins, width).sum(axis=1) / width_s
        return rates, width_s

    def block_rates(self, edges_ns: Int64) -> Floats:
        """Output tokens a second between edges, to the resolution of the grid."""
        first = int(edges_ns[0]) // GRID_NS
        cells = self._cells(first, int(edges_ns[-1]) // GRID_NS + 1)
        grid = (first + np.arange(len(cells) + 1)) * GRID_NS - edges_ns[0]
        passed = np.interp(edges_ns - edges_ns[0], grid, np.concatenate([[0.0], np.cumsum(cells)]))
        rates: Floats = np.diff(passed) / (np.diff(edges_ns) / NS_PER_S)
        return rates

    def block_interactivity(self, edges_ns: Int64) -> Floats:
        """Median of 1 / TPOT of the full requests that end between edges; blocks without any are left out."""
        speed = 1 / np.concatenate(self._tpot_s)
        block = np.searchsorted(edges_ns, self._columns()[1], side="right") - 1
        block[~np.isfinite(speed)] = -1
        medians = [np.median(speed[block == index]) for index in range(len(edges_ns) - 1) if (block == index).any()]
        return np.array(medians, np.float64)

    def _cells(self, first: int, last: int) -> Floats:
        return np.array([self._tokens.get(cell, 0) for cell in range(first, last)], np.float64)

    def _columns(self) -> Int64:
        """Send, last token and end of the full requests."""
        if len(self._full) > 1:
            self._full = [np.concatenate(self._full, axis=1)]
            self._tpot_s = [np.concatenate(self._tpot_s)]
        return self._full[0] if self._full else np.empty((3, 0), np.int64)
