"""Which numbers the page can draw, and how each follows from what is read off a curve.

Names, units, directions and formulas are those of `harness.metrics.METRICS`: a new row there with one of the units
below appears here by itself. Knows no value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.metrics import METRICS

GROUPS: Mapping[str, str] = {
    "tok/s/GPU": "Throughput",
    "$/Mtok": "Cost",
    "tok/s/MW": "Per megawatt",
    "J/tok": "Energy",
    "W": "Power",
}
"""Unit of what may stand on the upright axis -> the menu's group. One number at a time: no two kinds of watt meet."""

DERIVED: Mapping[str, tuple[str, str]] = {
    "cost_per_mtok": ("total_tok_s_gpu", "cost"),
    "cost_per_mtok_output": ("output_tok_s_gpu", "cost"),
    "tok_s_mw_provisioned": ("total_tok_s_gpu", "per_mw"),
}
"""What assumptions make of a throughput: the throughput that is read, and how it is turned."""

LABELS: Mapping[str, str] = {
    "interactivity": "Interactivity",
    "ttft_s": "Time to first token",
    "e2e_s": "End-to-end latency",
    "acceptance_length": "Acceptance length",
    "total_tok_s_gpu": "Total throughput",
    "output_tok_s_gpu": "Output throughput",
    "input_tok_s_gpu": "Input throughput",
    "cost_per_mtok": "Cost, input and output tokens",
    "cost_per_mtok_output": "Cost, output tokens alone",
    "tok_s_mw_provisioned": "Throughput per provisioned MW",
    "tok_s_mw_measured": "Throughput per measured MW",
    "energy_net_j_per_tok_output": "Measured energy above idle, output tokens",
    "power_w_gpu": "Measured power of one GPU",
}

AXES = ("interactivity", "ttft_s", "e2e_s")
BESIDE = ("acceptance_length",)
"""Read off a curve too, and never drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlottedMetric:
    """A number that the page can put on its upright axis.

    Attributes:
        of: the column that is read off a curve.
        how: `is` for the column itself, `cost` for $ per hour over it, `per_mw` for it over kW.
    """

    name: str
    label: str
    unit: str
    better: str
    formula: str
    group: str
    of: str
    how: str


def plotted_metrics() -> tuple[PlottedMetric, ...]:
    """Every metric that has one of the units in GROUPS and a direction, in the order of the groups."""
    found = [
        PlottedMetric(
            name=name,
            label=label_of(name),
            unit=metric.unit,
            better=metric.better,
            formula=metric.formula,
            group=GROUPS[metric.unit],
            of=DERIVED.get(name, (name, "is"))[0],
            how=DERIVED.get(name, (name, "is"))[1],
        )
        for name, metric in METRICS.items()
        if metric.unit in GROUPS and metric.better and not name.startswith("inferencex_")
    ]
    order = list(GROUPS)
    return tuple(sorted(found, key=lambda metric: order.index(metric.unit)))


def columns() -> tuple[str, ...]:
    """What has to be known of a point or a curve so that all of it can be drawn and said."""
    return tuple(dict.fromkeys((*AXES, *BESIDE, *_read())))


def label_of(name: str) -> str:
    """A metric's name for people."""
    if name in LABELS:
        return LABELS[name]
    kind = name.removeprefix("energy_j_per_tok").strip("_")
    if name.startswith("energy_j_per_tok"):
        return f"Measured energy, {kind} tokens" if kind else "Measured energy, all tokens"
    return name.replace("_", " ")


def _read() -> Iterator[str]:
    return (metric.of for metric in plotted_metrics())
