"""Things that have a YAML file of their own: golden tables, models, GPUs, workloads. Facts, each with a source."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from harness.spec.base import Name, Positive, Sequence, Spec, Text


class Acceptance(Spec):
    """A golden table: the acceptance length that a model reaches on a reference data set, by draft tokens."""

    name: Name
    by_draft_tokens: Mapping[Annotated[int, Field(strict=False, ge=1)], Annotated[float, Field(ge=1)]]
    source: Text


class Model(Spec):
    """A model, with the facts that planning, checking and comparing need.

    Attributes:
        weights: hub id, or a folder (resolved by `config`).
        tokenizer: hub id or folder; None means the one beside the weights.
        load_format: `dummy` serves random weights: timing without a download, text without meaning.
        draft_tokens: what `mtp: on` means for this model.
        ready_limit_s: longest acceptable time from start to ready, weight load and graph capture included.
        golden: the table behind `acceptance: golden`.
        eos_token_ids: ids that end a text; with them the share of text forced past its end is known.
        weight_gb: weight bytes / 1e9 by precision, as served.
        kv_bytes_per_token: bytes of KV cache a token takes at bf16 over all layers.
        state_bytes_per_request: bytes that a request takes whatever its length (recurrent state, attention windows).
        floors: task of lm-eval -> least exact match of an engine that serves the model well.
    """

    name: Name
    label: Text
    weights: Text
    revision: str | None = None
    tokenizer: str | None = None
    load_format: Literal["auto", "dummy"] = "auto"
    chat: bool = True
    context: Positive
    layers: Positive
    parameters_b: Annotated[float, Field(gt=0)]
    active_b: Annotated[float, Field(gt=0)]
    moe: bool = False
    mtp_modules: Annotated[int, Field(ge=0)]
    draft_tokens: Positive = 1
    ready_limit_s: Annotated[float, Field(gt=0)] = 1800.0
    golden: Acceptance | None = None
    eos_token_ids: Annotated[tuple[int, ...], Sequence] = ()
    weight_gb: Mapping[str, float] = {}
    kv_bytes_per_token: int | None = None
    state_bytes_per_request: Annotated[int, Field(ge=0)] = 0
    floors: Mapping[str, Annotated[float, Field(ge=0, le=1)]] = {}
    source: Text


class Vendor(StrEnum):
    """Who made the accelerator; decides the power library and the visibility variable."""

    NVIDIA = "nvidia"
    AMD = "amd"
    CPU = "cpu"


class Prices(Spec):
    """$ per GPU-hour by tier and all-in power, as one source stated them from one date on.

    Attributes:
        since: first day they hold, ISO date.
        usd_per_gpu_hour: tier name -> $; a tier that the source lacks is absent.
        all_in_kw: provisioned utility power per GPU, everything included: an assumption, not a reading.
    """

    since: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    usd_per_gpu_hour: Mapping[str, float] = {}
    all_in_kw: float | None = None
    source: Text


class Gpu(Spec):
    """An accelerator (or a CPU standing in for one)."""

    name: Name
    label: Text
    vendor: Annotated[Vendor, Field(strict=False)]
    arch: Text
    memory_gb: Annotated[float, Field(gt=0)]
    bandwidth_tb_s: float | None = None
    tdp_w: float | None = None
    dense_tflops: Mapping[str, float] = {}
    per_node: Positive = 8
    prices: Annotated[tuple[Prices, ...], Sequence] = ()
    source: Text

    def prices_on(self, day: str) -> Prices | None:
        """What held on a day (ISO date): the newest prices not after it; None when all began later."""
        return max((p for p in self.prices if p.since <= day), key=lambda p: p.since, default=None)


class Sampling(Spec):
    """Sampling, sent whole with every request: engines fill gaps from the model's own defaults."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: int = -1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


class Workload(Spec):
    """What the users send.

    Attributes:
        isl, osl: prompt and output length, tokens, chat template included.
        length_ratio: lengths are drawn from [ratio * L, L] by request index; 1.0 means exactly L.
        length: `exact` holds the output to OSL by ignore_eos; `natural` lets the model stop.
        source: `builtin`, `random` (labelled: it inflates acceptance), or a path (resolved by `config`).
        format: how a path is read: plain text, JSONL with a `prompt` or `text`, ShareGPT, SPEED-Bench.
        seed: of the prompt stream and the residual-life start; the same in both arms.
        ttft_limit_s, tpot_limit_s: what a user puts up with: a request that keeps both counts as goodput.
    """

    name: Name
    isl: Positive
    osl: Annotated[int, Field(ge=2)]
    length_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    length: Literal["exact", "natural"] = "exact"
    source: Text = "builtin"
    format: Literal["text", "jsonl", "sharegpt", "speedbench"] = "text"
    seed: int = 0
    sampling: Sampling = Sampling()
    ttft_limit_s: Annotated[float, Field(gt=0)] | None = None
    tpot_limit_s: Annotated[float, Field(gt=0)] | None = None
