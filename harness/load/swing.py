"""Whether a window's blocks follow one slow swing, so that its mean depends on where the swing was cut.

A transient, and a level that moves for good, are MSER-5's to find. A server whose speed swings has neither: half a
swing looks settled. Swings that fit in four times or more are averaged, and are no fault.
"""

import numpy as np

from harness.stats import Floats

FEWEST_BLOCKS = 16
"""Any ten numbers lie near some sinusoid: in sixteen, one point of a hundred does whose blocks' correlation is 0.6."""

EXPLAINED = 0.9
"""Share of the blocks' variance that one sinusoid explains."""

MATERIAL = 0.02
"""Half of what the sinusoid moves within the window, over the mean."""

_CYCLES = np.arange(2, 32) / 8
"""How often the swing fits in the window: from a quarter, which is a drift, to under four."""


def swings(rates: Floats) -> bool:
    """Whether output tok/s of equal blocks is a slow sinusoid, found by least squares over its frequency."""
    if len(rates) < FEWEST_BLOCKS or not rates.mean() > 0:
        return False
    apart = rates - rates.mean()
    fits = [_fitted(rates, cycles) for cycles in _CYCLES]
    best = min(fits, key=lambda fit: float(np.sum((rates - fit) ** 2)))
    unexplained = float(np.sum((rates - best) ** 2))
    return bool(
        unexplained < (1 - EXPLAINED) * float(apart @ apart) and np.ptp(best) / 2 > MATERIAL * float(rates.mean())
    )


def _fitted(rates: Floats, cycles: float) -> Floats:
    angle = 2 * np.pi * cycles * (np.arange(len(rates)) + 0.5) / len(rates)
    shape = np.stack([np.ones(len(rates)), np.cos(angle), np.sin(angle)], axis=1)
    fitted: Floats = shape @ np.linalg.lstsq(shape, rates, rcond=None)[0]
    return fitted
