"""What sweeps of tests run on: a model of no size, a machine of no speed, and an engine that has one speed."""

from analysis.ratio import Verdict
from harness.emulator.profile import Profile
from harness.spec import Gpu, Model, Vendor

MODEL = Model(
    name="toy",
    label="Toy",
    weights="./toy",
    context=4096,
    layers=1,
    parameters_b=0.001,
    active_b=0.001,
    mtp_modules=1,
    source="made up",
)
CPU = Gpu(name="cpu", label="CPU", vendor=Vendor.CPU, arch="any", memory_gb=8, source="made up")
STEP = Profile(
    name="toy",
    fixed_s=0.01,
    per_position_s=0.0,
    per_context_token_s=0.0,
    per_prefill_token_s=0.0,
    per_draft_s=0.0,
    source="made up",
)
"""A step takes 10 ms however many sequences it has: a server that answers as fast with every seat taken."""


def mirrored(verdict: Verdict) -> Verdict:
    """The verdict had the arms been swapped."""
    swaps = (Verdict.MTP_BETTER, Verdict.OFF_BETTER), (Verdict.MTP_BETTER_IN_PLACES, Verdict.OFF_BETTER_IN_PLACES)
    return dict([*swaps, *(pair[::-1] for pair in swaps)]).get(verdict, verdict)
