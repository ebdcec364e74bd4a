"""What both arms drew at each load, as measured, beside what the assumption makes of the same tokens.

Measured power has a scope, provisioned power is of everything that a GPU stands for: the two are never mixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.assumptions import Assumptions
from analysis.flags import Flag
from analysis.pairs import MeasuredLoad, Pair
from harness.metrics import REASONS
from harness.spec import Load
from harness.units import percent

FLAGGED_SHARE = 0.01
"""Of the time, from which on clocks that were held down are told."""

FIGURES = (
    "power_w_gpu", "idle_power_w_gpu", "power_limit_w_gpu", "energy_j_per_tok", "energy_j_per_tok_input",
    "energy_j_per_tok_output", "tok_s_mw_measured", "power_capped_share", "throttled_share", "sm_clock_mhz",
)  # fmt: skip
"""METRICS whose mean over the launches is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPower:
    """One arm at one concurrency; None is not known.

    Attributes:
        figures: `FIGURES` by name.
        tok_s_mw_provisioned: by the assumed all-in power.
        scope: what was measured; None where nothing was.
        void: codes of what made launches' figures void.
    """

    figures: dict[str, float | None]
    tok_s_mw_provisioned: float | None
    scope: str | None
    void: tuple[str, ...]

    @property
    def measured_to_provisioned(self) -> float | None:
        """Tokens per measured megawatt over tokens per provisioned one."""
        measured, assumed = self.figures["tok_s_mw_measured"], self.tok_s_mw_provisioned
        return None if measured is None or assumed is None else measured / assumed


@dataclass(frozen=True, slots=True)
class PowerAtLoad:
    """Both arms at one load."""

    load: Load
    mtp: ArmPower
    off: ArmPower

    @property
    def energy_ratio(self) -> float | None:
        """MTP over Off in energy per output token: under 1 MTP saves energy. None where the scopes differ."""
        mtp, off = (arm.figures["energy_j_per_tok_output"] for arm in (self.mtp, self.off))
        if mtp is None or off is None or self.mtp.scope != self.off.scope:
            return None
        return mtp / off


def power_at_loads(pair: Pair, assumptions: Assumptions) -> tuple[PowerAtLoad, ...]:
    """The loads that both arms have and of which at least one has power, or lost it."""
    of_off = {(level.topology, level.load): level for level in pair.off.levels}
    found = [
        PowerAtLoad(
            level.load, _arm_power(level, assumptions), _arm_power(of_off[level.topology, level.load], assumptions)
        )
        for level in pair.mtp.levels
        if (level.topology, level.load) in of_off
    ]
    return tuple(level for level in found if any(arm.scope or arm.void for arm in (level.mtp, level.off)))


def _arm_power(level: MeasuredLoad, assumptions: Assumptions) -> ArmPower:
    scopes = sorted({str(scope) for row in level.rows if (scope := row.cells.get("power_scope"))})
    lost = [code for row in level.rows for code in row.warnings if code in REASONS and code.startswith("power_")]
    return ArmPower(
        figures={name: level.mean(name) for name in FIGURES},
        tok_s_mw_provisioned=assumptions.tok_s_mw(level.mean("total_tok_s_gpu")),
        scope=" and ".join(scopes) or None,
        void=tuple(dict.fromkeys(lost)),
    )


def of_power(levels: Sequence[PowerAtLoad]) -> list[Flag]:
    """Clocks that were held down, and figures that are void."""
    flags = []
    for level in levels:
        place = f"at {level.load.words}"
        for code, name, cause in (
            ("power-capped", "power_capped_share", "the power limit"),
            ("throttled", "throttled_share", "heat or the power supply"),
        ):
            mtp, off = level.mtp.figures[name] or 0.0, level.off.figures[name] or 0.0
            if max(mtp, off) > FLAGGED_SHARE:
                shares = f"{percent(mtp)} of the time with MTP, {percent(off)} with Off"
                flags.append(Flag(code, f"{place}: {cause} held clocks down {shares}"))
        for name, arm in (("MTP", level.mtp), ("Off", level.off)):
            if arm.void:
                flags.append(Flag("power-void", f"{place}: no power figures of {name}: {', '.join(arm.void)}"))
    return flags
