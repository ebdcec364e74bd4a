"""Our own client against `mock`: holds a load, and writes down what it saw.

    python ours.py URL STREAMS REQUESTS OSL REPORT [--client aiohttp] [--totals]

Holds STREAMS requests until REQUESTS have ended. --totals leaves single requests out of the report.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from harness.load.aiohttp_client import AiohttpClient
from harness.load.kernel_client import KernelClient
from harness.load.quiet import low_latency_mode
from harness.load.recording import Job
from harness.load.users import Users
from harness.metrics.requests import Requests
from harness.records import RequestSample, Samples, columns

CLIENTS = {"kernel": KernelClient, "aiohttp": AiohttpClient}
ASK = {
    "model": "mock",
    "prompt": list(range(16)),
    "stream": True,
    "ignore_eos": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    "return_token_ids": True,
}


class Count:
    """Requests numbered by their seed, until enough have ended."""

    def __init__(self, requests: int, osl: int) -> None:
        self._requests, self._osl, self._next = requests, osl, 0

    def starter(self, slot: int) -> Job:
        """The first request of a slot is one as any."""
        return self.take(slot)

    def take(self, slot: int) -> Job:
        """See `jobs.SlotJobs`."""
        seed, self._next = self._next, self._next + 1
        body = msgspec.json.encode(ASK | {"seed": seed, "max_tokens": self._osl})
        return Job(index=seed, slot=slot, starter=False, prompt_hash="", isl=16, osl=self._osl, body=body)

    def look(self, _: int, finished: Sequence[RequestSample]) -> bool:
        """See `pool.Stop`."""
        return len(finished) >= self._requests


async def load(url: str, streams: int, jobs: Count, client: str) -> tuple[Samples, dict[str, object]]:
    """Hold the load; the samples, and how the client fared."""
    async with CLIENTS[client](f"{url}/v1/completions", {}, stall_s=60.0) as transport:
        pool = Users(transport, jobs, range(streams))
        with low_latency_mode() as realtime:
            await pool.run(jobs)
        reads = transport.reads()
    return columns(pool.finished), {"realtime": realtime, "reads": msgspec.to_builtins(reads)}


def single(samples: Samples) -> list[dict[str, object]]:
    """Each request that got a chunk: times in ms of CLOCK_MONOTONIC."""
    told = []
    for row in np.flatnonzero(np.diff(samples.offsets)).tolist():
        stamps_ns = samples.chunk_ns[samples.offsets[row] : samples.offsets[row + 1]]
        if samples.error[row] == "":
            told.append(
                {
                    "who": str(samples.index[row]),
                    "ttft_ms": (stamps_ns[0] - samples.sent_ns[row]) / 1e6,
                    "stamps_ms": (stamps_ns / 1e6).tolist(),
                }
            )
    return told


def totals(samples: Samples, osl: int) -> dict[str, object]:
    """Of all requests that ended well."""
    requests = Requests(samples)
    gaps_ms = np.diff(samples.chunk_ns)[~requests.chunk_is_first[1:]] / 1e6
    counts = samples.completion_tokens[requests.good]
    return {
        "tokens": int(counts.sum()),
        "wrong_counts": int((counts != osl).sum()),
        "errors": sorted(set(samples.error.tolist()) - {"", "cancelled"}),
        "tpot_ms": 1e3 * float(np.nanmean(requests.tpot_s[requests.good])),
        "itl_ms": float(np.median(gaps_ms)),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("streams", type=int)
    parser.add_argument("requests", type=int)
    parser.add_argument("osl", type=int)
    parser.add_argument("report", type=Path)
    parser.add_argument("--client", choices=CLIENTS, default="kernel")
    parser.add_argument("--totals", action="store_true")
    asked = parser.parse_args()
    samples, facts = uvloop.run(load(asked.url, asked.streams, Count(asked.requests, asked.osl), asked.client))
    requests = [] if asked.totals else single(samples)
    asked.report.write_text(json.dumps(facts | totals(samples, asked.osl) | {"requests": requests}))


if __name__ == "__main__":
    main()
