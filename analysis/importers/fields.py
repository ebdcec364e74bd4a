"""Typed reading of one foreign record: what is absent is None, what is wrong is said in words.

Knows no format and no meaning: numbers, counts, texts and flags, as strings or not.
"""

import math
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

LARGEST, SMALLEST = 1e12, 1e-12
"""No rate, time or count in these files comes near; beyond them arithmetic would run into nonsense."""

TEXT_LIMIT = 200
_NUMBERS = (float, int)
_ABSENT = frozenset({"", "nan", "none", "null", "n/a"})


class UnusableRow(Exception):
    """A record that can't become a row; its text is the reason, for people."""


class Fields:
    """One record. Every method takes several names and reads the first that is there.

    None, NaN, "" and the words for them count as absent.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._record = record

    def number(self, *names: str) -> float | None:
        """A finite number, or None.

        Raises:
            UnusableRow: something else is there.
        """
        for name in names:
            value = self._record.get(name)
            if value.__class__ in _NUMBERS and -LARGEST <= value <= LARGEST:  # nearly always, and there are many
                return float(value)
            if not _is_absent(value):
                return _number(name, value)
        return None

    def positive(self, *names: str) -> float:
        """A number above 0 that must be there.

        Raises:
            UnusableRow: it is absent, 0 or below.
        """
        number = self.number(*names)
        if number is None:
            raise UnusableRow(f"{names[0]} is missing")
        if number < SMALLEST:
            raise UnusableRow(f"{self._first(names)[0]} is {number:g}, not above 0")
        return number

    def count(self, *names: str) -> int | None:
        """A whole number of 0 or above, or None.

        Raises:
            UnusableRow: something else is there.
        """
        number = self.number(*names)
        if number is None:
            return None
        if number < 0 or not number.is_integer():
            raise UnusableRow(f"{self._first(names)[0]} is {number:g}, not a whole number")
        return int(number)

    def positive_count(self, *names: str) -> int:
        """A whole number above 0 that must be there.

        Raises:
            UnusableRow: it is absent, 0, or not whole.
        """
        number = self.positive(*names)
        if not number.is_integer():
            raise UnusableRow(f"{self._first(names)[0]} is {number:g}, not a whole number")
        return int(number)

    def text(self, *names: str) -> str | None:
        """One line of printable text, cut at 200 characters, or None."""
        _, value = self._first(names)
        return (clean_text(value) or None) if value is not None else None

    def needed_text(self, *names: str) -> str:
        """A text that must be there.

        Raises:
            UnusableRow: it is absent.
        """
        text = self.text(*names)
        if text is None:
            raise UnusableRow(f"{names[0]} is missing")
        return text

    def flag(self, *names: str) -> bool | None:
        """A truth value, or None.

        Raises:
            UnusableRow: something else is there.
        """
        name, value = self._first(names)
        if value is None or isinstance(value, bool):
            return value
        word = str(value).strip().lower()
        if word in {"true", "1", "1.0", "yes"}:
            return True
        if word in {"false", "0", "0.0", "no"}:
            return False
        raise UnusableRow(f"{name} is {_short(value)}, not true or false")

    def _first(self, names: tuple[str, ...]) -> tuple[str, Any]:
        for name in names:
            value = self._record.get(name)
            if value is not None and not _is_absent(value):
                return name, value
        return names[0], None


def clean_text(value: object) -> str:
    """The value as one printable line: a name out of a file must not break a table, a terminal or an encoder."""
    return _printable(value.isoformat() if isinstance(value, date) else str(value)[: 2 * TEXT_LIMIT])


@lru_cache(maxsize=4096)  # a file names few things, many times
def _printable(text: str) -> str:
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:TEXT_LIMIT]


def _number(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not abs(number) <= LARGEST:
        raise UnusableRow(f"{name} is {_short(value)}, not a number")
    return number


def _is_absent(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip().lower() in _ABSENT
    return isinstance(value, float) and math.isnan(value)


def _short(value: object) -> str:
    return repr(clean_text(value)[:40])
