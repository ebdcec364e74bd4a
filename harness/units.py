"""The only conversions between units, and the only way in which numbers become text.

Knows nothing of what a number means: `metrics.METRICS` names each number's unit.
"""

NS_PER_S = 1_000_000_000
SECONDS_PER_HOUR = 3600.0
TOKENS_PER_MTOK = 1e6
KW_PER_MW = 1000.0
W_PER_KW = 1000.0
W_PER_MW = 1e6

MISSING = "\N{EN DASH}"
"""Stands in a table for a number that was not measured; the reason stands in the row."""

LEAST_SHARE = 1e-5

WIDE = 0.2
"""From this half-width on, an interval of a logarithm reaches further up than down by more than its digits hide."""

WIDEST_FACTOR = 10
"""Two launches that differ leave one degree of freedom: wider than this the digits say nothing."""


def usd_per_mtok(usd_per_gpu_hour: float, tok_s_gpu: float) -> float:
    """$ for a million tokens on a GPU that is paid by the hour."""
    return usd_per_gpu_hour * TOKENS_PER_MTOK / (SECONDS_PER_HOUR * tok_s_gpu)


def tok_s_mw(tok_s_gpu: float, kw_per_gpu: float) -> float:
    """Tokens per second for each megawatt."""
    return tok_s_gpu * KW_PER_MW / kw_per_gpu


def mib(gigabytes: float) -> float:
    """10^9 bytes in the unit that GPU tools show."""
    return gigabytes * 1e9 / 2**20


def number(value: float | None, digits: int = 3) -> str:
    """`value` to so many significant digits: `0.0123`, `1.23`, `123`, `12,346`, or a dash for None.

    Digits before the point are never dropped: a count of 12,346 reads so at any precision.
    """
    if value is None:
        return MISSING
    if value == 0:
        return "0"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])  # after rounding: 9.996 has the exponent of 10.0
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def between(lo: float | None, hi: float | None, digits: int = 3) -> str:
    """An interval, `1.20 to 1.31`; empty where there is none."""
    return "" if lo is None or hi is None else f"{number(lo, digits)} to {number(hi, digits)}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as per cent, `0.034` as `3.4 %`; what is next to nothing, the last bits of a sum, as `under 0.001 %`."""
    if share is None:
        return MISSING
    return f"{number(100 * share, digits)} %" if not 0 < abs(share) < LEAST_SHARE else f"under {100 * LEAST_SHARE:g} %"


def plus_minus(half_width: float) -> str:
    """Half of an interval of a logarithm, relative: `± 3.4 %`; a wide one by how far it reaches each way."""
    if half_width < WIDE:
        return f"± {percent(half_width)}"
    if 1 + half_width > WIDEST_FACTOR:
        return f"(to over {WIDEST_FACTOR} times as much or as little)"
    return f"(+{percent(half_width)}, -{percent(half_width / (1 + half_width))})"


def duration(seconds: float) -> str:
    """A length of time as people say it: `850 ms`, `12.3 s`, `5 min 20 s`, `2 h 05 min`."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{number(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s"
