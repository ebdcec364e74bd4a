"""A point that may stop as soon as it looks precise is still as precise as it says, in about 95 % of repetitions."""

import numpy as np
import pytest

from harness.load.steady import StopRule, find_window
from harness.metrics.reduce import reduce
from harness.records import RequestSample, Window, columns
from harness.spec import WindowSpec
from harness.stats import mean_interval

USERS, TOKENS, MEAN_S, SD = 4, 12, 0.5, 0.25
TRUTH = USERS * TOKENS / (MEAN_S * np.exp(SD**2 / 2))
SPEC = WindowSpec(min_s=5.0, max_s=40.0)
REPEATS = 150
BASE = 10**12


def load(seed):
    """Users whose requests take lognormal times, 12 tokens evenly in each; the first request is a part of one."""
    rng = np.random.default_rng(seed)
    made = []
    for slot in range(USERS):
        lives = MEAN_S * rng.lognormal(0, SD, 120)
        lives[0] *= (slot + 0.5) / USERS
        ends = np.cumsum(lives)
        for index, (life, end) in enumerate(zip(lives, ends, strict=True)):
            stamps = end - life + life * np.arange(1, TOKENS + 1) / TOKENS
            made.append(
                RequestSample(
                    index=index * USERS + slot,
                    slot=slot,
                    starter=index == 0,
                    prompt_hash="",
                    isl=10,
                    osl=TOKENS,
                    sent_ns=BASE + round((end - life) * 1e9),
                    chunk_ns=BASE + np.rint(stamps * 1e9).astype(np.int64),
                    chunk_tokens=np.arange(1, TOKENS + 1, dtype=np.int32),
                    end_ns=BASE + round(end * 1e9),
                )
            )
    return sorted(made, key=lambda request: request.end_ns)


def measured(seed, target_pct):
    """What is left of the load when the rule has said stop, and the window in it."""
    requests = load(seed)
    ends = np.array([request.end_ns for request in requests])
    rule = StopRule(USERS, SPEC, target_pct)
    now_ns = BASE
    while not rule.look(now_ns, requests[: int(np.searchsorted(ends, now_ns, side="right"))]):
        now_ns += 500_000_000
    samples = columns([request for request in requests if request.end_ns <= now_ns])
    return samples, find_window(lambda: iter([samples]), concurrency=USERS, spec=SPEC, target_pct=target_pct)


@pytest.mark.parametrize("target_pct", [None, 5.0, 3.0])
def test_the_interval_of_a_point_that_stopped_itself_holds_the_truth(target_pct):
    hits, lengths = 0, []
    for seed in range(REPEATS):
        samples, window = measured(seed, target_pct)
        assert isinstance(window, Window)
        assert window.steady
        reduced = reduce(iter([samples]), np.array(window.blocks_ns))
        lo, hi = mean_interval(reduced.output_tokens / reduced.block_s)
        hits += lo <= TRUTH <= hi
        lengths.append(window.duration_s)

    assert 0.88 <= hits / REPEATS
    assert target_pct is None or np.mean(lengths) > 8
