"""Read the metrics page of a server (Prometheus text format), as far as its counters need it.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

_LINE = re.compile(
    r"""^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>(?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?[ \t]+(?P<value>\S+)""",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Reading(NamedTuple):
    """One series of a metric: its labels as written, and its value."""

    labels: str
    value: float

    def label(self, name: str) -> str | None:
        """Value of a label; None when the series has no such label."""
        return self.all_labels().get(name)

    def all_labels(self) -> Mapping[str, str]:
        """Every label by name."""
        return dict(_LABEL.findall(self.labels))


def readings(page: str, names: Collection[str]) -> dict[str, list[Reading]]:
    """The series of the metrics asked for; a metric that the page lacks is absent."""
    by_name: dict[str, list[Reading]] = {}
    for line in _LINE.finditer(page):
        if line["name"] in names:
            by_name.setdefault(line["name"], []).append(Reading(line["labels"] or "", float(line["value"])))
    return by_name


def total(series: Iterable[Reading] | None) -> float | None:
    """Sum over all engines and data-parallel ranks; None when the metric is absent."""
    return None if series is None else sum(reading.value for reading in series)


def mean(series: Iterable[Reading] | None) -> float | None:
    """Mean over all series: for shares. None when the metric is absent."""
    values = [reading.value for reading in series or ()]
    return sum(values) / len(values) if values else None
