"""Unrounded cells -> the digits and verdicts that the pages print."""

from decimal import ROUND_HALF_UP, Decimal

from analysis.published.maths import Cells, Target, js_round

TIE = 1.01
"""Ratios below it are "essentially tied"."""

PROSE_WITHOUT_CENTS = 10.0


def to_fixed(value: float, digits: int) -> str:
    """JavaScript's toFixed: the exact binary value, halves away from zero."""
    return str(Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP))


def table_cells(cells: Cells) -> dict[str, str | None]:
    """The digits of a table: tok/s/GPU, $ per million tokens, tok/s/MW, concurrency."""
    return {
        "tok_s_gpu": to_fixed(cells.tok_s_gpu, 1),
        "usd_per_mtok": None if cells.usd_per_mtok is None else to_fixed(cells.usd_per_mtok, 3),
        "tok_s_mw": None if cells.tok_s_mw is None else to_fixed(cells.tok_s_mw, 0),
        "concurrency": str(js_round(cells.concurrency)),
    }


def prose_figures(cells: Cells) -> dict[str, str | None]:
    """The digits of a sentence: tok/s/GPU and $ per million tokens."""
    usd = cells.usd_per_mtok
    return {
        "tok_s_gpu": to_fixed(cells.tok_s_gpu, 0),
        "usd_per_mtok": None if usd is None else to_fixed(usd, 1 if usd >= PROSE_WITHOUT_CENTS else 2),
    }


def band_word(at: int, band: tuple[int, int]) -> str:
    """Where a target lies in the printed band, by thirds: low end, middle, upper edge."""
    lo, hi = band
    share = (at - lo) / (hi - lo) if hi > lo else 0.5
    return "low end" if share < 1 / 3 else "upper edge" if share > 2 / 3 else "middle"


def verdict(target: Target) -> str | None:
    """Who wins on cost and on throughput, and by how many per cent; None when an arm is missing.

    A per cent here is the larger value over the smaller, minus 1: "94% cheaper" is a cost ratio of 1.94.
    """
    mtp, off = target.mtp, target.off
    if mtp is None or off is None:
        return None
    lead = _lead(mtp.tok_s_gpu, off.tok_s_gpu)
    winner = "MTP" if mtp.tok_s_gpu > off.tok_s_gpu else "Off"
    throughput = f"{winner} delivers {lead} more tok/s/GPU." if lead else "throughput per GPU is essentially tied."
    if mtp.usd_per_mtok is None or off.usd_per_mtok is None:
        return throughput[0].upper() + throughput[1:]
    lead = _lead(mtp.usd_per_mtok, off.usd_per_mtok)
    winner = "MTP" if mtp.usd_per_mtok < off.usd_per_mtok else "Off"
    cost = f"{winner} is {lead} cheaper per token" if lead else "Cost per token is essentially tied"
    return f"{cost}; {throughput}"


def _lead(one: float, other: float) -> str | None:
    """`88%`, or None for a tie."""
    ratio = max(one, other) / min(one, other)
    return None if ratio < TIE else f"{js_round((ratio - 1) * 100)}%"
