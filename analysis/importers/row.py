"""The shape of an imported row: a flat object of points.jsonl, the same keys whatever it came from.

A row keeps the definitions of its origin, which is why it is stamped `imported` and says its `origin`: measured rows
and imported ones never share a curve.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from harness.records import SCHEMA

FlatRow: TypeAlias = dict[str, object]
"""A flat object of points.jsonl."""

STAMP = "imported"

PREFILL_PARTS = (
    ("prefill_tp", "ptp"),
    ("prefill_ep", "pep"),
    ("prefill_num_workers", "pw"),
    ("decode_num_workers", "dw"),
)
"""Columns of a disaggregated deployment, and what each is called where the deployment is named."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The deployment that was measured, as far as its file or the user says.

    Attributes:
        origin: whose definitions the numbers follow.
        draft_tokens: 0 is Off; None is MTP of a length that the origin does not say.
        topology: the row's columns for it: tp, pp, ep, dp_attention and disagg, and both halves of a disaggregated one.
    """

    origin: str
    model: str
    gpu: str
    gpus: int
    precision: str
    engine: str
    engine_version: str | None
    draft_tokens: int | None
    topology: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedLoad:
    """What the deployment was given: mean lengths of a request in tokens, and users in flight."""

    isl: int
    osl: int
    concurrency: int


def new_row(
    system: System,
    load: ImportedLoad,
    metrics: Mapping[str, float | None],
    *,
    started: str | None = None,
    invalid: Iterable[str] = (),
    warnings: Iterable[str] = (),
    extra: Mapping[str, object] | None = None,
) -> FlatRow:
    """A row from its parts; `extra` is what the origin knows beyond our columns."""
    topology = system.topology
    return {
        **_identity(system, load),
        **_fixed(),
        "started": started,
        "invalid": list(invalid),
        "warnings": list(warnings),
        **{name: value for name, value in topology.items() if name not in {"tp", "pp", "ep", "dp"}},
        **(extra or {}),
        **metrics,
        **_inferencex(metrics),
    }


def _identity(system: System, load: ImportedLoad) -> FlatRow:
    """Which point of which server it is."""
    arm = "off" if system.draft_tokens == 0 else "mtp"
    topology = system.topology
    gpus, layout = f"{system.gpu}x{system.gpus}", _layout(topology)
    pair_key = f"{system.model}-{system.precision}-{gpus}-{system.engine}-{layout}-{load.isl}-{load.osl}"
    return {
        "schema": SCHEMA,
        "sweep": None,
        "run_key": f"{pair_key}-{arm}",
        "pair_key": pair_key,
        "origin": system.origin,
        "workload": lengths(load.isl, load.osl),
        "model": system.model,
        "gpu": system.gpu,
        "gpus": system.gpus,
        "precision": system.precision,
        "engine": system.engine,
        "engine_version": system.engine_version,
        "tp": topology["tp"],
        "pp": topology["pp"],
        "ep": topology["ep"],
        "dp": topology.get("dp", 1),
        "draft_tokens": system.draft_tokens,
        "arm": arm,
        "isl": load.isl,
        "osl": load.osl,
        "concurrency": load.concurrency,
    }


def _fixed() -> FlatRow:
    """Columns of our own rows that no other tool tells, in the order of the file."""
    return {
        "launch": 0,
        "attempt": 1,
        "node": None,
        "started": None,
        "emulated": False,
        "forced_acceptance_length": None,
        "prompt_hash": None,
        "demo": False,
        "stamps": [STAMP],
    }


def _inferencex(metrics: Mapping[str, float | None]) -> FlatRow:
    """The metrics that InferenceX defines too, under the names that our own rows have for its definitions."""
    return {f"inferencex_{name}": metrics.get(name) for name in WHOLE_RUN}


def invalid_codes(row: FlatRow) -> list[str]:
    """Why the row takes no part, as codes; empty for one that does."""
    codes = row.get("invalid")
    return [str(code) for code in codes] if isinstance(codes, list) else []


def _layout(topology: Mapping[str, object]) -> str:
    """`tp8`, `tp8ep8dpa`, `16p8d-tp8dpa`: what distinguishes two deployments on as many GPUs.

    Run keys of imported rows are made of it, so it keeps its form; `Topology.label` is the one for people.
    """
    text = f"tp{topology['tp']}"
    for name in ("pp", "ep", "dp"):
        if topology.get(name, 1) != 1:
            text += f"{name}{topology[name]}"
    text += "dpa" if topology.get("dp_attention") else ""
    if not topology.get("disagg"):
        return text
    parts = [f"{short}{topology[name]}" for name, short in PREFILL_PARTS if topology.get(name) is not None]
    parts += ["pdpa"] if topology.get("prefill_dp_attention") else []
    return "-".join([f"{topology['prefill_gpus']}p{topology['decode_gpus']}d", text, *parts])


def lengths(isl: int, osl: int) -> str:
    """`1k1k` for lengths in whole Ki, `1000-500` for others."""
    if isl % 1024 or osl % 1024:
        return f"{isl}-{osl}"
    return f"{isl // 1024}k{osl // 1024}k"
