"""Keep the load's own process from being held up: by its memory, and by whatever else wants its core.

A server on the same cores, or a neighbour's job, otherwise decides when the client may stamp a chunk: on a busy
two-core machine its event loop woke up to seconds late, and under a millisecond late with what is done here.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def low_latency_mode() -> Iterator[bool]:
    """No garbage collection and, where the system allows it, a real-time priority for this thread.

    Gives whether the priority was allowed; it takes CAP_SYS_NICE, or an RLIMIT_RTPRIO above 0. The lowest one is
    asked for, shared in turns, and not passed on to children.
    """
    with ExitStack() as restore:
        _rest_collector(restore)
        yield _raise_priority(restore)


def _rest_collector(restore: ExitStack) -> None:
    """A pass over a large heap would make every waiting chunk late; the hot path makes no cycles."""
    gc.collect()
    gc.freeze()
    gc.disable()
    restore.callback(gc.unfreeze)
    restore.callback(gc.enable)


def _raise_priority(restore: ExitStack) -> bool:
    if not hasattr(os, "sched_setscheduler"):
        return False
    before, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    if before & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR:
        # Another point of this process has it: whoever took it gives it back, in whatever order they end.
        return True
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        restore.callback(_lower_priority, before, parameter)
        return True
    return False


def _lower_priority(policy: int, parameter: os.sched_param) -> None:
    """As it was before. The flag is taken away too where that is allowed (CAP_SYS_NICE).

    With it the next server would start at nice 0 whatever nice value mtpbench runs at, and the first one would not.
    """
    try:
        os.sched_setscheduler(0, policy, parameter)
    except PermissionError:
        os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, parameter)
