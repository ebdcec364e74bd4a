"""$ per GPU-hour and all-in kW of a GPU: what turns throughput into cost and into tok/s/MW.

Assumptions, not readings: each comes with the day from which it holds and where it is from. The user's own figures
override them.
"""

import re
from dataclasses import dataclass, replace
from functools import cache

from harness import config
from harness.errors import UserError
from harness.metrics import DEFAULT_TIER
from harness.spec import Gpu, Prices
from harness.units import tok_s_mw, usd_per_mtok

LAST_DAY = "9999-12-31"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class PriceChoice:
    """Which prices the user asks for.

    Attributes:
        day: prices that held on this ISO day; None for the newest.
        tier: who pays: hyperscaler, neocloud, rental.
        usd_per_gpu_hour, all_in_kw: the user's own figures.
    """

    day: str | None = None
    tier: str = DEFAULT_TIER
    usd_per_gpu_hour: float | None = None
    all_in_kw: float | None = None


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What one GPU costs and draws, each with its origin; None with the reason where nothing is known."""

    usd_per_gpu_hour: float | None
    usd_from: str
    all_in_kw: float | None
    kw_from: str

    def cost_per_mtok(self, tok_s_gpu: float | None) -> float | None:
        """$ per million tokens at this throughput."""
        if self.usd_per_gpu_hour is None or not tok_s_gpu:
            return None
        return usd_per_mtok(self.usd_per_gpu_hour, tok_s_gpu)

    def tok_s_mw(self, tok_s_gpu: float | None) -> float | None:
        """Tokens per second for each provisioned megawatt."""
        if self.all_in_kw is None or tok_s_gpu is None:
            return None
        return tok_s_mw(tok_s_gpu, self.all_in_kw)


def parse_prices(text: str | None) -> PriceChoice:
    """What `--prices` says: a day, a tier, `usd=2.10` and `kw=1.4`, any of them, comma-separated.

    Raises:
        UserError: a part is none of these.
    """
    want = PriceChoice()
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, _, number = part.partition("=")
        figure = float(number) if re.fullmatch(r"\d{1,6}(\.\d+)?", number) else 0.0
        if _DAY.fullmatch(part):
            want = replace(want, day=part)
        elif part in tiers():
            want = replace(want, tier=part)
        elif name == "usd" and figure:
            want = replace(want, usd_per_gpu_hour=figure)
        elif name == "kw" and figure:
            want = replace(want, all_in_kw=figure)
        else:
            raise UserError(
                f"--prices {part}: not a day like 2026-07-13, not one of {', '.join(tiers())}, "
                "and not a figure of your own like usd=2.10 or kw=1.4"
            )
    return want


def assumptions(gpu: str, facts: Gpu | None, want: PriceChoice) -> Assumptions:
    """Price and power of a GPU, as wanted.

    Args:
        gpu: its name.
        facts: what is known of it; None when nothing is.
        want: day, tier, the user's own figures.
    """
    prices = facts.prices_on(want.day or LAST_DAY) if facts else None
    missing = _missing(gpu, facts, prices, want)
    usd, kw = (prices.usd_per_gpu_hour.get(want.tier), prices.all_in_kw) if prices else (None, None)
    since = f"from {prices.since} on" if prices else missing
    return Assumptions(
        usd_per_gpu_hour=want.usd_per_gpu_hour or usd,
        usd_from="your own" if want.usd_per_gpu_hour else f"{want.tier}, {since}" if usd else missing,
        all_in_kw=want.all_in_kw or kw,
        kw_from="your own" if want.all_in_kw else since if kw else missing,
    )


def _missing(gpu: str, facts: Gpu | None, prices: Prices | None, want: PriceChoice) -> str:
    """Why there is no figure."""
    if facts is None:
        return f"configs/gpus has no {gpu}"
    if prices is None:
        return f"configs/gpus/{gpu}.yaml has no prices{f' that held on {want.day}' if want.day else ''}"
    return f"configs/gpus/{gpu}.yaml has none for {want.tier} from {prices.since} on"


@cache
def tiers() -> tuple[str, ...]:
    """Who may pay: every tier that some GPU has a price of."""
    prices = [prices for gpu in config.load_gpus().values() for prices in gpu.prices]
    return tuple(sorted({tier for each in prices for tier in each.usd_per_gpu_hour}))
