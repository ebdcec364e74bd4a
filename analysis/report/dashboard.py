"""Pages recomputed as the public dashboard computed them -> the page's data, said to be such wherever numbers are.

The page repeats their arithmetic too: each column splined by itself over the front, on linear axes, held to the front's
range. Tables whose rows are not all here are shown as they were printed.
"""

from collections.abc import Sequence

from analysis.published import Cloud, Page, Shown, about, sentence
from analysis.published.text import ARMS, METRICS
from analysis.report.arms import Plain
from harness.front import front

STAMP = "as-published"
VIEW = "as-published"

PREFACE = (
    "Computed as the public dashboard did in July 2026, for checking its pages and not for deciding: it pools every "
    'engine and topology of an arm, and "94% cheaper" there means that the other arm costs 1.94 times as much.'
)


def entries(shown: Sequence[Shown]) -> list[Plain]:
    """One entry for each page that was recomputed."""
    return [_entry(table, table.page) for table in shown if table.page is not None]


def printed_only(shown: Sequence[Shown]) -> list[Plain]:
    """Tables as they were published, whose rows are not here."""
    return [
        {
            "key": table.printed.key,
            "label": table.label,
            "note": table.note or "",
            "targets": [target.at for target in table.printed.targets],
            "rows": [(name, _cells(table, metric, dress)) for metric, (name, dress) in METRICS.items()],
        }
        for table in shown
        if not table.recomputed
    ]


def _cells(table: Shown, metric: str, dress: str) -> list[list[str | None]]:
    """One row of a table: for each target the digits of both arms."""
    return [[_dressed(getattr(target, arm), metric, dress) for arm in ARMS] for target in table.printed.targets]


def _dressed(cells: object, metric: str, dress: str) -> str | None:
    digits = cells.get(metric) if isinstance(cells, dict) else None
    return None if digits is None else dress.format(digits)


def _entry(shown: Shown, page: Page) -> Plain:
    return {
        "id": f"{page.key}/{VIEW}",
        "mode": VIEW,
        "question": {
            "model": page.model,
            "gpu": page.gpu,
            "precision": page.precision,
            "workload": page.key.rpartition("/")[2],
            "isl": page.isl,
            "osl": page.osl,
            "engine": ", ".join(page.engines),
            "topology": "all topologies pooled",
        },
        "family": page.key,
        "verdict": {
            "word": "as published",
            "tone": "none",
            "sentence": "As the dashboard worded it in July 2026",
            "caveats": [PREFACE, *(sentence(target) for target in shown.printed.targets if target.verdict)],
            "sentences": [],
        },
        "verdicts": "none",
        "stamps": [STAMP],
        "flags": [("about", clause) for clause in about(shown)],
        "overlap": page.band,
        "targets": [target.at for target in page.targets],
        "arms": {
            name: _arm(label, cloud)
            for name, label, cloud in (("mtp", "MTP", page.mtp_cloud), ("off", "Off", page.off_cloud))
            if cloud is not None
        },
        "rates": {
            "usd": page.assumptions.usd_per_gpu_hour,
            "usd_from": page.assumptions.usd_from,
            "kw": page.assumptions.all_in_kw,
            "kw_from": page.assumptions.kw_from,
            "tier": None,
            "tiers": [],
        },
    }


def _arm(label: str, cloud: Cloud) -> Plain:
    kept = front(cloud.x, cloud.tok_s_gpu)
    columns = {
        "total_tok_s_gpu": cloud.tok_s_gpu,
        "cost_per_mtok": cloud.usd_per_mtok,
        "tok_s_mw_provisioned": cloud.tok_s_mw,
        "concurrency": cloud.concurrency,
    }
    known = {name: values for name, values in columns.items() if values is not None}
    on_front = set(kept.tolist())
    return {
        "label": label,
        "x": cloud.x[kept].tolist(),
        "columns": {name: values[kept].tolist() for name, values in known.items()},
        "points": [
            {
                "label": f"c{int(cloud.concurrency[i])}",
                "concurrency": int(cloud.concurrency[i]),
                "topology": str(row.get("run_key")),
                "gpus": row.get("gpus"),
                "values": {
                    "interactivity": float(cloud.x[i]),
                    **{name: float(values[i]) for name, values in known.items()},
                    **{name: row[name] for name in ("ttft_s", "power_w_gpu") if row.get(name) is not None},
                },
                "knot": i in on_front,
                "outlier": None if i in on_front else "not on the front: another point has as much of both",
            }
            for i, row in enumerate(cloud.rows)
        ],
    }
