"""Gaps between chunks, a hundred million of them, as counts in fine cells: their quantiles without keeping them."""

import math

import numpy as np

from harness.stats import Floats, Ints, weighted_quantile, weighted_quantile_draws

_SMALLEST = 1e-6
_STEP = math.log1p(0.001)
_CELLS = math.ceil(math.log(1e9) / _STEP)


class Histogram:
    """Weighted values by block, in cells 0.1 % wide from 1 µs to 1000 s.

    A cell stands for the mean of what fell into it, so values that are all alike come back exactly.

    Args:
        blocks: number of time blocks.
    """

    def __init__(self, blocks: int) -> None:
        self._weights = np.zeros((blocks, _CELLS))
        self._sums = np.zeros((blocks, _CELLS))

    def add(self, block: Ints, values: Floats, weights: Floats) -> None:
        """Count values, each in the block that it belongs to; zeros go into the first cell, as zeros."""
        place = np.log(np.maximum(values, _SMALLEST) / _SMALLEST) / _STEP
        flat = block * _CELLS + np.minimum(place.astype(np.int64), _CELLS - 1)
        size = self._weights.size
        self._weights += np.bincount(flat, weights, size).reshape(self._weights.shape)
        self._sums += np.bincount(flat, weights * values, size).reshape(self._sums.shape)

    def quantile(self, q: float) -> float | None:
        """The value below which a share `q` of the weight lies; None when nothing was counted."""
        centres, table = self._filled()
        return weighted_quantile(centres, table.sum(axis=0), q)

    def quantile_draws(self, counts: Ints, q: float) -> Floats:
        """The same for each resample of the blocks, see `stats.resampled`."""
        centres, table = self._filled()
        return weighted_quantile_draws(centres, table, counts, q)

    def block_quantiles(self, q: float) -> Floats:
        """The same for each block by itself; NaN in a block without any."""
        centres, table = self._filled()
        return weighted_quantile_draws(centres, table, np.eye(len(table), dtype=np.int64), q)

    def _filled(self) -> tuple[Floats, Floats]:
        weights = self._weights.sum(axis=0)
        filled = weights > 0
        centres: Floats = self._sums.sum(axis=0)[filled] / weights[filled]
        return centres, self._weights[:, filled]
