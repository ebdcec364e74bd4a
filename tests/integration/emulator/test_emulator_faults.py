"""Every fault that the emulator knows does what its line in the table says."""

import asyncio
import time
from statistics import median

import pytest

from harness.emulator.faults import FAULTS
from harness.emulator.settings import VERSION


async def fail_start(emulate):
    emulated = await emulate("--fault", "fail_start=7", ready=False)

    assert 7 == await emulated.ended()


async def slow_start(emulate):
    start = time.monotonic()
    await emulate("--fault", "slow_start=1.5")

    assert time.monotonic() - start > 1.5


async def stranger(emulate):
    emulated = await emulate("--fault", "stranger")

    assert ["stranger"] == [card["id"] for card in (await emulated.get("/v1/models"))["data"]]
    assert 404 == (await emulated.complete()).status


async def other_config(emulate):
    emulated = await emulate("--fault", "other_config=4", "--tp", "2", "--precision", "fp8")
    said = await emulated.get("/server_info")

    assert (4, "other") == (said["tp"], said["precision"])


async def other_version(emulate):
    emulated = await emulate("--fault", "other_version")

    assert {"version": f"{VERSION}+other"} == await emulated.get("/version")


async def other_tokens(emulate):
    emulated, honest = await emulate("--fault", "other_tokens"), await emulate()
    ids = [await one.engine.tokenize(one.http, one.endpoint, "Hello", chat=False) for one in (emulated, honest)]

    assert ids[0] != ids[1]
    assert len(ids[0]) == len(ids[1])


async def no_metrics(emulate):
    emulated = await emulate("--fault", "no_metrics")
    counters = await emulated.counters()

    assert (None, None) == (counters.generation_tokens, counters.running)


async def die(emulate):
    emulated = await emulate("--fault", "die=9@1")
    seen = await emulated.complete(max_tokens=4000)

    assert 9 == await emulated.ended()
    assert seen.tokens
    assert seen.broken


async def hang(emulate):
    emulated = await emulate("--fault", "hang@1")
    seen = await emulated.complete(max_tokens=4000, timeout_s=3)

    assert seen.tokens
    assert "TimeoutError" == seen.broken
    assert time.monotonic_ns() - seen.stamps_ns[-1] > 0.5e9
    await emulated.counters()  # the rest still answers


async def refuse(emulate):
    emulated = await emulate("--fault", "refuse=503@0.3")
    first = await emulated.complete()
    await asyncio.sleep(0.3)

    assert 200 == first.status
    assert 503 == (await emulated.complete()).status


async def refuse_connections(emulate):
    emulated = await emulate("--fault", "refuse_connections@1")
    seen = await emulated.complete(max_tokens=4000)
    later = await emulated.complete()

    assert seen.tokens
    assert seen.broken
    assert "ClientConnectorError" == later.broken
    assert emulated.process.poll() is None


async def drop_connections(emulate):
    emulated = await emulate("--fault", "drop_connections=0.25")
    seen = [await emulated.complete() for _ in range(8)]
    await emulated.idle()

    assert 2 == sum(request.broken is not None for request in seen)
    assert [4, 4] == [request.tokens[-1] for request in seen if request.broken]


async def stream_errors(emulate):
    emulated = await emulate("--fault", "stream_errors=0.25")
    seen = [await emulated.complete() for _ in range(8)]

    assert 2 == sum("error" in request.events[-1] for request in seen)
    assert not any(request.broken for request in seen)


async def no_usage(emulate):
    emulated = await emulate("--fault", "no_usage")
    seen = await emulated.complete()

    assert all(event.get("usage") is None for event in seen.events)


async def wrong_usage(emulate):
    emulated = await emulate("--fault", "wrong_usage=3")
    seen = await emulated.complete()

    assert (8, 11) == (seen.tokens[-1], seen.final["completion_tokens"])


async def wrong_prompt_tokens(emulate):
    emulated = await emulate("--fault", "wrong_prompt_tokens=2")
    seen = await emulated.complete()

    assert {6} == {event["usage"]["prompt_tokens"] for event in seen.events}


async def short_output(emulate):
    emulated = await emulate("--fault", "short_output=3")
    seen = await emulated.complete()

    assert (5, 5, "stop") == (seen.tokens[-1], seen.final["completion_tokens"], seen.finish_reason)


async def early_eos(emulate):
    emulated = await emulate("--fault", "early_eos=2", "--eos-token-id", "40")
    through = await emulated.complete()
    stopped = await emulated.complete(ignore_eos=False)
    ids = [token for _, event in through.chunks for token in event["choices"][0]["token_ids"]]

    assert 8 == len(ids)
    assert [2] == [i for i, token in enumerate(ids) if token == 40]
    assert (3, "stop") == (stopped.tokens[-1], stopped.finish_reason)


async def stop_drafting(emulate):
    emulated = await emulate("--fault", "stop_drafting", "--draft-tokens", "2")
    seen = await emulated.complete()
    counters = await emulated.counters()

    assert list(range(1, 9)) == seen.tokens
    assert (0.0, 0.0, (0.0, 0.0)) == (counters.drafts, counters.accepted_tokens, counters.accepted_per_position)
    assert 2 == (await emulated.get("/server_info"))["draft_tokens"]


async def draft_in_off(emulate):
    emulated = await emulate("--fault", "draft_in_off=2")
    await emulated.complete()

    assert (await emulated.counters()).drafts > 0
    assert 0 == (await emulated.get("/server_info"))["draft_tokens"]


async def skip_drafts(emulate):
    emulated = await emulate("--fault", "skip_drafts=0.25", "--draft-tokens", "1", "--acceptance-length", "2")
    seen = await emulated.complete(max_tokens=1 + 3 * 2 + 1)
    counters = await emulated.counters()

    assert 3 == counters.drafts
    assert 5 == len(seen.tokens)


async def accept(emulate):
    emulated = await emulate("--fault", "accept=1", "--draft-tokens", "2", "--acceptance-length", "2.6")
    await emulated.complete()
    counters = await emulated.counters()

    assert (7.0, 0.0) == (counters.drafts, counters.accepted_tokens)
    assert 2.6 == (await emulated.get("/server_info"))["acceptance_length"]


async def lossy(emulate):
    drafting = ("--draft-tokens", "2", "--acceptance-length", "2.6")
    turned, honest = await emulate("--fault", "lossy=1", *drafting), await emulate(*drafting)
    ids = [(await one.complete(max_tokens=8)).ids for one in (turned, honest)]

    assert ids[0][:2] == ids[1][:2]
    assert ids[0][2:] != ids[1][2:]
    assert len(ids[0]) == len(ids[1])


async def serve_others(emulate):
    emulated = await emulate("--fault", "serve_others=0.5")
    seen = await emulated.complete(max_tokens=8)
    counters = await emulated.counters()

    assert 8 == len(seen.tokens)
    assert 12 == counters.generation_tokens


async def cache_prompts(emulate):
    emulated = await emulate("--fault", "cache_prompts=0.5")
    await emulated.complete()
    counters = await emulated.counters()

    assert 0 < counters.prefix_cache_hits == counters.prompt_tokens / 2
    assert not await emulated.engine.reset_prefix_cache(emulated.http, emulated.endpoint)


async def slow_down(emulate):
    emulated = await emulate("--fault", "slow_down=2")
    seen = await emulated.complete(max_tokens=200)
    gaps = [b - a for (a, _), (b, _) in zip(seen.chunks, seen.chunks[1:], strict=False)]

    assert median(gaps[-50:]) > 2 * median(gaps[:50])


async def oscillate(emulate):
    emulated = await emulate("--fault", "oscillate=0.8")
    await emulated.complete(max_tokens=400)
    (sent,) = emulated.sends().values()

    # Time runs slow where the swing begins: 399 steps of 5 ms would take 2.0 s.
    assert sent.sent_ns[-1] - sent.sent_ns[0] > 2.3e9


CASES = [
    fail_start,
    slow_start,
    stranger,
    other_config,
    other_version,
    other_tokens,
    no_metrics,
    die,
    hang,
    refuse,
    refuse_connections,
    drop_connections,
    stream_errors,
    no_usage,
    wrong_usage,
    wrong_prompt_tokens,
    short_output,
    early_eos,
    stop_drafting,
    draft_in_off,
    skip_drafts,
    accept,
    lossy,
    serve_others,
    cache_prompts,
    slow_down,
    oscillate,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_fault(emulate, case):
    await case(emulate)


def test_every_fault_has_its_case():
    assert list(FAULTS) == [case.__name__ for case in CASES]
