"""Both arms' power at each concurrency, as the head and the rows of a table."""

from collections.abc import Iterator, Sequence

from analysis.power import ArmPower, PowerAtLoad
from analysis.ratio import Ratio
from analysis.tables.grid import escaped
from analysis.targets import Target
from harness.units import MISSING, between, number, percent

HEAD = (
    "{load}", "arm", "W/GPU", "idle W", "limit W", "J/tok", "J/input tok", "J/output tok", "MTP / Off",
    "tok/s/MW measured", "tok/s/MW provisioned", "measured / provisioned", "capped", "throttled", "scope",
)  # fmt: skip
POWER_COLUMNS = (
    "power_w_gpu", "idle_power_w_gpu", "power_limit_w_gpu",
    "energy_j_per_tok", "energy_j_per_tok_input", "energy_j_per_tok_output",
)  # fmt: skip


def power_grid(levels: Sequence[PowerAtLoad]) -> tuple[Sequence[str], list[list[str]]]:
    """Head and rows: a line for each arm at each load, the ratio of J/output token in MTP's."""
    head = [title.format(load=levels[0].load.unit) for title in HEAD]
    return head, [row for level in levels for row in _rows(level)]


MATCHED_HEAD = (
    "tok/s/user", "MTP J/output tok", "Off J/output tok", "MTP / Off", "interval",
    "MTP tok/s/MW", "Off tok/s/MW", "MTP / Off", "interval",
)  # fmt: skip


def matched_power(targets: Sequence[Target]) -> list[list[str]]:
    """Rows of measured power at each interactivity; none where it is known at none."""
    measured = [target for target in targets if target.energy_ratio is not None or target.tok_s_mw_ratio is not None]
    return [
        [
            number(target.at),
            *_read(target, "energy_j_per_tok_output", target.energy_ratio),
            *_read(target, "tok_s_mw_measured", target.tok_s_mw_ratio),
        ]
        for target in measured
    ]


def _read(target: Target, name: str, ratio: Ratio | None) -> Iterator[str]:
    yield number(getattr(target.mtp, name))
    yield number(getattr(target.off, name))
    yield number(ratio.value if ratio else None)
    yield (between(ratio.lo, ratio.hi) if ratio else "") or MISSING


def _rows(level: PowerAtLoad) -> Iterator[list[str]]:
    for title, arm, ratio in (("MTP", level.mtp, level.energy_ratio), ("Off", level.off, None)):
        yield [
            f"{level.load.amount:.6g}",
            title,
            *(number(arm.figures[name]) for name in POWER_COLUMNS),
            number(ratio),
            *_megawatts(arm),
            *_held_down(arm),
            _scope(arm),
        ]


def _megawatts(arm: ArmPower) -> Iterator[str]:
    yield number(arm.figures["tok_s_mw_measured"])
    yield number(arm.tok_s_mw_provisioned)
    yield number(arm.measured_to_provisioned)


def _held_down(arm: ArmPower) -> Iterator[str]:
    yield percent(arm.figures["power_capped_share"])
    yield percent(arm.figures["throttled_share"])


def _scope(arm: ArmPower) -> str:
    """What was measured, or why nothing was."""
    return escaped(arm.scope or ", ".join(arm.void) or MISSING)
