"""Whether the power of the host can be read: what its processors draw, by RAPL."""

import os
from collections.abc import Iterator

from harness.doctor.finding import Examination, Finding, good, note
from harness.doctor.hardware import AREA

COUNTERS = "sys/class/powercap/intel-rapl:*/energy_uj"
"""One a package; AMD's processors have theirs under the same name. Source: Linux, powercap.rst."""


def host_power(examination: Examination) -> Iterator[Finding]:
    """Finding on whether the host's power can be read."""
    counters = sorted(examination.root.glob(COUNTERS))
    if not counters:
        yield note(AREA, "host power", "can't be read: no RAPL counter here (a virtual machine shows none)")
    elif not all(os.access(counter, os.R_OK) for counter in counters):
        remedy = f"sudo chmod o+r /{COUNTERS} (root alone since CVE-2020-8694: it can tell others' secrets)"
        yield note(AREA, "host power", f"{len(counters)} RAPL counters are here, not for this user", remedy)
    else:
        yield good(AREA, "host power", f"{len(counters)} RAPL counters can be read")
