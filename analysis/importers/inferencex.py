"""InferenceX results: artifacts of its harness, answers of its API, and tables made of either.

One row here is one concurrency of one server configuration. Its definitions are kept as they are: throughput over
the whole run, ramps included; TPOT over osl - 1; interactivity as 1 / median TPOT. Source of the schema:
https://github.com/SemiAnalysisAI/InferenceX, utils/process_result.py, and
https://github.com/SemiAnalysisAI/InferenceX-app, packages/db/src/etl.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.importers.fields import Fields, UnusableRow
from analysis.importers.row import PREFILL_PARTS, FlatRow, ImportedLoad, System, clean_model, new_row

ORIGIN = "inferencex"
ENGINES = {
    "atom-disagg": "mooncake-atom",
    "dynamo-trtllm": "dynamo-trt",
    "sglang-disagg": "mori-sglang",
    "trtllm": "trt",
}
"""Older names of a framework -> the name in use; packages/constants/src/framework-aliases.ts."""

PRECISIONS = {"mxfp4": "fp4", "nvfp4": "fp4"}
LATENCIES = tuple(
    (name + ours, theirs + what)
    for name, what in (("ttft_s", "_ttft"), ("tpot_s", "_tpot"), ("e2e_s", "_e2el"), ("chunk_gap_s", "_itl"))
    for ours, theirs in (("", "median"), ("_p50", "median"), ("_p90", "p90"), ("_p99", "p99"))
)
"""Our name -> theirs, medians as headlines."""

IDENTITY_TOLERANCE = 0.01
POWER_OF_WHOLE_DEPLOYMENT = 2


def matches(record: Mapping[str, Any]) -> bool:
    """Whether this is one of its records."""
    flat = "tput_per_gpu" in record and "conc" in record
    nested = isinstance(record.get("metrics"), dict) and "conc" in record
    return (flat or nested) and ("hw" in record or "hardware" in record)


def row(record: Mapping[str, Any]) -> FlatRow:
    """The record as a row.

    Raises:
        UnusableRow: something that a row needs is missing or wrong.
    """
    nested = record.get("metrics")
    fields = Fields({**nested, **record} if isinstance(nested, dict) else record)
    topology = _topology(fields)
    model = clean_model(fields.needed_text("infmax_model_prefix", "model"))
    engine = fields.needed_text("framework").lower()
    metrics = _metrics(fields, topology)
    image = fields.text("image")
    date = _date(fields)
    system = System(
        origin=ORIGIN,
        model=model,
        gpu=_gpu(fields.needed_text("hardware", "hw", "hw_raw")),
        gpus=topology.gpus,
        precision=_precision(fields),
        engine=ENGINES.get(engine, engine),
        engine_version=image.rpartition(":")[2] if image and ":" in image else None,
        draft_tokens=_draft_tokens(fields),
        topology=topology.columns,
    )
    return new_row(
        system,
        ImportedLoad(isl=_length(fields, "isl"), osl=_length(fields, "osl"), concurrency=fields.positive_count("conc")),
        metrics,
        started=None if date is None else f"{date}T00:00:00Z",
        warnings=_doubts(metrics),
        extra={"date": date, "run": _run(fields), "image": image, "itl_over_tpot": _itl_over_tpot(fields)},
    )


@dataclass(frozen=True, slots=True)
class Topology:
    """How a deployment's GPUs are used; an aggregated server has no prefill GPUs of its own.

    Attributes:
        columns: the row's keys for it.
    """

    prefill_gpus: int
    decode_gpus: int
    columns: Mapping[str, object]

    @property
    def gpus(self) -> int:
        """GPUs that the throughput is shared among."""
        return self.prefill_gpus + self.decode_gpus


def _topology(fields: Fields) -> Topology:
    if fields.flag("disagg"):
        return _disaggregated(fields)
    common = _common_columns(fields)
    # num_prefill_gpu and num_decode_gpu hold tp * ep here; experts lie inside the tp group and add no GPU.
    gpus = fields.count("num_gpus") or common["tp"] * common["pp"]
    return Topology(0, gpus, {**common, "disagg": False})


def _disaggregated(fields: Fields) -> Topology:
    prefill, decode = _split_gpus(fields)
    columns = {
        **_common_columns(fields),
        "disagg": True,
        "prefill_gpus": prefill,
        "decode_gpus": decode,
        **{name: fields.count(name) for name, _ in PREFILL_PARTS},
        "prefill_dp_attention": fields.flag("prefill_dp_attention"),
    }
    return Topology(prefill, decode, columns)


def _common_columns(fields: Fields) -> dict[str, int]:
    """What an aggregated server has, and the decoding half of a disaggregated one."""
    return {
        "tp": fields.positive_count("decode_tp", "tp"),
        "pp": fields.count("decode_pp", "pp") or 1,
        "ep": fields.count("decode_ep", "ep") or 1,
        "dp_attention": bool(fields.flag("decode_dp_attention", "dp_attention")),
    }


def _split_gpus(fields: Fields) -> tuple[int, int]:
    words = re.fullmatch(r"(\d{1,6})p\+(\d{1,6})d", fields.text("num_gpus_as_published") or "")
    if words:
        return int(words[1]), int(words[2])
    return fields.positive_count("num_prefill_gpu"), fields.positive_count("num_decode_gpu")


def _metrics(fields: Fields, topology: Topology) -> dict[str, float | None]:
    tpot_s = fields.number("median_tpot")
    interactivity = fields.number("median_intvty")
    if interactivity is None and tpot_s:
        interactivity = 1 / tpot_s
    if interactivity is None or interactivity <= 0:
        raise UnusableRow("median_intvty is missing" if interactivity is None else "median_intvty is not above 0")
    slow_tail = fields.number("p90_tpot")
    return {
        "interactivity": interactivity,
        "interactivity_p10": 1 / slow_tail if slow_tail else None,
        "total_tok_s_gpu": fields.positive("tput_per_gpu"),
        "output_tok_s_gpu": _shared(fields.number("output_tput_per_gpu"), topology.decode_gpus, topology),
        "input_tok_s_gpu": _shared(
            fields.number("input_tput_per_gpu"), topology.prefill_gpus or topology.decode_gpus, topology
        ),
        **_energy(fields, topology),
        **{name: fields.number(theirs) for name, theirs in LATENCIES},
    }


def _energy(fields: Fields, topology: Topology) -> dict[str, float | None]:
    """Measured board energy; empty where the producer found its readings invalid, or where their scope is not told.

    Joules per token of a disaggregated deployment meant one role's until version 2 of the power schema.
    """
    told = not topology.prefill_gpus or (fields.number("power_metric_schema_version") or 0) >= POWER_OF_WHOLE_DEPLOYMENT
    if not told or fields.flag("power_valid") is False:
        return {}
    return {
        "power_w_gpu": fields.number("avg_power_w"),
        "energy_j_per_tok": fields.number("joules_per_total_token"),
        "energy_j_per_tok_output": fields.number("joules_per_output_token"),
        "energy_j_per_tok_input": fields.number("joules_per_input_token"),
    }


def _shared(rate: float | None, gpus: int, topology: Topology) -> float | None:
    """A rate per GPU of one role -> per GPU of the whole deployment."""
    return None if rate is None else rate * gpus / topology.gpus


def _doubts(metrics: Mapping[str, float | None]) -> list[str]:
    """Warnings where a row contradicts itself; the numbers stay as published."""
    doubts = []
    total, output, given = (metrics[f"{kind}_tok_s_gpu"] for kind in ("total", "output", "input"))
    if total and output is not None and given is not None and _apart(output + given, total):
        doubts.append("throughput_parts_disagree")
    tpot_s, interactivity = metrics["tpot_s"], metrics["interactivity"]
    if tpot_s and interactivity and _apart(tpot_s * interactivity, 1.0):
        doubts.append("interactivity_disagrees")
    return doubts


def _apart(one: float, other: float) -> bool:
    return abs(one - other) > IDENTITY_TOLERANCE * abs(other)


def _gpu(hardware: str) -> str:
    """The GPU of `b200-trt`, `mi355x-amd_0`, `cluster:b300-nv`; the rest names a runner."""
    name = re.split(r"[-_]", hardware.lower().rpartition(":")[2])[0].strip()
    if not name:
        raise UnusableRow(f"hardware is {hardware[:40]!r}, which names no GPU")
    return name


def _precision(fields: Fields) -> str:
    precision = fields.needed_text("precision").lower()
    return PRECISIONS.get(precision, precision)


def _draft_tokens(fields: Fields) -> int | None:
    method = (fields.text("spec_method", "spec_decoding") or "none").lower()
    if method not in {"none", "mtp"}:
        raise UnusableRow(f"speculation by {method!r} is neither MTP nor Off")
    return None if method == "mtp" else 0


def _length(fields: Fields, name: str) -> int:
    if fields.number(name) is None:
        raise UnusableRow(f"{name} is missing: a trace without fixed lengths has no curve here")
    return fields.positive_count(name)


def _date(fields: Fields) -> str | None:
    date = fields.text("date")
    if date is None:
        return None
    if not re.match(r"\d{4}-\d{2}-\d{2}", date):
        raise UnusableRow(f"date is {date[:40]!r}, not year-month-day")
    return date[:10]


def _run(fields: Fields) -> str | None:
    """`id/attempt` of the workflow run."""
    found = re.search(r"/runs/(\d+)(?:/attempts/(\d+))?", fields.text("run_url") or "")
    if found:
        return f"{found[1]}/{found[2] or 1}"
    return fields.text("run")


def _itl_over_tpot(fields: Fields) -> float | None:
    stated = fields.number("median_itl_over_tpot")
    itl, tpot = fields.number("median_itl"), fields.number("median_tpot")
    return itl / tpot if stated is None and itl and tpot else stated
