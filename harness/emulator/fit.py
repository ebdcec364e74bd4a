"""A profile from measured points: which costs of a step explain their step times best.

`python -m harness.emulator.fit results/<sweep>` prints a profile as YAML, with how well it predicts a concurrency that
it has not seen. The time of a step follows from a row: acceptance length over interactivity. The context grows with
concurrency just as positions do while ISL and OSL stay the same, so rows can't tell the two apart: its cost is given.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

Floats = NDArray[np.float64]
TERMS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a point says of its steps.

    Attributes:
        step_s: mean time of a decode step.
        acceptance_length: mean tokens of one.
    """

    concurrency: int
    draft_tokens: int
    acceptance_length: float
    isl: int
    osl: int
    step_s: float

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> "Measured":
        """A row of `points.jsonl`."""
        drafts = row["draft_tokens"]
        length = row["acceptance_length"] if drafts else 1.0
        kept = {name: row[name] for name in ("concurrency", "isl", "osl")}
        return cls(draft_tokens=drafts, acceptance_length=length, step_s=length / row["interactivity"], **kept)

    @property
    def context_tokens(self) -> float:
        """Tokens of context that a step reads, on average."""
        return self.concurrency * (self.isl + self.osl / 2)

    @property
    def prefill_tokens(self) -> float:
        """Prompt tokens of other requests that share the step of a decoding one, on average."""
        steps = 1 + (self.osl - 1) / self.acceptance_length  # of one request, its prefill included
        return (self.concurrency - 1) * self.isl / steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted profile and how good it is; errors are relative, as shares.

    Attributes:
        rms, worst: of the points that it was fitted to.
        left_out_mean, left_out_worst: of each concurrency, predicted from the others.
    """

    fixed_s: float
    per_position_s: float
    per_prefill_token_s: float
    per_draft_s: float
    points: int
    rms: float
    worst: float
    left_out_mean: float
    left_out_worst: float


def fit(points: Sequence[Measured], *, per_context_token_s: float) -> Fit:
    """Least squares in relative error.

    Raises:
        UserError: the points can't tell the terms apart.
    """
    concurrency, drafts, prefill, context, step_s = (
        np.array([getattr(point, name) for point in points], np.float64)
        for name in ("concurrency", "draft_tokens", "prefill_tokens", "context_tokens", "step_s")
    )
    # Divided by what was measured: every point then weighs the same, whatever its step time.
    terms = np.stack([np.ones_like(drafts), concurrency * (1 + drafts), prefill, drafts], axis=1) / step_s[:, None]
    wanted = 1 - per_context_token_s * context / step_s
    solution = _solved(terms, wanted)
    errors = np.abs(terms @ solution - wanted)
    left_out = np.concatenate([_left_out(terms, wanted, concurrency == alone) for alone in np.unique(concurrency)])
    fixed_s, per_position_s, per_prefill_token_s, per_draft_s = solution.tolist()
    return Fit(
        fixed_s=fixed_s,
        per_position_s=per_position_s,
        per_prefill_token_s=per_prefill_token_s,
        per_draft_s=per_draft_s,
        points=len(points),
        rms=float(np.sqrt(np.mean(errors**2))),
        worst=float(errors.max()),
        left_out_mean=float(left_out.mean()),
        left_out_worst=float(left_out.max()),
    )


def _left_out(terms: Floats, wanted: Floats, alone: NDArray[np.bool_]) -> Floats:
    return np.abs(terms[alone] @ _solved(terms[~alone], wanted[~alone]) - wanted[alone])


def _solved(terms: Floats, wanted: Floats) -> Floats:
    solution, _, rank, _ = np.linalg.lstsq(terms, wanted, rcond=None)
    if rank < TERMS:
        raise UserError("these points can't tell the terms apart: give Off and MTP at three concurrencies or more")
    return np.asarray(solution, np.float64)


def usable(lines: Iterable[bytes]) -> list[Measured]:
    """The valid rows of a `points.jsonl`."""
    rows = [msgspec.json.decode(line) for line in lines]
    return [Measured.of_row(row) for row in rows if not row["invalid"]]


def main() -> None:
    """Print the profile of a results folder."""
    this = argparse.ArgumentParser(prog="python -m harness.emulator.fit", description=(__doc__ or "").split("\n")[0])
    this.add_argument("results", type=Path, help="a results folder")
    this.add_argument("--per-context-token-s", type=float, default=0.0, help="given: KV bytes of a token / bandwidth")
    asked = this.parse_args()
    try:
        points = usable((asked.results / "points.jsonl").read_bytes().splitlines())
        found = fit(points, per_context_token_s=asked.per_context_token_s)
    except (UserError, OSError) as error:
        sys.exit(f"fit: {error}")
    sys.stdout.write(
        f"# {found.points} points of {asked.results.name}. Error of the fit: {found.rms:.1%} rms, {found.worst:.1%} "
        f"at most.\n# Leaving one concurrency out and predicting it: {found.left_out_mean:.1%} mean, "
        f"{found.left_out_worst:.1%} at most.\n"
        f"fixed_s: {found.fixed_s:.4g}\nper_position_s: {found.per_position_s:.4g}\n"
        f"per_context_token_s: {asked.per_context_token_s:.4g}\nper_prefill_token_s: {found.per_prefill_token_s:.4g}\n"
        f"per_draft_s: {found.per_draft_s:.4g}\nsource: fitted to {asked.results.name} by harness.emulator.fit\n"
    )


if __name__ == "__main__":
    main()
