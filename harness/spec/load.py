"""The load of a point: so many users in closed loop, or so many requests a second in open loop."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Load:
    """One load. Loads of different arrivals are not of one scale.

    Attributes:
        amount: users, or requests a second.
        arrivals: `Arrivals.label` of an open loop; "" in closed loop.
    """

    amount: float
    arrivals: str = ""

    @property
    def label(self) -> str:
        """Short name, for columns and folders: `c8`, `r2.5`."""
        return rate_label(self.amount) if self.arrivals else f"c{self.amount:.0f}"

    @property
    def words(self) -> str:
        """`concurrency 8`, `2.5 requests/s`."""
        return f"{self.amount:.6g} requests/s" if self.arrivals else f"concurrency {self.amount:.6g}"

    @property
    def unit(self) -> str:
        """`concurrency`, `requests/s`."""
        return "requests/s" if self.arrivals else "concurrency"

    @property
    def seed(self) -> int:
        """Seed of what is drawn at random at this load."""
        return round(1000 * self.amount) if self.arrivals else round(self.amount)

    @property
    def fields(self) -> Mapping[str, float]:
        """The amount under its name in JSON: `concurrency`, or `rate`."""
        return {"rate" if self.arrivals else "concurrency": self.amount}


def rate_label(rate: float) -> str:
    """`r2.5`: requests a second, as folders and columns are named by them."""
    return f"r{rate:.6g}"
