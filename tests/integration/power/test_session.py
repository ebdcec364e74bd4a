"""The sampler as a process of its own over our NVML: who is on which GPU, and what its end costs."""

import asyncio
import os
import signal
import subprocess
import time

import pytest

from harness.errors import GpuBusy, NoMeter
from harness.power import server_gpus
from harness.power.live import SPAN_S, live_power_w
from harness.power.session import AFTER_S, metered
from harness.power.stream import read_stream


def uuid(index):
    return f"GPU-00000000-0000-4000-8000-{index:012d}"


@pytest.fixture
def nvml(fake_nvml, monkeypatch):
    """Set what the library is to show to the processes that are started from here on."""
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("FAKE_NVML_TRACE", "3600:400")

    def more(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"FAKE_NVML_{name.upper()}", str(value))

    return more


@pytest.fixture
def patient(monkeypatch):
    """A sampler may be silent for long, as on a machine that stalls."""
    monkeypatch.setattr("harness.power.sampler_process.SILENCE_S", 30.0)


@pytest.fixture
def on_gpus():
    """Processes, each in a session of its own, that are on GPUs."""
    started = []

    def start(gpus):
        env = {**os.environ, "FAKE_NVML_ON": gpus}
        started.append(subprocess.Popen(["sleep", "600"], env=env, start_new_session=True))
        return started[-1].pid

    yield start
    for process in started:
        process.kill()
        process.wait()


def sampling(tmp_path, gpus=2, env=(), **more):
    return metered("nvidia", gpus, dict(env), tmp_path / "power.jsonl", tmp_path / "power.log", **more)


async def test_the_gpus_of_the_server_are_told_by_its_processes(nvml, on_gpus, tmp_path):
    async with sampling(tmp_path) as session:
        await session.served(frozenset({on_gpus("0,1")}))

    assert (uuid(0), uuid(1)) == session.metering.asked == session.metering.used
    assert ("processes", {}, None) == (session.metering.told_by, session.metering.foreign, session.metering.failure)


async def test_a_process_of_somebody_else_is_named(nvml, on_gpus, tmp_path):
    async with sampling(tmp_path) as session:
        stranger = on_gpus("1,5")
        await session.served(frozenset({on_gpus("0,1")}))

    assert {uuid(1): (stranger,)} == session.metering.foreign


async def test_gpus_that_somebody_holds_are_refused_after_a_while(nvml, on_gpus, tmp_path, monkeypatch):
    monkeypatch.setattr(server_gpus, "FREE_LIMIT_S", 1.0)
    stranger = on_gpus("1,5")
    with pytest.raises(GpuBusy) as refused:
        async with sampling(tmp_path):
            pass

    assert f"not free, nor became so in 1 s: {uuid(1)}: 21504 MiB filled, by process {stranger}" in str(refused.value)
    assert uuid(5) not in str(refused.value), "the server takes the first two"


async def test_a_server_that_still_ends_is_waited_for(nvml, on_gpus, tmp_path):
    leaving = on_gpus("0")
    asyncio.get_running_loop().call_later(1.0, os.kill, leaving, signal.SIGKILL)
    async with sampling(tmp_path) as session:
        pass

    assert {uuid(0): 1024, uuid(1): 1024} == session.metering.filled_mib


async def test_memory_of_a_process_that_is_hidden_is_refused_too(nvml, on_gpus, tmp_path, monkeypatch):
    monkeypatch.setattr(server_gpus, "FREE_LIMIT_S", 0.0)
    nvml(hide_pids=1)
    on_gpus("0")
    with pytest.raises(GpuBusy, match=f"{uuid(0)}: 21504 MiB filled, by processes that can't be seen here"):
        async with sampling(tmp_path):
            pass


async def test_where_processes_are_hidden_memory_tells(nvml, on_gpus, tmp_path):
    nvml(hide_pids=1)
    async with sampling(tmp_path, env={"CUDA_VISIBLE_DEVICES": "6,7"}) as session:
        await session.served(frozenset({on_gpus("6")}))

    assert ((uuid(6), uuid(7)), (uuid(6),), "memory") == (
        session.metering.asked,
        session.metering.used,
        session.metering.told_by,
    )


async def drawn_now(session):
    """Watts, once there are readings that new: a busy machine may hold the sampler up."""
    async with asyncio.timeout(30):
        while (drawn_w := live_power_w(session.stream)) is None:  # noqa: ASYNC110 - a sampler tells nobody
            await asyncio.sleep(0.1)
    return drawn_w


async def test_what_is_drawn_just_now_is_read_off_the_stream(nvml, tmp_path):
    async with sampling(tmp_path) as session:
        drawn_w = await drawn_now(session)

    assert 800 == pytest.approx(drawn_w, rel=0.1)
    assert (None, None) == (session.stream, live_power_w(tmp_path / "nowhere.jsonl"))


async def test_what_was_drawn_a_while_ago_is_not_now(nvml, sampler_of, tmp_path):
    async with sampling(tmp_path) as session:
        os.kill(sampler_of(tmp_path), signal.SIGKILL)
        await asyncio.sleep(SPAN_S + 0.5)

        assert None is live_power_w(session.stream)


async def test_a_cut_holds_the_moment_and_a_little_around_it(nvml, patient, tmp_path):
    async with sampling(tmp_path) as session:
        await drawn_now(session)
        start_ns = time.monotonic_ns()
        await asyncio.sleep(1)
        end_ns = time.monotonic_ns()
        await session.keep(tmp_path / "cut.jsonl", start_ns, end_ns)
    part = read_stream(tmp_path / "cut.jsonl")

    assert (None, 0, [uuid(0), uuid(1)]) == (
        session.metering.failure,
        part.damaged,
        [device.gpu for device in part.header.devices],
    )
    assert part.samples[0].t_ns < start_ns < end_ns < part.samples[-1].t_ns


async def test_readings_that_are_late_at_the_end_are_waited_for(nvml, patient, sampler_of, tmp_path):
    async with sampling(tmp_path) as session:
        await drawn_now(session)
        sampler = sampler_of(tmp_path)
        os.kill(sampler, signal.SIGSTOP)
        end_ns = time.monotonic_ns()
        asyncio.get_running_loop().call_later(AFTER_S + 1, os.kill, sampler, signal.SIGCONT)
        metering = await session.keep(tmp_path / "cut.jsonl", end_ns, end_ns)

    part = read_stream(tmp_path / "cut.jsonl")

    assert (None, 0) == (metering.failure, part.damaged)
    assert part.samples[0].t_ns < end_ns < part.samples[-1].t_ns


@pytest.mark.parametrize(("sign", "words"), [(signal.SIGKILL, "ended with -9"), (signal.SIGSTOP, "silent for")])
async def test_a_sampler_that_dies_or_hangs_is_told(nvml, sampler_of, tmp_path, sign, words):
    async with sampling(tmp_path) as session:
        os.kill(sampler_of(tmp_path), sign)
        await asyncio.sleep(3.5)
        now_ns = time.monotonic_ns()
        metering = await session.keep(tmp_path / "cut.jsonl", now_ns, now_ns)

    assert words in metering.failure


async def test_the_sampler_ends_with_whoever_wanted_it(nvml, sampler_of, tmp_path):
    async with sampling(tmp_path):
        pid = sampler_of(tmp_path)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_without_a_library_there_is_a_reason_and_where_power_is_required_an_error(monkeypatch, tmp_path):
    (tmp_path / "libnvidia-ml.so.1").write_text("no library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    async with sampling(tmp_path) as session:
        pass

    assert not session.reads
    assert {} == session.metering.filled_mib
    assert "install the NVIDIA driver" in session.metering.failure
    with pytest.raises(NoMeter, match="install the NVIDIA driver"):
        async with sampling(tmp_path, required=True):
            pass


async def test_fewer_visible_gpus_than_the_server_takes_are_told(nvml, tmp_path):
    async with sampling(tmp_path, gpus=4, env={"CUDA_VISIBLE_DEVICES": "0,1"}) as session:
        pass

    assert "needs 4 GPUs" in session.metering.failure
