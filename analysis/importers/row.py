"""The shape of an imported row: a flat object of points.jsonl, the same keys whatever it came from.

A row keeps the definitions of its origin, which is why it is stamped `imported` and says its `origin`: measured rows
and imported ones never share a curve.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from harness.records import SCHEMA

Row: TypeAlias = dict[str, object]
"""A flat object of points.jsonl."""

STAMP = "imported"

WHOLE_RUN = ("tpot_s", "interactivity", "output_tok_s_gpu", "total_tok_s_gpu")
"""Metrics that all of these tools define as InferenceX does: TPOT over osl - 1, rates over the whole run."""

MODELS = {
    "deepseek-r1": "dsr1",
    "deepseek-r1-0528": "dsr1",
    "deepseek-v4-pro": "dsv4",
    "dsv4pro": "dsv4",
    "gpt-oss-120b": "gptoss",
    "gptoss120b": "gptoss",
    "qwen3.5-397b-a17b": "qwen3.5",
}
"""Last part of a hub id -> the short name that public dashboards use."""

_PRECISION = re.compile(r"-(?:fp4|fp8|mxfp4|nvfp4|bf16)(?:-.*)?$")


@lru_cache(maxsize=4096)
def clean_model(name: str) -> str:
    """One name for one model: `nvidia/DeepSeek-R1-0528-FP4-v2` and `dsr1` are the same.

    The precision is a column of its own and leaves the name.
    """
    last = (name.rstrip("/ ").rpartition("/")[2] or name).lower()
    short = _PRECISION.sub("", last) or last
    return MODELS.get(short, short)


def new_row(
    *,
    origin: str,
    model: str,
    gpu: str,
    gpus: int,
    precision: str,
    engine: str,
    engine_version: str | None,
    draft_tokens: int | None,
    isl: int,
    osl: int,
    concurrency: int,
    started: str | None,
    topology: Mapping[str, object],
    metrics: Mapping[str, float | None],
    invalid: Iterable[str] = (),
    warnings: Iterable[str] = (),
    extra: Mapping[str, object] | None = None,
) -> Row:
    """A row from its parts.

    `origin` says whose definitions the numbers follow. `draft_tokens` 0 is Off, None is MTP of a length that the origin
    does not say. `topology` holds tp, pp, ep, dp_attention and disagg, and both halves of a disaggregated deployment;
    `extra` is what the origin knows beyond our columns.
    """
    arm = "off" if draft_tokens == 0 else "mtp"
    line = [model, precision, f"{gpu}x{gpus}", engine, _layout(topology), f"{isl}-{osl}"]
    return {
        "schema": SCHEMA,
        "sweep": None,
        "run_key": "-".join([*line, arm]),
        "pair_key": "-".join(line),
        "origin": origin,
        "workload": lengths(isl, osl),
        "model": model,
        "gpu": gpu,
        "gpus": gpus,
        "precision": precision,
        "engine": engine,
        "engine_version": engine_version,
        "tp": topology["tp"],
        "pp": topology["pp"],
        "ep": topology["ep"],
        "dp": topology.get("dp", 1),
        "draft_tokens": draft_tokens,
        "arm": arm,
        "isl": isl,
        "osl": osl,
        "concurrency": concurrency,
        "launch": 0,
        "attempt": 1,
        "node": None,
        "started": started,
        "emulated": False,
        "forced_acceptance_length": None,
        "prompt_hash": None,
        "demo": False,
        "stamps": [STAMP],
        "invalid": list(invalid),
        "warnings": list(warnings),
        **{name: value for name, value in topology.items() if name not in {"tp", "pp", "ep", "dp"}},
        **(extra or {}),
        **metrics,
        **{f"inferencex_{name}": metrics.get(name) for name in WHOLE_RUN},
    }


def _layout(topology: Mapping[str, object]) -> str:
    """`tp8`, `tp8ep8dpa`, `16p8d-tp8dpa`: what distinguishes two deployments on as many GPUs."""
    text = f"tp{topology['tp']}"
    for name in ("pp", "ep", "dp"):
        if topology.get(name, 1) != 1:
            text += f"{name}{topology[name]}"
    text += "dpa" if topology.get("dp_attention") else ""
    if not topology.get("disagg"):
        return text
    halves = (("prefill_tp", "ptp"), ("prefill_ep", "pep"), ("prefill_num_workers", "pw"), ("decode_num_workers", "dw"))
    parts = [f"{short}{topology[name]}" for name, short in halves if topology.get(name) is not None]
    parts += ["pdpa"] if topology.get("prefill_dp_attention") else []
    return "-".join([f"{topology['prefill_gpus']}p{topology['decode_gpus']}d", text, *parts])


def lengths(isl: int, osl: int) -> str:
    """`1k1k` for lengths in whole Ki, `1000-500` for others."""
    if isl % 1024 or osl % 1024:
        return f"{isl}-{osl}"
    return f"{isl // 1024}k{osl // 1024}k"
