"""What the load generator can take on this machine, and whether that is enough for a sweep; only when asked.

It is the one look that takes processor time: a second of it.
"""

import os
from collections.abc import Iterator

from harness.doctor.finding import Examination, Finding, State, good, warning
from harness.load import ceiling
from harness.load.clock import kernel_stamps
from harness.plan.client import chunks_s, shards_for
from harness.spec import expand

AREA = "client"


def load_generator(examination: Examination) -> Iterator[Finding]:
    """The ceiling of one process, and what the sweep needs of it."""
    if not examination.client:
        return
    if not kernel_stamps():
        says = "no kernel receive stamps on this system: streams are read through aiohttp, and stamped later"
        yield Finding(area=AREA, what="stamps", state=State.NOTE, says=says)
        return
    measured = ceiling.measure()
    cost_us, rate = 1e6 * measured.chunk_s, measured.chunks_s
    yield good(AREA, "one process", f"{cost_us:.1f} us a chunk: at most {rate:,.0f} chunks/s; it is given half")
    if examination.sweep is not None:
        yield _needs(examination, rate / 2)


def _needs(examination: Examination, given: float) -> Finding:
    sweep = examination.sweep
    assert sweep is not None
    cores = len(os.sched_getaffinity(0))
    guesses = [chunks_s(point, sweep) for point in expand(sweep)]
    most = max(guesses, key=lambda guess: guess.high or 0.0)
    if most.high is None:
        return Finding(area=AREA, what="the sweep", state=State.NOTE, says=f"no guess of its chunks: {most.reason}")
    shards = shards_for(most, cores)
    says = f"up to {most.high:,.0f} chunks/s, over {shards} of {cores} cores"
    if most.high <= shards * given:
        return good(AREA, "the sweep", says)
    return warning(AREA, "the sweep", says, "give the harness more cores, or lower the highest load")
