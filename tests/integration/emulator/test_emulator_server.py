"""The emulator over real sockets: what arrives is what it logged, worded as vLLM words it."""

import asyncio
import re
import signal

import pytest

from harness.emulator.__main__ import settings
from harness.errors import UserError

# What it says


@pytest.mark.parametrize("arm", ["off", "mtp"])
async def test_clients_see_the_tokens_that_the_log_says_were_sent(off, mtp, arm):
    emulated = off if arm == "off" else mtp
    before = await emulated.counters()
    seen = await asyncio.gather(*(emulated.complete(prompt=[i + 20] * 5, max_tokens=40) for i in range(8)))
    counters = await emulated.counters()
    sends = emulated.sends()
    lags = []
    for one in seen:
        sent = sends[one.events[0]["id"]]
        lags += [here - there for there, (here, _) in zip(sent.sent_ns, one.chunks, strict=True)]
        assert sent.tokens == one.tokens
        assert ("length", 40, 5) == (sent.end, sent.tokens[-1], sent.prompt_tokens)
        assert sent.arrived_ns < sent.sent_ns[0]

    assert min(lags) >= 0
    assert sorted(lags)[len(lags) // 2] < 50e6  # above what a busy machine adds, below a wrong clock or a buffer
    assert 8 * 40 == counters.generation_tokens - before.generation_tokens


async def test_under_mtp_chunks_hold_several_tokens_and_counters_know_how_many(mtp):
    before = await mtp.counters()
    seen = await mtp.complete(max_tokens=9)
    after = await mtp.counters()

    assert [1, 4, 7, 9] == seen.tokens
    assert {"drafts": 3, "draft_tokens": 6, "accepted_tokens": 6, "prompt_tokens": 4, "generation_tokens": 9} == {
        name: getattr(after, name) - getattr(before, name)
        for name in ("drafts", "draft_tokens", "accepted_tokens", "prompt_tokens", "generation_tokens")
    }
    assert (after.drafts, after.drafts) == after.accepted_per_position


async def test_under_off_there_are_no_speculative_counters(off):
    await off.complete()
    now = await off.counters()

    assert (None, None, None, None) == (now.drafts, now.draft_tokens, now.accepted_tokens, now.accepted_per_position)


async def test_both_arms_give_the_same_tokens(off, mtp):
    ids = []
    for emulated in (off, mtp):
        seen = await emulated.complete(max_tokens=30)
        ids.append([token for _, event in seen.chunks for token in event["choices"][0]["token_ids"]])

    assert 30 == len(ids[0])
    assert ids[0] == ids[1]


async def test_an_answer_that_does_not_stream_has_all_tokens(off):
    body = {"model": off.endpoint.model, "prompt": [9, 9, 9], "max_tokens": 12, "return_token_ids": True}
    async with off.http.post(f"{off.base}/v1/completions", json=body, headers=off.endpoint.headers) as response:
        answer = await response.json()

    assert {"prompt_tokens": 3, "total_tokens": 15, "completion_tokens": 12} == answer["usage"]
    assert 12 == len(answer["choices"][0]["token_ids"])
    assert "length" == answer["choices"][0]["finish_reason"]


async def test_text_has_a_length_in_tokens_and_chat_frames_it(off):
    plain, chat = [
        await off.engine.tokenize(off.http, off.endpoint, "Hello there", chat=chat) for chat in (False, True)
    ]
    seen = await off.complete(chat=True)

    assert 4 == len(plain)
    assert plain == chat[3 : 3 + len(plain)]
    assert len(chat) == seen.final["prompt_tokens"]
    assert chat == seen.events[0]["prompt_token_ids"]


async def test_the_batch_is_reported_while_it_runs(emulate):
    emulated = await emulate("--max-running-requests", "2")
    requests = [asyncio.create_task(emulated.complete(max_tokens=4000)) for _ in range(3)]
    try:
        for _ in range(200):
            counters = await emulated.counters()
            if counters.running and counters.waiting:
                break
            await asyncio.sleep(0.02)

        assert (2.0, 1.0) == (counters.running, counters.waiting)
        assert 0 < counters.kv_usage < 1
    finally:
        for one in requests:
            one.cancel()
        await asyncio.wait(requests)
    await emulated.idle()  # clients that leave free their places


async def test_a_pool_too_small_for_all_pushes_requests_out(emulate):
    emulated = await emulate("--context", "100", "--kv-tokens", "120", "--speed", "4")
    seen = await asyncio.gather(*(emulated.complete(prompt=[7] * 40, max_tokens=50) for _ in range(3)))

    assert [50, 50, 50] == [one.final["completion_tokens"] for one in seen]
    assert (await emulated.counters()).preemptions > 0


async def test_speed_lets_virtual_time_run_ahead(emulate):
    emulated = await emulate("--speed", "100")
    await emulated.complete(max_tokens=4000)
    (sent,) = emulated.sends().values()

    assert sent.sent_ns[-1] - sent.sent_ns[0] < 15e9  # of twenty virtual seconds


@pytest.mark.parametrize(
    ("change", "status"),
    [({"model": "another"}, 404), ({"max_tokens": 9000}, 400), ({"prompt": "x", "max_tokens": "many"}, 400)],
)
async def test_what_can_not_be_answered_is_refused_as_vllm_does(off, change, status):
    body = {"model": off.endpoint.model, "prompt": [1, 2], "max_tokens": 4} | change
    async with off.http.post(f"{off.base}/v1/completions", json=body, headers=off.endpoint.headers) as response:
        answer = await response.json()

    assert status == response.status
    assert {"message", "type", "param", "code"} == answer["error"].keys()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer other"}], ids=["none", "other"])
async def test_without_the_key_nothing_is_answered_below_v1(off, headers):
    async with off.http.get(f"{off.base}/v1/models", headers=headers) as response:
        assert 401 == response.status
    async with off.http.get(f"{off.base}/metrics", headers=headers) as response:
        assert 200 == response.status


async def test_told_to_stop_it_ends_open_streams_and_leaves(emulate):
    emulated = await emulate()
    request = asyncio.create_task(emulated.complete(max_tokens=4000))
    for _ in range(200):
        if (await emulated.counters()).running:
            break
        await asyncio.sleep(0.02)
    emulated.process.send_signal(signal.SIGTERM)
    seen = await request

    assert 0 == await emulated.ended()
    assert "abort" == seen.events[-2]["choices"][0]["finish_reason"]
    (sent,) = emulated.sends().values()
    assert "abort" == sent.end
    assert sent.tokens == seen.tokens


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--fault", "explode"], "fault 'explode' is not known"),
        (["--fault", "die=soon"], "must be numbers"),
        (["--profile", "nothing"], "profile 'nothing' has no file; there are cpu-like, h100-like"),
        (["--kv-tokens", "10"], "can't hold one request"),
        (["--draft-tokens", "2", "--acceptance-length", "9"], "1 to 3 tokens a step, not 9.0"),
    ],
)
def test_what_can_not_be_had_is_said(args, says):
    with pytest.raises(UserError, match=re.escape(says)):
        settings(["--port", "1", *args])


@pytest.mark.parametrize("args", [["--speed", "0"], ["--max-running-requests", "0"], ["--context", "-1"]])
def test_what_can_not_be_counted_is_refused(args, capsys):
    with pytest.raises(SystemExit):
        settings(["--port", "1", *args])

    assert f"argument {args[0]}: {args[1]} must be above 0" in capsys.readouterr().err


async def test_a_bad_command_line_ends_in_one_line(emulate):
    emulated = await emulate("--fault", "explode", ready=False)
    _, stderr = await asyncio.to_thread(emulated.process.communicate, timeout=30)

    assert stderr.startswith(b"emulator: fault 'explode' is not known")
    assert 1 == stderr.count(b"\n")
    assert 1 == emulated.process.returncode


# What it says, word for word

_HEAD = ["id", "object", "created", "model", "choices"]
_COMPLETION = ["index", "text", "logprobs", "finish_reason", "stop_reason", "prompt_token_ids", "token_ids"]
_CHAT = ["index", "delta", "logprobs", "finish_reason"]
_COUNTS = ["prompt_tokens", "total_tokens", "completion_tokens"]
# Keys in order of the chunks of a stream with continuous usage and token ids: the first, one in between, the last, the
# final usage. As vLLM 0.32.0 sends them.
VLLM_STREAM = {
    False: [
        ([*_HEAD, "usage"], _COMPLETION, _COUNTS),
        ([*_HEAD, "usage"], _COMPLETION, _COUNTS),
        ([*_HEAD, "usage"], _COMPLETION, _COUNTS),
        ([*_HEAD, "usage", "system_fingerprint"], None, _COUNTS),
    ],
    True: [
        ([*_HEAD, "usage", "prompt_token_ids", "prompt_text"], _CHAT, [*_COUNTS, "completion_tokens_details"]),
        ([*_HEAD, "usage"], [*_CHAT, "token_ids"], [*_COUNTS, "completion_tokens_details"]),
        ([*_HEAD, "usage"], [*_CHAT, "stop_reason", "token_ids"], [*_COUNTS, "completion_tokens_details"]),
        ([*_HEAD, "usage", "system_fingerprint"], None, _COUNTS),
    ],
}


def keys(event):
    choices = event["choices"]
    return list(event), list(choices[0]) if choices else None, list(event["usage"])


@pytest.mark.parametrize("chat", [False, True], ids=["completions", "chat"])
async def test_streams_have_the_keys_of_vllms(mtp, chat):
    seen = await mtp.complete(chat=chat, max_tokens=12)
    first, middle, last, final = seen.events[0], seen.events[2], seen.events[-2], seen.events[-1]

    assert VLLM_STREAM[chat] == [keys(event) for event in (first, middle, last, final)]
    assert ("chat.completion.chunk" if chat else "text_completion") == first["object"]
    assert final["usage"] == {"prompt_tokens": final["usage"]["prompt_tokens"]} | {
        "total_tokens": final["usage"]["prompt_tokens"] + 12,
        "completion_tokens": 12,
    }


@pytest.mark.parametrize("chat", [False, True], ids=["completions", "chat"])
async def test_usage_comes_as_it_was_asked_for(off, chat):
    none = await off.complete(chat=chat, stream_options={})
    final = await off.complete(chat=chat, stream_options={"include_usage": True})

    assert all(event.get("usage") is None for event in none.events)
    assert all(event.get("usage") is None for event in final.events[:-1])
    assert 8 == final.events[-1]["usage"]["completion_tokens"]


async def test_metric_names_are_vllms(mtp):
    async with mtp.http.get(f"{mtp.base}/metrics") as response:
        lines = (await response.text()).splitlines()
    names = {line.partition("{")[0] for line in lines if not line.startswith("#")}

    assert {
        "vllm:spec_decode_num_drafts_total",
        "vllm:spec_decode_num_draft_tokens_total",
        "vllm:spec_decode_num_accepted_tokens_total",
        "vllm:spec_decode_num_accepted_tokens_per_pos_total",
        "vllm:num_preemptions_total",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:request_success_total",
        "vllm:prefix_cache_hits_total",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:request_queue_time_seconds_bucket",
        "vllm:request_queue_time_seconds_count",
        "vllm:request_queue_time_seconds_sum",
    } == {name for name in names if not name.endswith("_created")}
