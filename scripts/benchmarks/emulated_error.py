"""Emulated figures beside the published ones of the same systems: how far the profiles are off.

    python scripts/benchmarks/emulated_error.py results/emulated > results/emulated/README.md
    python scripts/benchmarks/emulated_error.py     # the names of the systems

Emulated curves come of the rows of each folder, bands of the same profiles in closed form, published figures of
results/published. Where neither has a figure there is none.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from analysis.compare import Options, compare_paths
from analysis.curve import Curve
from analysis.published import published_pages
from analysis.published.pages import Published
from analysis.rows import Row, X, Y, load_table
from harness import config
from harness.emulator.fit import Assumed, Fit, Measured, fit, usable
from harness.emulator.roofline import name_of
from harness.plan.guess import expected_of, fitted_profile
from harness.spec import Run, Sweep
from harness.units import MISSING, number

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
SYSTEMS = {
    "qwen3.5-fp8-mi325x-1k1k": "qwen3.5/mi325x/fp8/1k1k",
    "dsv4-fp4-mi355x-8k1k": "dsv4/mi355x/fp4/8k1k",
    "qwen3.5-fp8-h100-1k1k": "qwen3.5/h100/fp8/1k1k",
    "qwen3.5-fp4-b300-1k1k": "qwen3.5/b300/fp4/1k1k",
    "dsr1-fp8-b200-8k1k": "dsr1/b200/fp8/8k1k",
}
"""Sweep -> key of the public page of its system, in the order of the pages."""

NOT_MTP = "qwen3.5-fp8-mi325x-1k1k"
"""What is published as its MTP is Off (results/published/README.md)."""

HEAD = """# Five systems, emulated

**Emulated, not measured**: no GPU and no engine was there. `scripts/emulated_pages` writes all of this in minutes, in
virtual time, from step times of [fitted profiles](../../configs/emulator) or rooflines; every row and page is stamped
`emulated`. It shows what `mtpbench run` leaves on these systems, and how far the emulator is from what others measured
there. It says nothing about MTP that the profile does not.

Each folder: `page.html` (`page.png` shows how it opens), `comparison.md`, `points.jsonl`, and what the sweep asked for.
Raw samples are left out: the same command makes them again.
"""

ERRORS = """## How good the profiles are

Errors of step times, relative: of the fit, and of each concurrency predicted from the others. A roofline is fitted to
nothing; its band is all it claims.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """How a profile was fitted: what its file in configs/emulator says."""

    only: dict[str, str]
    given: dict[str, float]
    assumed: Assumed | None = None
    spread_positions: float | None = None


FITS = {
    "qwen3.5-397b-fp8-h100x8": Fitted(
        only={"model": "qwen3.5", "gpu": "h100", "isl": "1024"},
        given={"per_context_token_s": 2.65e-9, "per_prefill_token_s": 4.96e-6},
        assumed=Assumed(draft_tokens=3, acceptance_length=3.39),
        spread_positions=23.4,
    ),
    "qwen3.5-397b-fp8-mi325xx8": Fitted(
        only={"model": "qwen3.5", "gpu": "mi325x", "isl": "1024", "arm": "off"},
        given={"per_context_token_s": 1.48e-9, "per_prefill_token_s": 3.75e-6, "per_draft_s": 0.000214},
    ),
}


@dataclass(frozen=True, slots=True)
class System:
    """One of the five: what is asked, what was published of it, and what was emulated."""

    sweep: Sweep
    page: Published
    off: Curve
    mtp: Curve

    @property
    def name(self) -> str:
        return self.sweep.name

    def curve(self, arm: str) -> Curve:
        return self.mtp if arm == "mtp" else self.off

    @property
    def rows(self) -> tuple[tuple[str, Row], ...]:
        return rows_of(self.page.key, self.sweep.tp)

    def run(self, arm: str) -> Run:
        return next(run for run in self.sweep.all_runs() if run.is_off == (arm == "off"))


def system(folder: Path, name: str) -> System:
    sweep = config.load(Path(name), engine="emulator")
    (compared,) = compare_paths([folder / name], Options()).comparisons
    page = next(page for page in published_pages([PUBLISHED]) if page.key == SYSTEMS[name])
    return System(sweep, page, compared.off.curve, compared.mtp.curve)


@cache
def published_rows(name: str) -> tuple[Row, ...]:
    """Usable rows of a public file, oldest first."""
    return tuple(sorted(load_table([PUBLISHED / name]).rows, key=lambda row: row.date or ""))


@cache
def rows_of(page_key: str, tp: int) -> tuple[tuple[str, Row], ...]:
    """Arm and row of what was published of SGLang on one server of that size and topology, the newest of each.

    Older rows count only where there is no newer one of the system.
    """
    for name in ("points.jsonl", "history.parquet"):
        found = {
            (row.isl, "off" if row.draft_tokens == 0 else "mtp", row.concurrency): row
            for row in published_rows(name)
            if _is_of(row, page_key) and row.tp == tp
        }
        if found:
            return tuple((arm, found[isl, arm, users]) for isl, arm, users in sorted(found))
    return ()


def _is_of(row: Row, page_key: str) -> bool:
    same = f"{row.model}/{row.gpu}/{row.precision}" == page_key.rpartition("/")[0]
    return same and row.engine == "sglang" and not row.prefill_gpus and not row.dp_attention


def fit_of(run: Run) -> Fit | None:
    """The fit behind a Run's profile, done again; None where there is none."""
    how = FITS.get(name_of(run))
    if how is None:
        return None
    rows = usable((PUBLISHED / "points.jsonl").read_bytes().splitlines(), how.only)
    points = [Measured.of_row(row, how.assumed) for row in rows]
    return fit(points, given=how.given, spread_positions=how.spread_positions)


def profiles(systems: Sequence[System]) -> Iterator[str]:
    yield "| system | profile | fitted to | fit, rms | at most | left out, mean | at most | band |"
    yield "|---|---|---|---|---|---|---|---|"
    for each in systems:
        run = each.run("off")
        found, profile = fit_of(run), fitted_profile(run)
        link = f"[{each.name}]({each.name}/comparison.md)"
        if found is None or profile is None:
            yield f"| {link} | roofline | nothing | {' | '.join([MISSING] * 4)} | 1/4 to 3/4 of the peaks |"
            continue
        of = "Off alone; MTP derived" if "per_draft_s" in FITS[name_of(run)].given else "both arms"
        errors = (found.rms, found.worst, found.left_out_mean, found.left_out_worst)
        low, high = profile.band
        cells = " | ".join(f"{error:.1%}" for error in errors)
        yield f"| {link} | {profile.name} | {found.points} rows, {of} | {cells} | step times x {low:g} to {high:g} |"


def targets(system: System) -> Iterator[str]:
    """The page's own table beside the emulated curve."""
    yield "| tok/s/user | arm | published tok/s/GPU | emulated | emulated / published |"
    yield "|---|---|---|---|---|"
    for target in system.page.targets:
        for arm, cells in (("mtp", target.mtp), ("off", target.off)):
            assert cells is not None
            theirs = float(cells["tok_s_gpu"] or "nan")
            ours = throughput(system.curve(arm), target.at)
            low, high = system.curve(arm).span
            said = f"none: the curve runs from {number(low)} to {number(high)}" if ours is None else number(ours)
            yield f"| {target.at} | {arm} | {number(theirs)} | {said} | {ratio(ours, theirs)} |"


def throughput(curve: Curve, interactivity: float) -> float | None:
    """What an emulated curve gives at an interactivity; None beyond its ends."""
    value = float(np.exp(curve.log(Y, np.array([float(interactivity)]))[0]))
    return value if np.isfinite(value) else None


def ratio(ours: float | None, theirs: float | None) -> str:
    return MISSING if ours is None or theirs is None else f"{ours / theirs:.2f}"


def same_users(system: System) -> Iterator[str]:
    """Every published row of the system beside what was emulated, or is expected, of as many users."""
    speeds = "published tok/s/user | emulated | ratio | band | published in it"
    yield f"| in/out | users | arm | {speeds} | published tok/s/GPU | emulated | ratio |"
    yield "|" + "---|" * 11
    for arm, row in system.rows:
        named = "off, published as mtp" if (system.name, arm) == (NOT_MTP, "mtp") else arm
        x, y = row.number(X), row.number(Y)
        assert x is not None
        assert y is not None
        here = emulated(system, arm, row)
        low, high = band(system, arm, row)
        end, which = (low, "low") if x < low else (high, "high")
        inside = "yes" if low <= x <= high else f"no, {x / end:.2f} of its {which} end"
        yield (
            f"| {row.workload} | {row.concurrency} | {named} | {number(x)} | {number(here and here[0])} | "
            f"{ratio(here and here[0], x)} | {number(low)} to {number(high)} | {inside} | "
            f"{number(y)} | {number(here and here[1])} | {ratio(here and here[1], y)} |"
        )


def emulated(system: System, arm: str, row: Row) -> tuple[float, float] | None:
    """Interactivity and throughput of the emulated level of as many users; None where there is none."""
    if row.isl != system.sweep.workload.isl:
        return None
    for level in system.curve(arm).levels:
        x, y = level.mean(X), level.mean(Y)
        if level.concurrency == row.concurrency and x is not None and y is not None:
            return x, y
    return None


def band(system: System, arm: str, row: Row) -> tuple[float, float]:
    """Between which the profile expects the interactivity of as many users."""
    workload = system.sweep.workload.model_copy(update={"isl": row.isl, "osl": row.osl})
    asked = system.sweep.model_copy(update={"workload": workload})
    outlook = expected_of(system.run(arm), asked, row.concurrency).interactivity
    assert outlook.low is not None
    assert outlook.high is not None
    return outlook.low, outlook.high


def summary(system: System) -> str:
    """How far off, in a sentence for each arm that has rows at equal concurrency."""
    said = []
    for arm in ("off",) if system.name == NOT_MTP else ("off", "mtp"):
        pairs = [(emulated(system, arm, row), row) for of, row in system.rows if of == arm]
        errors = [here[0] / (row.number(X) or np.nan) - 1 for here, row in pairs if here is not None]
        if errors:
            rms = float(np.sqrt(np.mean(np.square(errors))))
            said.append(f"{arm}: {rms:.0%} rms over {len(errors)} rows, {min(errors):+.0%} to {max(errors):+.0%}")
    return "; ".join(said) or "no published row of this engine, topology and workload to hold them against"


def section(system: System) -> Iterator[str]:
    page = system.page
    yield f"## {page.title} ({page.model_label}, {page.isl // 1024}k/{page.osl // 1024}k)"
    yield ""
    yield f"[![{system.name}, emulated]({system.name}/page.png)]({system.name}/page.html)"
    yield ""
    yield "The public page's table beside the emulated curve at the same interactivity. The page pools engines and"
    yield "topologies; the emulated curve is one server."
    if system.name == NOT_MTP:
        yield "What the page calls MTP is Off ([why](../published/README.md)), so no emulated MTP can agree with it."
    yield ""
    yield from targets(system)
    yield ""
    if not system.rows:
        yield "No public row of SGLang on this topology is at hand: nothing at equal concurrency."
        return
    yield f"At equal concurrency, interactivity emulated over published: {summary(system)}."
    yield ""
    yield from same_users(system)


def document(folder: Path, names: Iterable[str] = SYSTEMS) -> str:
    """The whole README."""
    systems = [system(folder, name) for name in names]
    parts = [HEAD, ERRORS, "\n".join(profiles(systems)), *("\n".join(section(each)) for each in systems)]
    return "\n".join(part.strip() + "\n" for part in parts)


if __name__ == "__main__":
    sys.stdout.write(document(Path(sys.argv[1])) if sys.argv[1:] else "".join(f"{name}\n" for name in SYSTEMS))
