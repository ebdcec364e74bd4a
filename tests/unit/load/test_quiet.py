import gc
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

from harness.load.quiet import low_latency_mode

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getscheduler"), reason="Linux has the calls")

POLICY = "import os; print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)"


def policy() -> int:
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


def test_the_collector_rests_inside_and_works_again_outside():
    with low_latency_mode():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0

    assert gc.isenabled()
    assert 0 == gc.get_freeze_count()


def test_it_says_whether_the_priority_was_allowed():
    with low_latency_mode() as realtime:
        assert realtime == (policy() == os.SCHED_RR)

    assert os.SCHED_OTHER == policy()


def test_children_do_not_inherit_the_priority():
    with low_latency_mode():
        child = subprocess.run([sys.executable, "-c", POLICY], capture_output=True, text=True, check=True)

    assert os.SCHED_OTHER == int(child.stdout)


def test_a_refused_priority_is_no_error(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)

    with low_latency_mode() as realtime:
        assert not realtime


def test_everything_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), low_latency_mode():
        raise ZeroDivisionError

    assert gc.isenabled()
    assert os.SCHED_OTHER == policy()


def test_what_starts_after_a_point_has_the_nice_value_of_before():
    code = (
        "import os, subprocess, sys\n"
        "from harness.load.quiet import low_latency_mode\n"
        "os.nice(3)\n"
        "with low_latency_mode(): pass\n"
        "subprocess.run([sys.executable, '-c', 'import os; print(os.nice(0))'])\n"
    )
    nice = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    # Only root may take the flag back that resets it.
    assert str(min(19, os.nice(0) + 3)) == nice.strip() or os.geteuid() != 0


def test_points_that_overlap_leave_the_priority_as_it_was():
    before = policy()
    with ExitStack() as first:
        first.enter_context(low_latency_mode())
        second = ExitStack()
        second.enter_context(low_latency_mode())
    second.close()

    assert before == policy()
