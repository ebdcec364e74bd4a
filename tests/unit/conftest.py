"""What unit tests share: the command line in this process, and AMD GPUs of our own."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.power.amd import AmdMeter
from harness.power.sampler import header, sample
from harness.power.stream import Stream, encode_line, read_stream
from harness.units import NS_PER_S


@pytest.fixture
def mtpbench(monkeypatch, capsys):
    """Run a command in this process: exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mtpbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="session")
def rocm(tmp_path_factory) -> Path:
    """A folder as ROCm installs it, with our libamd_smi.so; the binding in this process takes that one for good."""
    folder = tmp_path_factory.mktemp("rocm")
    build = Path(__file__).parents[1] / "fakes/amdsmi/build.py"
    subprocess.run([sys.executable, build, folder], check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def fake_amd(rocm, monkeypatch) -> Callable[..., None]:
    """Eight MI355X; called with settings of tests/fakes/amdsmi/amdsmi.c, by their names without FAKE_AMD_."""

    def change(**settings: object) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"FAKE_AMD_{name.upper()}", str(value))

    monkeypatch.setenv("ROCM_PATH", str(rocm))
    monkeypatch.setenv("ROCM_HOME", str(rocm))
    return change


class AmdClock:
    """Time that goes on only while the sampler waits, and that our libamd_smi.so follows."""

    def __init__(self, fake_amd, until_s, start_s=0.0):
        self.now_s, self.until_s, self.tell = start_s, until_s, fake_amd
        self.tell(now=start_s)

    def __call__(self):
        return round(self.now_s * NS_PER_S)

    def wait(self, seconds):
        self.now_s += seconds
        self.tell(now=self.now_s)
        return self.now_s > self.until_s


class RunningAmdClock(AmdClock):
    """Time that runs by itself, a hundred times as fast: for what a slow library does to a stream."""

    def __init__(self, fake_amd, until_s):
        super().__init__(fake_amd, until_s)
        self.began = time.monotonic()

    def __call__(self):
        self.now_s = 100 * (time.monotonic() - self.began)
        self.tell(now=self.now_s)
        return super().__call__()


@pytest.fixture
def amd_meter(fake_amd) -> Iterator[Callable[[], AmdMeter]]:
    """The AMD meter in this process, closed when the test ends."""
    opened: list[AmdMeter] = []

    def open_one() -> AmdMeter:
        opened.append(AmdMeter())
        return opened[-1]

    yield open_one
    for meter in opened:
        meter.close()


@pytest.fixture
def amd_stream(fake_amd, amd_meter, tmp_path) -> Callable[..., Stream]:
    """A stream of two MI355X, read for so many seconds; called with settings of the library."""

    def make(until_s: float = 20.0, *, running: bool = False, **settings: object) -> Stream:
        fake_amd(**{"trace": "4:200,8:1000,600:400", "sockets": 2} | settings)
        clock = (RunningAmdClock if running else AmdClock)(fake_amd, until_s)
        meter, path = amd_meter(), tmp_path / "power.jsonl"
        devices = meter.devices()
        with path.open("wb", buffering=0) as out:
            out.write(encode_line(header(meter, "amd", devices, 10.0)))
            sample(meter, [d.gpu for d in devices], out, 10.0, clock.wait, clock=clock, wall=clock)
        return read_stream(path)

    return make
