import time

from harness.load import clock
from harness.load.clock import KernelClock


def test_a_stamp_less_the_offset_is_monotonic_time():
    kernel = KernelClock()
    before_ns, stamp_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    tolerance_ns = 1_000_000

    assert before_ns - tolerance_ns <= stamp_ns - kernel.offset_ns <= after_ns + tolerance_ns


def test_a_clock_that_is_set_is_noticed_and_followed(monkeypatch):
    kernel = KernelClock()
    first_ns = kernel.offset_ns
    for step_ns in (7, -3):
        monkeypatch.setattr(clock, "_offset_ns", lambda step_ns=step_ns: first_ns + step_ns)
        kernel.measure()

    assert (7, first_ns - 3) == (kernel.moved_ns, kernel.offset_ns)
