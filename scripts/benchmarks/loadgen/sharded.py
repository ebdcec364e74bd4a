"""Our client over several processes against `mock`, started as a point starts them; writes down the totals.

python sharded.py URL STREAMS REQUESTS OSL REPORT SHARDS
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ours import totals

from harness import config
from harness.engines import Endpoint, engine_named
from harness.load.shard import ShareResult, ShareSpec
from harness.load.workers import run_in_workers
from harness.prompts import Frame, PromptStream
from harness.records import RequestSample, columns
from harness.spec import Point, Workload

SWEEP = Path(__file__).parents[3] / "configs" / "sweeps" / "tiny-vllm-cpu.yaml"


class Enough:
    """Stops when so many requests have ended."""

    def __init__(self, requests: int) -> None:
        self._requests = requests

    def look(self, _: int, finished: Sequence[RequestSample]) -> bool:
        """See `pool.Stop`."""
        return len(finished) >= self._requests


async def hold(url: str, streams: int, requests: int, osl: int, shards: int) -> ShareResult:
    """The load, dealt out to so many processes."""
    run = next(run for run in config.load(SWEEP).all_runs() if run.is_off)
    workload = Workload(name="peers", isl=16, osl=osl, source="random")
    whole = ShareSpec(
        engine=engine_named("vllm"),
        endpoint=Endpoint(base_url=url, model="mock"),
        point=Point(run=run, workload=workload, concurrency=streams, launch=0),
        stream=PromptStream(workload, Frame((), ()), np.arange(1000, dtype=np.int32), ""),
        eos_ids=frozenset(),
        drain=False,
        stall_s=60.0,
        client="kernel",
    )
    shares = [replace(whole, share=share, shares=shards) for share in range(shards)]
    return await run_in_workers(shares, Enough(requests), died=None, on_progress=None)


def main() -> None:
    """Measure and write."""
    url, streams, requests, osl, report, shards = sys.argv[1:]
    result = asyncio.run(hold(url, int(streams), int(requests), int(osl), int(shards)))
    counted = [sample for sample in result.finished if not sample.starter]
    Path(report).write_text(json.dumps(totals(columns(counted), int(osl)) | {"requests": []}))


if __name__ == "__main__":
    main()
