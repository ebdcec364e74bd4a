"""Real processes throughout: what they do to each other is the kernel's to say."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness import launch
from harness.errors import ServerNotReady
from harness.launch import leftovers, processes

ENV = {"PATH": os.environ["PATH"]}

STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""

FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.fork()
print("ready", flush=True)
time.sleep(600)
"""

RUNAWAY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    print("ready", os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


def python(source: str) -> launch.Command:
    return launch.Command((sys.executable, "-S", "-c", source), ENV)


async def until(condition, limit_s: float = 30.0):
    """The first true value of `condition`."""
    async with asyncio.timeout(limit_s):
        while not (value := condition()):  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(0.02)
    return value


async def started(command: launch.Command, log: Path, *, grace_s: float = 0.2) -> launch.Running:
    running = await launch.start(command, log, grace_s=grace_s)
    await until(lambda: b"ready" in log.read_bytes())
    return running


async def test_output_is_appended_to_the_log(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("before\n")

    running = await launch.start(launch.Command(("sh", "-c", "echo out; echo err >&2"), ENV), log)

    assert 0 == await running.exited()
    assert "before\nout\nerr\n" == log.read_text()
    assert launch.Stopped(code=0, killed=False, left=()) == await running.stop()


async def test_only_the_environment_given_is_inherited(tmp_path):
    log = tmp_path / "server.log"

    running = await launch.start(launch.Command(("env",), ENV | {"MARK": "a b"}), log)
    await running.exited()
    await running.stop()

    assert {f"PATH={ENV['PATH']}", "MARK=a b"} == set(log.read_text().splitlines())


async def test_a_command_that_ends_on_request_is_not_killed(tmp_path):
    running = await launch.start(launch.Command(("sleep", "600"), ENV), tmp_path / "log")

    stopped = await running.stop()

    assert launch.Stopped(code=-signal.SIGTERM, killed=False, left=()) == stopped


@pytest.mark.parametrize("source", [STUBBORN, FAMILY], ids=["ignores TERM", "has children that ignore TERM"])
async def test_what_ignores_a_request_is_killed(tmp_path, source):
    running = await started(python(source), tmp_path / "log")

    stopped = await running.stop()

    assert launch.Stopped(code=-signal.SIGKILL, killed=True, left=()) == stopped
    assert () == processes.session_members(running.pid)


async def test_an_orphan_in_a_session_of_its_own_is_killed_too(tmp_path):
    log = tmp_path / "log"
    running = await started(python(RUNAWAY), log)
    runaway = int(log.read_text().split()[1])
    assert runaway not in processes.session_members(running.pid)

    await running.stop()

    assert processes.stat(runaway) is None


async def test_a_death_is_told_before_the_orphans_are_cleared(tmp_path):
    log = tmp_path / "log"
    running = await started(python(FAMILY), log, grace_s=2)
    family = set(processes.session_members(running.pid))
    assert len(family) > 1

    os.kill(running.pid, signal.SIGKILL)

    assert -signal.SIGKILL == await asyncio.wait_for(running.exited(), 5)
    assert family - {running.pid} <= set(processes.session_members(running.pid))
    assert launch.Stopped(code=-signal.SIGKILL, killed=True, left=()) == await running.stop()


async def test_stopping_twice_says_the_same(tmp_path):
    running = await launch.start(launch.Command(("sleep", "600"), ENV), tmp_path / "log")

    assert await running.stop() == await running.stop()


@pytest.mark.parametrize("program", ["no-such-program", "/nowhere/no-such-program"])
async def test_a_missing_program_is_named(tmp_path, program):
    with pytest.raises(ServerNotReady, match=f"could not start {program}: it is not there"):
        await launch.start(launch.Command((program, "serve"), ENV), tmp_path / "log")


async def test_a_program_whose_interpreter_is_gone_is_named(tmp_path):
    script = tmp_path / "vllm"
    script.write_text("#!/nowhere/bin/python\n")
    script.chmod(0o755)

    with pytest.raises(ServerNotReady, match=f"could not start {script}: No such file"):
        await launch.start(launch.Command((str(script),), ENV), tmp_path / "log")


async def test_a_session_whose_guardian_was_killed_is_still_stopped(tmp_path):
    running = await started(python(FAMILY), tmp_path / "log")
    running._guardian.kill()

    stopped = await running.stop()

    assert launch.Stopped(code=None, killed=True, left=()) == stopped
    assert () == processes.session_members(running.pid)


HARNESS = """
import asyncio, signal, sys
from pathlib import Path
from harness import launch
from harness.launch import leftovers

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
signal.signal(signal.SIGINT, signal.default_int_handler)  # and in the background of a shell

async def main():
    log = Path(sys.argv[1])
    running = await launch.start(launch.Command((sys.executable, "-S", "-c", sys.argv[2]), {}), log, grace_s=0.2)
    leftovers.leave_note(running, log)
    print(running.pid, running._guardian.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@contextlib.contextmanager
def another_harness(log: Path, source: str):
    """A harness in a process of its own, with a command started: the process, the session, the guardian."""
    process = subprocess.Popen([sys.executable, "-c", HARNESS, str(log), source], stdout=subprocess.PIPE, text=True)
    session = guardian = 0
    try:
        session, guardian = map(int, process.stdout.readline().split())
        yield process, session, guardian
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for pid in processes.session_members(session) if session else ():
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_no_server_outlives_its_harness(tmp_path, number):
    log = tmp_path / "log"
    with another_harness(log, FAMILY) as (process, session, _):
        await until(lambda: len(processes.session_members(session)) > 1)

        process.send_signal(number)

        await until(lambda: not processes.session_members(session))


async def test_leftovers_of_a_harness_killed_with_its_guardian_are_reaped(tmp_path):
    log = tmp_path / "attempt-1" / "server.log"
    log.parent.mkdir()
    with another_harness(log, FAMILY) as (process, session, guardian):
        await until(lambda: len(processes.session_members(session)) > 1)
        os.kill(guardian, signal.SIGKILL)
        process.kill()
        process.wait()
        family = processes.session_members(session)
        assert family

        reaped = await leftovers.reap_leftovers(tmp_path)

        assert set(family) == set(reaped)
        assert () == processes.session_members(session)
    assert [] == list(tmp_path.glob("**/*.json"))


async def test_a_leftover_whose_first_process_died_is_known_by_its_log(tmp_path):
    log = tmp_path / "server.log"
    with another_harness(log, FAMILY) as (process, session, guardian):
        await until(lambda: len(processes.session_members(session)) > 1)
        os.kill(guardian, signal.SIGKILL)
        process.kill()
        process.wait()
        os.kill(session, signal.SIGKILL)
        await until(lambda: session not in processes.session_members(session))

        assert await leftovers.reap_leftovers(tmp_path)

        assert () == processes.session_members(session)


async def test_a_stranger_with_a_recycled_number_is_left_alone(tmp_path):
    stranger = sleeper(start_new_session=True)
    try:
        note = note_of(session=stranger.pid, session_started=1)
        (tmp_path / leftovers.NOTE).write_bytes(msgspec.json.encode(note))

        assert () == await leftovers.reap_leftovers(tmp_path)

        assert stranger.poll() is None
        assert not (tmp_path / leftovers.NOTE).exists()
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_note_of_another_machine_is_left_alone(tmp_path):
    note = note_of(host="elsewhere")
    (tmp_path / leftovers.NOTE).write_bytes(msgspec.json.encode(note))

    assert () == await leftovers.reap_leftovers(tmp_path)

    assert (tmp_path / leftovers.NOTE).exists()


def note_of(**changes) -> leftovers.Note:
    facts = {
        "host": socket.gethostname(),
        "boot": processes.boot_id(),
        "session": 1,
        "session_started": -1,
        "log": "server.log",
    }
    return leftovers.Note(**facts | changes)


def test_a_busy_port_is_never_reserved(monkeypatch):
    with socket.create_server((launch.HOST, 0)) as busy, launch.reserve_port() as other:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        draws = iter([busy.getsockname()[1] - low // 2, other.getsockname()[1] - low // 2, 7])
        monkeypatch.setattr(launch.secrets, "randbelow", lambda _: next(draws))

        with launch.reserve_port() as held:
            assert low // 2 + 7 == held.getsockname()[1]


def test_a_reserved_port_lies_outside_the_range_that_the_kernel_hands_out():
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    with launch.reserve_port() as held:
        assert held.getsockname()[1] < low


def test_a_port_is_free_again_once_its_listener_is_gone():
    with socket.create_server((launch.HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((launch.HOST, port)):
            accepted, _ = server.accept()
            accepted.close()

        assert not launch.is_free(port)

    assert launch.is_free(port)


LISTENER = """
import os, socket, time
server = socket.create_server(("127.0.0.1", 0))
server.set_inheritable(True)
if os.fork():
    server.close()
print("ready", server.getsockname()[1] if server.fileno() > 0 else "", flush=True)
time.sleep(600)
"""


async def test_the_listener_may_be_any_process_of_the_session(tmp_path):
    log = tmp_path / "log"
    running = await started(python(LISTENER), log)
    try:
        port = await until(lambda: next((int(w) for w in log.read_text().split() if w.isdigit()), None))

        assert processes.listens(running.pid, port)
        assert not processes.listens(os.getsid(0), port)
    finally:
        await running.stop()


def sleeper(**how) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"], **how)


async def test_a_killed_process_is_waited_for():
    child = sleeper()

    assert () == await launch.kill((child.pid,))

    assert -signal.SIGKILL == child.wait()


def test_what_bears_a_mark_is_killed_from_a_process_of_its_own_and_named():
    def sleeper(mark):
        env = {**os.environ, "MTPBENCH_TEST_MARK": mark}
        return subprocess.Popen(["sleep", "600"], env=env, start_new_session=True)

    ours, other = sleeper("a b"), sleeper("a")
    try:
        command = [sys.executable, "-m", "harness.launch.tidy", "MTPBENCH_TEST_MARK", "a b"]
        said = subprocess.run(command, capture_output=True, text=True, check=True)

        assert f"{ours.pid}\n" == said.stdout
        assert -signal.SIGKILL == ours.wait()
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()
