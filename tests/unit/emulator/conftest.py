"""Gives tests the emulated engine without their importing it, so that what they expect is computed apart from it."""

from pathlib import Path

import pytest
import yaml

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.profile import Profile
from harness.emulator.virtual_load import closed_loop

PROFILES = Path(__file__).parents[3] / "configs" / "emulator"


@pytest.fixture
def emulated():
    """Raw samples of one Point in virtual time."""

    def run(profile, *, draft_tokens=0, acceptance_length=1.0, **load):
        numbers = yaml.safe_load((PROFILES / f"{profile}.yaml").read_text())
        speculation = Speculation.of_length(draft_tokens, acceptance_length) if draft_tokens else OFF
        return closed_loop(Profile(name=profile, **numbers), speculation=speculation, **load)

    return run
