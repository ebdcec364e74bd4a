"""The emulated engine against closed form: what a profile's numbers must give, worked out here from its YAML alone."""

from functools import cache
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import yaml

PROFILES = Path(__file__).parents[3] / "configs" / "emulator"
ISL, OSL = 512, 256
WITHIN = 0.01

PROFILE = pytest.mark.parametrize("profile", ["h100-like", "cpu-like"])
CONCURRENCY = pytest.mark.parametrize("users", [1, 8, 48])
ARM = pytest.mark.parametrize(("k", "length"), [(0, 1.0), (1, 1.85), (3, 2.6)], ids=["off", "mtp1", "mtp3"])


def chances(k, length):
    """Chance of accepting 0, 1, ... k drafts when each is accepted with one probability after the ones before it."""
    low, high = 0.0, 1.0
    for _ in range(100):
        rate = (low + high) / 2
        low, high = (rate, high) if sum(rate**i for i in range(k + 1)) < length else (low, rate)
    return [rate**i * (1 - rate) for i in range(k)] + [rate**k]


def decode_steps(k, length):
    """Expected decode steps after the first token, and their expected contexts added up, by recursion from the end."""
    chance = chances(k, length)

    @cache
    def onwards(generated):
        if generated >= OSL:
            return 0.0, 0.0
        steps, context = 1.0, float(ISL + generated)
        for accepted, p in enumerate(chance):
            more = onwards(generated + accepted + 1)
            steps += p * more[0]
            context += p * more[1]
        return steps, context

    for generated in range(OSL, 0, -1):  # the end first: recursion stays shallow
        onwards(generated)
    return onwards(1)


def expected(profile, users, k, length):
    """Output tok/s and one user's tok/s after the first token, in the steady state."""
    cost = yaml.safe_load((PROFILES / f"{profile}.yaml").read_text())
    steps, context = decode_steps(k, length)
    cycle = 1 + steps  # a request takes one step for its prompt and `steps` for the rest

    def step_s(decoding, contexts, prompts):
        return (
            cost["fixed_s"]
            + cost["per_position_s"] * decoding * (1 + k)
            + cost["per_context_token_s"] * contexts
            + cost["per_prefill_token_s"] * prompts * ISL
            + cost["per_draft_s"] * k
        )

    mean_s = step_s(users * steps / cycle, users * context / cycle, users / cycle)
    others = users - 1
    decoding_s = step_s(1 + others * steps / cycle, context / steps + others * context / cycle, others / cycle)
    return users * OSL / (cycle * mean_s), (OSL - 1) / (steps * decoding_s)


def observed(samples, start_ns, end_ns):
    """Tokens stamped between the two times, per second; and the median user's speed after the first token."""
    produced = 0
    speeds = []
    for i in range(len(samples)):
        part = slice(samples.offsets[i], samples.offsets[i + 1])
        stamps, tokens = samples.chunk_ns[part], samples.chunk_tokens[part]
        produced += np.diff(tokens, prepend=0)[(stamps > start_ns) & (stamps <= end_ns)].sum()
        if samples.index[i] >= 0 and not samples.error[i] and start_ns < stamps[-1] <= end_ns:
            speeds.append((tokens[-1] - tokens[0]) / ((stamps[-1] - stamps[0]) / 1e9))
    return produced / ((end_ns - start_ns) / 1e9), median(speeds)


@PROFILE
@CONCURRENCY
@ARM
def test_throughput_and_interactivity_are_those_of_closed_form(emulated, profile, users, k, length):
    tok_s, user_tok_s = expected(profile, users, k, length)
    request_s = users * OSL / tok_s

    point = emulated(
        profile,
        draft_tokens=k,
        acceptance_length=length,
        concurrency=users,
        isl=ISL,
        osl=OSL,
        duration_s=42 * request_s,
    )
    start_ns = point.samples.sent_ns.min()
    measured = observed(point.samples, start_ns + 2 * request_s * 1e9, start_ns + 42 * request_s * 1e9)

    assert (pytest.approx(tok_s, rel=WITHIN), pytest.approx(user_tok_s, rel=WITHIN)) == measured
