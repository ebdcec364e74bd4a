"""In real time and over real sockets the harness's figures are the emulator's own, as its send log has them."""

import json
from statistics import median

import numpy as np
import pytest
from toys import CPU, MODEL

from harness import load, metrics, prompts
from harness.records import Window
from harness.rundir import SweepDir
from harness.server import serve
from harness.spec import EngineSpec, Mtp, Parallel, Point, Run, ServerSettings, Workload

ISL, OSL = 48, 64
CONCURRENCIES = (1, 8, 32)
WITHIN, AT_MOST = 0.01, 0.05
LONG_S = 5.0
TOY = MODEL.model_copy(update={"eos_token_ids": (2,)})
WORKLOAD = Workload(name="short", isl=ISL, osl=OSL)


class After:
    """Stops `LONG_S` after the first full request has ended, and keeps when that was."""

    def __init__(self):
        self.start_ns = None

    def look(self, now_ns, finished):
        if self.start_ns is None:
            self.start_ns = next((sample.end_ns for sample in finished if sample.index >= 0), None)
        return self.start_ns is not None and now_ns > self.start_ns + LONG_S * 1e9


def run_of(mtp, folder):
    return Run(
        model=TOY,
        gpu=CPU,
        precision="bf16",
        engine=EngineSpec(name="emulator", args=("--profile", "h100-like", "--send-log", str(folder))),
        parallel=Parallel(),
        settings=ServerSettings(max_running_requests=32, context=256),
        mtp=mtp,
    )


async def measured(server, point, stream):
    """The point's load, and when its first full request ended.

    On a machine that others use the client may be late itself, and says so: such a measurement is repeated, and the
    one that was least late counts.
    """
    best = None
    for _ in range(5):
        stop = After()
        seen = await load.measure(server.engine, server.endpoint, point, stream, stop)
        if best is None or seen.health.lateness_max_s < best[0].health.lateness_max_s:
            best = seen, stop.start_ns
        if within(seen) == WITHIN:
            break
    return best


def within(seen):
    """How far figures may be off: at either edge of the window the client may have been as late as it ever was."""
    return min(AT_MOST, max(WITHIN, 2 * seen.health.lateness_max_s / LONG_S))


def sends_during(log, seen):
    sends = map(json.loads, log.read_text().splitlines())
    return [sent for sent in sends if seen.started_ns < sent["arrived_ns"] < seen.stopped_ns]


def true_figures(sends, window):
    """Output tok/s and the median user's tok/s, by the server's stamps, of the requests that end in the window."""
    produced, speeds = 0, []
    for sent in sends:
        stamps, tokens = np.array(sent["sent_ns"]), np.array(sent["tokens"])
        inside = (stamps > window.start_ns) & (stamps <= window.end_ns)
        produced += np.diff(tokens, prepend=0)[inside].sum()
        if sent["end"] == "length" and sent["max_tokens"] == OSL and inside[-1]:
            speeds.append((tokens[-1] - tokens[0]) / ((stamps[-1] - stamps[0]) / 1e9))
    return produced / window.duration_s, median(speeds)


def window_of(start_ns, end_ns):
    edges = np.linspace(start_ns, end_ns, 11).astype(np.int64).tolist()
    return Window(start_ns=start_ns, end_ns=end_ns, blocks_ns=tuple(edges), request_time_s=0.5, cut_s=0.0)


@pytest.mark.parametrize("mtp", [Mtp(), Mtp(draft_tokens=3, forced_acceptance_length=2.6)], ids=["off", "mtp3"])
async def test_throughput_and_interactivity_are_those_of_the_send_log(tmp_path, mtp):
    run = run_of(mtp, tmp_path)
    attempt = SweepDir(tmp_path / "results").run(run.key).new_attempt()
    points = [Point(run=run, workload=WORKLOAD, concurrency=users, launch=0) for users in CONCURRENCIES]
    async with serve(run, attempt) as server:
        stream = await prompts.build(WORKLOAD, server.tokenize, chat=True)
        everything = [await measured(server, point, stream) for point in points]
    (log,) = tmp_path.glob("toy-*.jsonl")

    for point, (seen, start_ns) in zip(points, everything, strict=True):
        window, sends = window_of(start_ns, seen.stopped_ns), sends_during(log, seen)
        score = metrics.score(point, lambda seen=seen: iter([seen.samples]), seen.counters, window)
        tok_s, user_tok_s = true_figures(sends, window)

        assert pytest.approx(tok_s, rel=within(seen)) == score.estimates["output_tok_s_gpu"].value
        assert pytest.approx(user_tok_s, rel=within(seen)) == score.estimates["interactivity"].value
        received = tokens_seen(seen.samples)
        assert received == {prompt: tokens for prompt, tokens in tokens_sent(sends).items() if prompt in received}


def tokens_sent(sends):
    """Prompt -> cumulative tokens of its chunks, of the requests that ran to their end."""
    return {sent["prompt_hash"]: sent["tokens"] for sent in sends if sent["end"] == "length"}


def tokens_seen(samples):
    ended = np.flatnonzero(samples.error == "")
    chunks = (samples.chunk_tokens[samples.offsets[i] : samples.offsets[i + 1]] for i in ended)
    return {samples.prompt_hash[i]: tokens.tolist() for i, tokens in zip(ended, chunks, strict=True)}
