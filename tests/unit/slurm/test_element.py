"""An element's ways to end, without Slurm and without a server."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from harness.slurm.element import _stopping_on_signals
from harness.slurm.files import TryDir
from harness.slurm.manifest import TEARDOWN_S


@pytest.mark.parametrize(("number", "notice"), [(signal.SIGTERM, "terminated"), (signal.SIGUSR1, "time_limit")])
def test_a_signal_ends_the_element_though_nothing_can_be_written(tmp_path, number, notice):
    (tmp_path / "12_0-0").write_text("in the way of the try's folder, as a full disk would be")
    short = SimpleNamespace(notice_s=TEARDOWN_S)
    work = SimpleNamespace(notice=None, element=short, try_dir=TryDir(tmp_path / "12_0-0"))

    async def told() -> None:
        measuring = asyncio.create_task(asyncio.Event().wait())
        with _stopping_on_signals(work, measuring):
            os.kill(os.getpid(), number)
            await asyncio.wait_for(measuring, 30.0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(told())
    assert notice == work.notice
