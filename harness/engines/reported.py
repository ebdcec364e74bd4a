"""What the configurations that engines report have in common: how they are taken apart and held against a Run."""

import re
from collections.abc import Iterator, Mapping

from harness.engines.options import DTYPES
from harness.spec import Run

_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")

# Ways to quantise that count as a precision, by the names of vLLM 0.32.0 and SGLang 0.5.23. Several formats hold more
# than one: the name then can't tell them apart.
_MIXED = {"compressed-tensors", "quark", "modelopt_mixed", "deepseek_v4_fp8", "torchao"}
_FP8 = {
    "fp8",
    "fbgemm_fp8",
    "modelopt",
    "modelopt_fp8",
    "modelopt_mxfp8",
    "mxfp8",
    "w8a8_fp8",
    "fp8_per_tensor",
    "fp8_per_block",
    "fp8_per_channel",
}
_FP4 = {
    "modelopt_fp4",
    "nvfp4_online",
    "nvfp4_per_token",
    "mxfp4",
    "gpt_oss_mxfp4",
    "petit_nvfp4",
    "quark_mxfp4",
    "fp_quant",
}
QUANTIZATIONS: Mapping[str, set[str]] = {"fp8": _FP8 | _MIXED, "fp4": _FP4 | _MIXED}


def flatten(tree: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Leaves by dotted name; lists are leaves, unset values are left out, addresses in memory are blotted out."""
    if isinstance(tree, Mapping) and tree:
        for name, value in tree.items():
            yield from flatten(value, f"{prefix}.{name}" if prefix else str(name))
    elif tree is not None:
        yield prefix, _ADDRESS.sub("at 0x", tree) if isinstance(tree, str) else tree


def only_set(settings: Mapping[str, object], names: tuple[str, ...]) -> dict[str, object]:
    """The settings of these names that have a value; missing ones and None are left out."""
    return {name: settings[name] for name in names if settings.get(name) is not None}


def differences(pairs: Mapping[str, tuple[object, object]]) -> Iterator[str]:
    """A sentence for each name whose first value, what was asked, is set and not the second, what the server has."""
    for name, (asked, reported) in pairs.items():
        if asked is not None and asked != reported:
            yield f"{name}: asked {asked}, server has {reported}"


def without_build(version: str, run: Run) -> str:
    """The version without its build (`+cu130`), unless the build was asked for too."""
    return version if "+" in (run.engine.version or "") else version.partition("+")[0]


def precision(quantization: object, run: Run) -> Iterator[str]:
    """A sentence where the way that weights are quantised does not go with the precision asked for."""
    accepted = {None} if run.precision in DTYPES else QUANTIZATIONS.get(run.precision)
    if accepted is not None and quantization not in accepted:
        yield f"precision: asked {run.precision}, server has quantization {quantization}"
