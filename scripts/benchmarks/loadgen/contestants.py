"""The load generators: how each is started for a scene, and how its own report is read.

Each at the fastest setting that its documentation names: no progress bar, token counts from the server's usage where
that can be chosen, as many workers as it has cores.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from loadgen.scenes import NUMBER_BITS, Scene
from loadgen.seen import Said, Seen, stamps

HERE = Path(__file__).parent
SHARDS = (1, 2)
TOKENIZER = HERE.parents[2] / "configs" / "models" / "mimo-tiny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a contestant is to do: a scene, so many requests of it, on so many cores, with a folder for its report."""

    url: str
    scene: Scene
    requests: int
    cores: int
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A load generator.

    Attributes:
        argv: its command.
        said: its report, of the folder that it wrote to.
        environment: what it is told besides.
        flood_times: it gets so many times the requests of a flood, so that it is at it for seconds.
        slow_start: it takes most of a minute to start.
        shards: processes of a client that is only here to show how it scales; 0 for all others.
    """

    argv: Callable[[Order], list[str]]
    said: Callable[[Path], Said]
    environment: Callable[[Order], Mapping[str, str]] = lambda _: {}
    flood_times: int = field(default=1)
    slow_start: bool = False
    shards: int = 0

    def fits(self, scene: Scene) -> bool:
        """Whether it takes part."""
        return bool(self.shards) == scene.sharded and not (self.slow_start and scene.brief)


def contestants(tools: Path, places: Mapping[str, str]) -> dict[str, Contestant]:
    """Those that can be had, by name, the limit first."""
    makers: dict[str, Callable[[str], Contestant]] = {
        "vllm-rs": _vllm_rust,
        "sglang rust": _sglang_rust,
        "vllm bench": _vllm_python,
        "aiperf": _aiperf,
        "guidellm": _guidellm,
    }
    ours = {"C limit": _limit(tools), "mtpbench": _ours("kernel", 4), "aiohttp": _ours("aiohttp", 1)}
    ours |= {f"{shards} shards": _sharded(shards) for shards in SHARDS}
    return ours | {name: make(places[name]) for name, make in makers.items() if name in places}


def _limit(tools: Path) -> Contestant:
    def argv(order: Order) -> list[str]:
        port = order.url.rpartition(":")[2]
        return [str(tools / "limit"), port, *map(str, (order.scene.streams, order.requests, order.scene.osl))]

    return Contestant(argv=argv, said=lambda _: Said(requests=[]), flood_times=64)


def _ours(client: str, flood_times: int) -> Contestant:
    def argv(order: Order) -> list[str]:
        sizes = map(str, (order.scene.streams, order.requests, order.scene.osl))
        kept = ["--client", client, *(["--totals"] if order.scene.flood else [])]
        return [sys.executable, str(HERE / "ours.py"), order.url, *sizes, str(_report(order.folder)), *kept]

    return Contestant(argv=argv, said=_said_by_us, flood_times=flood_times)


def _sharded(shards: int) -> Contestant:
    def argv(order: Order) -> list[str]:
        sizes = map(str, (order.scene.streams, order.requests, order.scene.osl))
        return [sys.executable, str(HERE / "sharded.py"), order.url, *sizes, str(_report(order.folder)), str(shards)]

    return Contestant(argv=argv, said=_said_by_us, flood_times=4, shards=shards)


def _report(folder: Path) -> Path:
    return folder / "report.json"


def _said_by_us(folder: Path) -> Said:
    said = json.loads(_report(folder).read_text())
    requests = [Seen(r["who"], r["ttft_ms"], np.array(r["stamps_ms"])) for r in said.pop("requests")]
    figures = {name: said.pop(name) for name in ("tokens", "tpot_ms", "itl_ms")}
    return Said(requests=requests, absolute=True, **figures, more=said)


def _vllm_rust(at: str) -> Contestant:
    def argv(order: Order) -> list[str]:
        return _vllm(f"{at}/vllm-rs", order, "--prompt-token-ids")

    return Contestant(argv=argv, said=_said_by_bench, flood_times=2)


def _vllm_python(at: str) -> Contestant:
    return Contestant(argv=lambda order: _vllm(f"{at}/bin/vllm", order), said=_said_by_bench)


def _vllm(program: str, order: Order, *more: str) -> list[str]:
    kind = ["--backend", "openai", "--endpoint", "/v1/completions", "--dataset-name", "random", "--ignore-eos"]
    out = _report(order.folder)
    kept = ["--save-result", "--save-detailed", "--result-dir", str(out.parent), "--result-filename", out.name]
    return [program, "bench", "serve", *_bench(order), *kind, "--ready-check-timeout-sec", "0", *kept, *more]


def _sglang_rust(at: str) -> Contestant:
    """The extension module of its wheel, called as `python -m sglang.benchmark.rust_client` calls it."""
    program = f"import sys; sys.path.insert(0, {at!r}); import _bench; _bench.run_argv(['sglang-bench', *sys.argv[1:]])"

    def argv(order: Order) -> list[str]:
        kind = ["--backend", "sglang-oai", "--dataset-name", "random-ids", "--random-range-ratio", "1.0"]
        # Its ready check asks for what only SGLang answers, and waits; a request of warm-up would be one too many.
        quick = ["--ready-check-timeout-sec", "0", "--warmup-requests", "0", "--disable-retokenize"]
        kept = ["--worker-threads", str(order.cores), "--output-details", "--output-file", str(_report(order.folder))]
        return [sys.executable, "-c", program, *_bench(order), *kind, *quick, *kept]

    return Contestant(argv=argv, said=_said_by_bench, flood_times=2)


def _bench(order: Order) -> list[str]:
    """What vLLM's clients and SGLang's have in common."""
    return [
        *("--base-url", order.url, "--model", "mock", "--tokenizer", str(TOKENIZER)),
        *("--random-input-len", "16", "--random-output-len", str(order.scene.osl)),
        *("--num-prompts", str(order.requests), "--max-concurrency", str(order.scene.streams), "--disable-tqdm"),
    ]


def _said_by_bench(folder: Path) -> Said:
    said = json.loads(_report(folder).read_text().splitlines()[-1])
    rows = zip(said["generated_texts"], said["ttfts"], said["itls"], strict=True)
    return Said(
        requests=[
            Seen(_number(text), 1e3 * first, stamps(1e3 * first, (1e3 * gap for gap in gaps)))
            for text, first, gaps in rows
            if text
        ],
        tokens=said["total_output_tokens"],
        tpot_ms=said["mean_tpot_ms"],
        itl_ms=said["median_itl_ms"],
    )


def _number(text: str) -> int:
    """The request's number, which the server spells into its text."""
    return sum(1 << bit for bit, word in enumerate(text.split()[:NUMBER_BITS]) if word == "one")


def _aiperf(at: str) -> Contestant:
    def argv(order: Order) -> list[str]:
        load = ["--concurrency", str(order.scene.streams), "--request-count", str(order.requests)]
        sizes = ["--synthetic-input-tokens-mean", "16", "--output-tokens-mean", str(order.scene.osl)]
        counts = ["--use-server-token-count", "--per-chunk-usage", "--extra-inputs", "ignore_eos:true"]
        lean = ["--ui", "none", "--no-gpu-telemetry", "--no-server-metrics", "--workers-max", str(order.cores)]
        where = ["--url", order.url, "--endpoint-type", "chat", "--streaming"]
        what = ["--model", "mock", "--tokenizer", str(TOKENIZER), "--output-artifact-dir", str(order.folder)]
        return [f"{at}/bin/aiperf", "profile", *what, *where, *load, *sizes, *counts, *lean]

    return Contestant(argv=argv, said=_said_by_aiperf, slow_start=True)


def _said_by_aiperf(folder: Path) -> Said:
    rows = [json.loads(line) for line in (folder / "profile_export.jsonl").read_text().splitlines()]
    whole = json.loads((folder / "profile_export_aiperf.json").read_text())

    def seen(row: Mapping[str, Any]) -> Seen:
        metrics = row["metrics"]
        ttft_ms = metrics["time_to_first_token"]["value"]
        return Seen(row["metadata"]["x_request_id"], ttft_ms, stamps(ttft_ms, metrics["inter_chunk_latency"]["value"]))

    return Said(
        requests=list(map(seen, rows)),
        tokens=int(whole["total_output_tokens"]["avg"]),
        tpot_ms=whole["inter_token_latency"]["avg"],
        itl_ms=whole["inter_token_latency"]["p50"],
    )


def _guidellm(at: str) -> Contestant:
    def argv(order: Order) -> list[str]:
        backend = f"kind=openai_http,target={order.url},model=mock,request_format=/v1/completions"
        data = f"kind=synthetic_text,prompt_tokens=16,output_tokens={order.scene.osl}"
        return [
            *(f"{at}/bin/guidellm", "run", "--backend", backend, "--data", data, "--disable-console"),
            *("--profile", f"kind=concurrent,streams={order.scene.streams}"),
            *("--constraint", f"kind=max_requests,count={order.requests}"),
            *("--tokenizer", f"kind=hf_auto,model={TOKENIZER}", "--output", f"kind=json,path={_report(order.folder)}"),
        ]

    def environment(order: Order) -> dict[str, str]:
        return {"GUIDELLM__MAX_WORKER_PROCESSES": str(order.cores), "HF_HUB_OFFLINE": "1"}

    return Contestant(argv=argv, said=_said_by_guidellm, environment=environment, slow_start=True)


def _said_by_guidellm(folder: Path) -> Said:
    [run] = json.loads(_report(folder).read_text())["benchmarks"]
    rows, whole = run["requests"]["successful"], run["metrics"]["inter_token_latency_ms"]["successful"]

    def number(row: Mapping[str, Any]) -> int:
        return int(row["response_id"].rpartition("-")[2])

    return Said(
        requests=[Seen(number(row), row["time_to_first_token_ms"], None) for row in rows],
        tokens=sum(row["output_tokens"] for row in rows),
        tpot_ms=whole["mean"],
        itl_ms=whole["median"],
    )
