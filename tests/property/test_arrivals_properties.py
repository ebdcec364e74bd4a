"""What a schedule promises whatever its seed: its rate, its burstiness, and one whole however it is shared."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import CPU, MODEL

from harness.arrivals import due_s, schedule_s
from harness.spec import Arrivals, EngineSpec, Mtp, Parallel, Point, Run, ServerSettings, Workload

GAPS = 20_000
RUN = Run(
    model=MODEL,
    gpu=CPU,
    precision="bf16",
    engine=EngineSpec(name="emulator"),
    parallel=Parallel(),
    settings=ServerSettings(max_running_requests=8, context=256),
    mtp=Mtp(),
)
seeds = st.integers(0, 2**32)
rates = st.floats(0.001, 100_000)


def gaps(arrivals, rate, seed):
    return np.diff(list(islice(due_s(arrivals, rate, np.random.default_rng(seed)), GAPS + 1)), prepend=0.0)


@settings(max_examples=40, deadline=None)
@given(seeds, rates, st.floats(0.05, 20))
def test_gaps_have_the_rates_mean_and_the_burstiness_they_are_asked_for(seed, rate, burstiness):
    found = gaps(Arrivals(process="gamma", burstiness=burstiness), rate, seed) * rate
    cv = burstiness**-0.5

    # Six standard errors: of a mean, and of the variance of a gamma distribution, whose kurtosis is 3 + 6 / shape.
    assert 1.0 == pytest.approx(found.mean(), abs=6 * cv / GAPS**0.5)
    assert cv**2 == pytest.approx(found.var(), rel=6 * ((2 + 6 / burstiness) / GAPS) ** 0.5)
    assert (found >= 0).all()


@settings(max_examples=20, deadline=None)
@given(seeds, rates)
def test_poisson_arrivals_are_as_many_in_equal_times_as_poisson_says(seed, rate):
    due = np.cumsum(gaps(Arrivals(), rate, seed)) * rate
    counts = np.histogram(due, np.arange(0, 0.9 * GAPS, 20.0))[0]

    # The variance of a Poisson count is its mean; of so many counts it is known to about sqrt(2 / n).
    assert 1.0 == pytest.approx(counts.var() / counts.mean(), abs=6 * (2 / len(counts)) ** 0.5)


@settings(max_examples=40, deadline=None)
@given(seeds, rates, st.integers(1, 9), st.sampled_from(["poisson", "constant"]))
def test_however_many_share_a_schedule_together_they_send_it(seed, rate, shares, process):
    workload = Workload(name="w", isl=64, osl=20, seed=seed)
    point = Point(run=RUN, workload=workload, rate=rate, arrivals=Arrivals(process=process), launch=0)

    whole = list(islice(schedule_s(point), 90 * shares))
    parts = [list(islice(schedule_s(point, share, shares), 90)) for share in range(shares)]

    assert whole == [part[place] for place in range(90) for part in parts]
    assert whole == sorted(whole)
