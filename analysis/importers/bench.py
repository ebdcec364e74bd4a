"""Result files of `vllm bench serve` and `sglang.bench_serving`: one object for one concurrency of one server.

Neither file knows the GPU, and vLLM's knows nothing of the server at all. `vllm bench serve --metadata gpu=h200 gpus=8`
writes what is missing into the file; `mtpbench import --set gpu=h200` adds it afterwards. Of a vLLM file the engine is
taken to be vLLM unless one of these says otherwise; nothing else is guessed. Nor does a file say which start of its
server it measured: all are taken for one start, unless each start is given a number, `--set launch=1`.
"""

from collections.abc import Mapping
from typing import Any

from analysis.importers.fields import Fields, UnusableRow
from analysis.importers.row import FlatRow, ImportedLoad, System, clean_model, new_row

VLLM, SGLANG = "vllm-bench", "sglang-bench"
ORIGINS = frozenset((VLLM, SGLANG))

FACTS = (
    "gpu",
    "gpus",
    "precision",
    "draft_tokens",
    "model",
    "engine",
    "engine_version",
    "tp",
    "pp",
    "ep",
    "dp",
    "isl",
    "osl",
    "launch",
)
"""What a user may say of a file: the columns that it can leave out."""

FAILED_LIMIT = 0.001
"""Share of failed requests above which a point's numbers are those of the requests that were left."""


def is_vllm(record: Mapping[str, Any]) -> bool:
    """Whether `vllm bench serve --save-result` wrote this."""
    return {"model_id", "max_concurrency", "total_token_throughput"} <= record.keys()


def is_sglang(record: Mapping[str, Any]) -> bool:
    """Whether `sglang.bench_serving` wrote this."""
    return {"max_concurrency", "output_throughput", "median_e2e_latency_ms"} <= record.keys()


def vllm_row(record: Mapping[str, Any]) -> FlatRow:
    """A result of `vllm bench serve` as a row.

    Raises:
        UnusableRow: something that a row needs is missing or wrong.
    """
    fields = Fields(record)
    drafts, drafted = fields.number("spec_decode_num_drafts"), fields.number("spec_decode_draft_tokens")
    draft_tokens, warnings = fields.count("draft_tokens"), []
    if draft_tokens is None and drafts and drafted:
        draft_tokens = round(drafted / drafts)
    elif draft_tokens is None:
        # A server without speculation exposes no such counters, and neither does one that the client could not ask.
        draft_tokens, warnings = 0, ["arm_assumed"]
    gpus, tp, pp, dp = _gpus(fields)
    model = fields.needed_text("model", "model_id")
    _require_users_held(fields)
    system = System(
        origin=VLLM,
        model=clean_model(model),
        gpu=_needed(fields.text("gpu"), "gpu", "h200").lower(),
        gpus=gpus,
        precision=_needed(fields.text("precision"), "precision", "fp8").lower(),
        engine=fields.text("engine") or "vllm",
        engine_version=fields.text("engine_version"),
        draft_tokens=draft_tokens,
        topology=_columns(fields, tp, pp, dp),
    )
    return _row(fields, system, fields.number("spec_decode_acceptance_length"), _vllm_date(fields), warnings)


def sglang_row(record: Mapping[str, Any]) -> FlatRow:
    """A line of `sglang.bench_serving` as a row.

    Raises:
        UnusableRow: something that a row needs is missing or wrong.
    """
    said = record.get("server_info")
    server = said if isinstance(said, dict) else {}
    fields = Fields({**server, **record})
    acceptance_length = fields.number("accept_length")
    draft_tokens, warnings = fields.count("draft_tokens", "speculative_num_steps"), []
    if draft_tokens is None:
        if acceptance_length is not None or fields.text("speculative_algorithm"):
            raise UnusableRow("speculation was on, but draft_tokens is missing; give --set draft_tokens=...")
        draft_tokens, warnings = 0, [] if server else ["arm_assumed"]
    inside = bool(fields.flag("enable_dp_attention"))  # then the dp ranks lie inside the tp group
    gpus, tp, pp, dp = _gpus(fields, dp_inside=inside)
    model = fields.needed_text("model", "model_path", "served_model_name")
    _require_users_held(fields)
    system = System(
        origin=SGLANG,
        model=clean_model(model),
        gpu=_needed(fields.text("gpu"), "gpu", "h200").lower(),
        gpus=gpus,
        precision=_needed(fields.text("precision", "quantization"), "precision", "fp8").lower(),
        engine="sglang",
        engine_version=fields.text("engine_version", "version"),
        draft_tokens=draft_tokens,
        topology=_columns(fields, tp, pp, dp, dp_attention=inside),
    )
    return _row(fields, system, acceptance_length, None, warnings)


def _require_users_held(fields: Fields) -> None:
    """Do nothing where the client held a number of users in flight.

    Raises:
        UnusableRow: arrivals set the load, or the file tells no number.
    """
    rate = fields.text("request_rate")
    if rate not in (None, "inf", "Infinity"):
        raise UnusableRow(f"request_rate is {rate}: the load was set by arrivals, not by users in flight")
    if fields.text("max_concurrency") is None:
        raise UnusableRow("max_concurrency is missing: without it no number of users was held")


def _row(
    fields: Fields, system: System, acceptance_length: float | None, started: str | None, warnings: list[str]
) -> FlatRow:
    load = ImportedLoad(
        isl=fields.count("isl") or _mean_length(fields, "total_input_tokens"),
        osl=fields.count("osl") or _mean_length(fields, "total_output_tokens"),
        concurrency=fields.positive_count("max_concurrency"),
    )
    return new_row(
        system,
        load,
        _metrics(fields, system.gpus, acceptance_length),
        started=started,
        invalid=_verdicts(fields),
        warnings=warnings,
        extra={
            "date": started[:10] if started else None,
            "itl_over_tpot": _itl_over_tpot(fields),
            "launch": fields.count("launch") or 0,
        },
    )


def _metrics(fields: Fields, gpus: int, acceptance_length: float | None) -> dict[str, float | None]:
    seconds = fields.positive("duration")
    per_gpu_s = seconds * gpus
    tpot_ms = fields.positive("median_tpot_ms")
    slow_tail_ms = fields.number("p90_tpot_ms")
    return {
        "interactivity": 1e3 / tpot_ms,
        "interactivity_p10": 1e3 / slow_tail_ms if slow_tail_ms else None,
        "total_tok_s_gpu": (fields.positive("total_input_tokens") + fields.positive("total_output_tokens")) / per_gpu_s,
        "output_tok_s_gpu": fields.positive("total_output_tokens") / per_gpu_s,
        "input_tok_s_gpu": fields.positive("total_input_tokens") / per_gpu_s,
        "acceptance_length": acceptance_length,
        **_seconds(fields, "ttft_s", "ttft"),
        **_seconds(fields, "tpot_s", "tpot"),
        **_seconds(fields, "e2e_s", "e2el", "e2e_latency"),
        **_seconds(fields, "chunk_gap_s", "itl"),
    }


def _seconds(fields: Fields, name: str, *theirs: str) -> dict[str, float | None]:
    def of(statistic: str) -> float | None:
        ms = fields.number(*(f"{statistic}_{their}_ms" for their in theirs))
        return None if ms is None else ms / 1e3

    return {name: of("median"), f"{name}_p50": of("median"), f"{name}_p90": of("p90"), f"{name}_p99": of("p99")}


def _verdicts(fields: Fields) -> list[str]:
    completed = fields.positive_count("completed")
    asked = fields.count("num_prompts")
    failed = fields.count("failed")
    if failed is None:
        failed = max(0, asked - completed) if asked is not None else 0
    return ["failed_requests"] if failed > FAILED_LIMIT * (failed + completed) else []


def _itl_over_tpot(fields: Fields) -> float | None:
    itl, tpot = fields.number("median_itl_ms"), fields.number("median_tpot_ms")
    return itl / tpot if itl and tpot else None


def _mean_length(fields: Fields, name: str) -> int:
    return max(1, round(fields.positive(name) / fields.positive_count("completed")))


def _gpus(fields: Fields, *, dp_inside: bool = False) -> tuple[int, int, int, int]:
    """GPUs, tp, pp and dp of the server. What is said of them must agree; tp alone may follow from the others.

    Data-parallel ranks that lie inside the tp group take no GPUs of their own, and count as one.
    """
    gpus, tp = fields.count("gpus"), fields.count("tp_size", "tp")
    pp = fields.count("pp_size", "pp") or 1
    dp = 1 if dp_inside else fields.count("dp_size", "dp") or 1
    if not gpus and not tp:
        raise UnusableRow(_asking("gpus", "8"))
    tp = tp or (gpus or 0) // (pp * dp)
    if gpus and gpus != tp * pp * dp:
        raise UnusableRow(f"gpus is {gpus}, but tp {tp} x pp {pp} x dp {dp} make {tp * pp * dp}: one of them is wrong")
    return tp * pp * dp, tp, pp, dp


def _columns(fields: Fields, tp: int, pp: int, dp: int, *, dp_attention: bool = False) -> Mapping[str, object]:
    """The row's columns for how the GPUs are used."""
    ep = fields.count("ep", "ep_size") or 1
    return {"tp": tp, "pp": pp, "ep": ep, "dp": dp, "dp_attention": dp_attention, "disagg": False}


def _needed(text: str | None, name: str, example: str) -> str:
    if text is None:
        raise UnusableRow(_asking(name, example))
    return text


def _asking(name: str, example: str) -> str:
    return f"the file does not say {name}: give it as --set {name}={example}"


def _vllm_date(fields: Fields) -> str | None:
    """`20261122-025800`, local time of the client, as an ISO date-time without a zone it does not state."""
    date = fields.text("date")
    if date is None or len(date) < 15 or not (date[:8] + date[9:15]).isdecimal():
        return None
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[9:11]}:{date[11:13]}:{date[13:15]}"
