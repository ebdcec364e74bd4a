"""A profile from measured points: which costs of a step explain their step times best.

`python -m harness.emulator.fit results/<sweep>` prints a profile as YAML, with how well it predicts a concurrency that
it has not seen. The time of a step follows from a row: acceptance length over interactivity. The context grows with
concurrency just as positions do while ISL and OSL stay the same, so rows can't tell the two apart: its cost is given,
and so is every cost that the rows at hand don't show (of drafts, where there is Off alone).
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.emulator.expected import Load
from harness.emulator.profile import spread
from harness.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What a row of an MTP arm is taken to be where it does not say: public rows carry neither."""

    draft_tokens: int
    acceptance_length: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a point says of its steps: their mean time under a load."""

    load: Load
    step_s: float

    @classmethod
    def of_row(cls, row: dict[str, Any], assumed: Assumed | None = None) -> "Measured":
        """A row of `points.jsonl`.

        Raises:
            UserError: it lacks what it would take to know its steps.
        """
        if row["concurrency"] is None:
            raise UserError(
                "a row of an open loop: its batch comes and goes, so it tells no step time; give closed loops"
            )
        drafts = row["draft_tokens"]
        length = row["acceptance_length"] if drafts else 1.0
        if assumed and drafts is None:
            drafts, length = assumed.draft_tokens, assumed.acceptance_length
        if drafts is None or length is None:
            raise UserError("a row has no draft tokens or no acceptance length: say them, by --assumed 3=3.39")
        load = Load(
            users=row["concurrency"],
            isl=row["isl"],
            osl=row["osl"],
            draft_tokens=drafts,
            acceptance_length=length,
        )
        return cls(load=load, step_s=length / row["interactivity"])

    @property
    def positions(self) -> int:
        """Decoded in a step."""
        return self.load.users * (1 + self.load.draft_tokens)


TERMS: Mapping[str, Callable[[Measured], float]] = {
    "fixed_s": lambda _: 1.0,
    "per_position_s": lambda point: point.positions,
    "per_context_token_s": lambda point: point.load.context_tokens,
    "per_prefill_token_s": lambda point: point.load.prefill_tokens,
    "per_draft_s": lambda point: point.load.draft_tokens,
}
"""Cost of a profile -> how often a step pays it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted profile and how good it is; errors are relative, as shares.

    Attributes:
        costs: every cost of the profile, given ones included.
        fitted: those that the points decided.
        rms, worst: of the points that it was fitted to.
        left_out_mean, left_out_worst: of each concurrency, predicted from the others.
    """

    costs: Mapping[str, float]
    fitted: tuple[str, ...]
    points: int
    rms: float
    worst: float
    left_out_mean: float
    left_out_worst: float


def fit(points: Sequence[Measured], *, given: Mapping[str, float], spread_positions: float | None = None) -> Fit:
    """Least squares in relative error, of all costs that are not given.

    Args:
        points: what was measured.
        given: costs that are known, by name.
        spread_positions: of a mixture of experts, as a profile has it; `spread_s` is then a cost too.

    Raises:
        UserError: the points can't tell the terms apart, or contradict one.
    """
    terms = _terms(spread_positions)
    fitted = tuple(name for name in terms if name not in given)
    step_s = np.array([point.step_s for point in points])
    # Divided by what was measured: every point then weighs the same, whatever its step time.
    matrix = {name: np.array([of(point) for point in points]) / step_s for name, of in terms.items()}
    wanted = np.ones_like(step_s) - sum(given[name] * matrix[name] for name in terms if name in given)
    unknown = np.stack([matrix[name] for name in fitted], axis=1)
    solution = _solved(unknown, wanted)
    errors = np.abs(unknown @ solution - wanted)
    left_out = _left_out(unknown, wanted, np.array([point.load.users for point in points]))
    return Fit(
        costs={**given, **_positive(dict(zip(fitted, solution.tolist(), strict=True)))},
        fitted=fitted,
        points=len(points),
        rms=float(np.sqrt(np.mean(errors**2))),
        worst=float(errors.max()),
        left_out_mean=float(left_out.mean()),
        left_out_worst=float(left_out.max()),
    )


def _terms(spread_positions: float | None) -> Mapping[str, Callable[[Measured], float]]:
    if spread_positions is None:
        return TERMS
    return {**TERMS, "spread_s": lambda point: spread(point.positions, spread_positions)}


def _positive(costs: Mapping[str, float]) -> Mapping[str, float]:
    for name, cost in costs.items():
        if cost < 0:
            raise UserError(f"{name} comes out negative, {cost:.3g}: these rows don't show it; give it, by --given")
    return costs


def _left_out(terms: Floats, wanted: Floats, users: NDArray[np.int64]) -> Floats:
    """Errors of each concurrency alone, predicted from all others."""
    errors = []
    for alone in np.unique(users):
        here = users == alone
        errors.append(np.abs(terms[here] @ _solved(terms[~here], wanted[~here]) - wanted[here]))
    return np.concatenate(errors)


def _solved(terms: Floats, wanted: Floats) -> Floats:
    solution, _, rank, _ = np.linalg.lstsq(terms, wanted, rcond=None)
    if rank < terms.shape[1]:
        raise UserError("these points can't tell the terms apart: give Off and MTP at three concurrencies or more")
    return np.asarray(solution, np.float64)


def usable(lines: Iterable[bytes], only: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The valid rows of a `points.jsonl` whose fields are as `only` says."""
    rows = [msgspec.json.decode(line) for line in lines]
    wanted = (only or {}).items()
    return [row for row in rows if not row["invalid"] and all(str(row[name]) == value for name, value in wanted)]


def main() -> None:
    """Print the profile of a results folder."""
    this = argparse.ArgumentParser(prog="python -m harness.emulator.fit", description=(__doc__ or "").split("\n")[0])
    this.add_argument("results", type=Path, help="a results folder")
    pairs = {"nargs": "+", "default": [], "metavar": "NAME=VALUE"}
    this.add_argument("--only", **pairs, help="rows with these fields alone")  # type: ignore[arg-type]
    this.add_argument("--given", **pairs, help="costs that are known: KV bytes of a token / bandwidth")  # type: ignore[arg-type]
    this.add_argument("--assumed", metavar="DRAFTS=LENGTH", help="of MTP rows that don't say")
    this.add_argument("--spread-positions", type=float, help="of a mixture of experts: parameters / active ones")
    asked = this.parse_args()
    given = {name: float(value) for name, value in map(_pair, asked.given)}
    try:
        rows = usable((asked.results / "points.jsonl").read_bytes().splitlines(), dict(map(_pair, asked.only)))
        points = [Measured.of_row(row, _assumed(asked.assumed)) for row in rows]
        found = fit(points, given=given, spread_positions=asked.spread_positions)
    except (UserError, OSError) as error:
        sys.exit(f"fit: {error}")
    sys.stdout.write(_yaml(found, asked.results.name, asked.spread_positions))


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _assumed(text: str | None) -> Assumed | None:
    if text is None:
        return None
    drafts, length = _pair(text)
    return Assumed(draft_tokens=int(drafts), acceptance_length=float(length))


def _yaml(found: Fit, results: str, spread_positions: float | None) -> str:
    costs = "".join(
        f"{name}: {found.costs[name]:.4g}" + ("" if name in found.fitted else "  # given") + "\n"
        for name in _terms(spread_positions)
    )
    return (
        f"# {found.points} points of {results}. Error of the fit: {found.rms:.1%} rms, {found.worst:.1%} at most.\n"
        f"# Leaving one concurrency out and predicting it: {found.left_out_mean:.1%} mean, "
        f"{found.left_out_worst:.1%} at most.\n{costs}"
        + ("" if spread_positions is None else f"spread_positions: {spread_positions:.4g}\n")
        + f"band: [{1 - found.left_out_worst:.2f}, {1 + found.left_out_worst:.2f}]\n"
        f"source: fitted to {results} by harness.emulator.fit\n"
    )


if __name__ == "__main__":
    main()
