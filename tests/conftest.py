"""A results folder with known truth, for every test that reads results."""

import json
import math
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import settings

from harness.atomic_files import write_json, write_text
from harness.power.stream import Device, Header, PowerSample, Reading, Stream
from harness.records import Configuration, Estimate, PointResult
from harness.rundir import SweepDir

# A property holds or not, however long a busy machine takes over an example.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """An arm whose figures follow from a step time and tokens a step.

    Attributes:
        step_s, step_s_per_user: time of a step, alone and for each user in it.
        tokens_per_step: 1 for Off.
    """

    draft_tokens: int = 0
    tokens_per_step: float = 1.0
    step_s: float = 0.010
    step_s_per_user: float = 0.0002
    forced: float | None = None

    def interactivity(self, concurrency: float) -> float:
        return self.tokens_per_step / (self.step_s + self.step_s_per_user * concurrency)


OFF = Truth()
MTP = Truth(draft_tokens=3, tokens_per_step=2.4, step_s=0.014, step_s_per_user=0.0006)


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """A sweep as `run` leaves it, of arms whose truth is known.

    Attributes:
        differs, flags, env: by draft tokens, what the arm's servers report, were started with, and in which
            environment, beyond what all of them do.
        launch_noise, block_noise: standard deviations, relative; a launch's speed moves interactivity and throughput
            together, a block's moves throughput alone by as much again.
        nodes: where a launch of an arm ran, by draft tokens and launch, if not on node-1.
        started: when a launch did, if not at its own hour of one day.
    """

    arms: Sequence[Truth] = (OFF, MTP)
    concurrencies: Sequence[int] = (1, 4, 16, 64)
    launches: int = 3
    blocks: int = 12
    launch_noise: float = 0.01
    block_noise: float = 0.01
    seed: int = 0
    name: str = "synthetic"
    model: str = "mimo-163m"
    gpu: str = "h100"
    tp: int = 8
    engine: str = "vllm"
    engine_version: str | None = "0.32.0"
    workload: str = "1k1k"
    isl: int = 1024
    osl: int = 1024
    emulated: bool = False
    demo: bool = False
    arrivals: str = ""
    stamps: tuple[str, ...] = ()
    must_equal: dict[str, object] = field(default_factory=lambda: {"model_revision": "r1", "dtype": "bf16"})
    differs: dict[int, dict[str, object]] = field(default_factory=dict)
    flags: dict[int, tuple[str, ...]] = field(default_factory=dict)
    env: dict[int, dict[str, str]] = field(default_factory=dict)
    nodes: dict[tuple[int, int], str] = field(default_factory=dict)
    started: dict[int, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, object]]:
        rng = np.random.default_rng(self.seed)
        return [
            self._row(arm, concurrency, launch, speed, rng)
            for arm in self.arms
            for launch, speed in enumerate(1 + self.launch_noise * rng.standard_normal(self.launches))
            for concurrency in self.concurrencies
        ]

    def run_key(self, arm: Truth) -> str:
        forced = f"-al{arm.forced:g}" if arm.forced else ""
        label = f"mtp{arm.draft_tokens}{forced}" if arm.draft_tokens else "off"
        return f"{self.model}-bf16-{self.gpu}x{self.tp}-{self.engine}-{label}-{1000 + arm.draft_tokens:08x}"

    def write(self, folder: Path) -> Path:
        """points.jsonl and every run's folder with its configuration."""
        write_text(folder / "points.jsonl", self.lines(self.rows()))
        for arm in self.arms:
            attempt = SweepDir(folder).run(self.run_key(arm)).attempt(1)
            attempt.path.mkdir(parents=True, exist_ok=True)
            write_json(attempt.configuration, msgspec.to_builtins(self.configuration(arm)))
            write_json(attempt.argv, self.command(arm))
        return folder

    @staticmethod
    def lines(rows: Iterable[dict[str, object]]) -> str:
        return "".join(json.dumps(row) + "\n" for row in rows)

    def configuration(self, arm: Truth) -> Configuration:
        return Configuration(
            must_equal=self.must_equal | self.differs.get(arm.draft_tokens, {}),
            speculative={"num_speculative_tokens": arm.draft_tokens} if arm.draft_tokens else {},
            derived={"kv_pool_tokens": 500_000 - 20_000 * arm.draft_tokens},
            circumstance={"node": "node-1"},
        )

    def command(self, arm: Truth) -> dict[str, object]:
        own = ["--speculative-config", json.dumps({"num_speculative_tokens": arm.draft_tokens})]
        own = own if arm.draft_tokens else []
        return {
            "argv": ["<venv>/bin/serve", "<weights>", "--port", "<port>", *self.flags.get(arm.draft_tokens, ()), *own],
            "env": {"OMP_NUM_THREADS": "2", **self.env.get(arm.draft_tokens, {})},
            "arm": {"argv": own, "env": {}},
            "stamps": list(self.stamps),
        }

    def _row(
        self, arm: Truth, concurrency: int, launch: int, speed: float, rng: np.random.Generator
    ) -> dict[str, object]:
        x = arm.interactivity(concurrency) * speed
        y = concurrency * x * (1 + self.isl / self.osl) / self.tp
        noise = self.block_noise * rng.standard_normal((2, self.blocks))
        xs = [_short(x * (1 + n)) for n in noise[0]]
        ys = [_short(y * (1 + n + m)) for n, m in zip(noise[0], noise[1], strict=True)]
        x, y = _short(float(np.mean(xs))), _short(float(np.mean(ys)))
        length = arm.tokens_per_step if arm.draft_tokens else None
        result = PointResult(
            identity=self._identity(arm, concurrency, launch),
            estimates={
                "interactivity": Estimate(value=x, lo=_short(x * 0.99), hi=_short(x * 1.01)),
                "total_tok_s_gpu": Estimate(value=y, lo=_short(y * 0.99), hi=_short(y * 1.01)),
                "output_tok_s_gpu": Estimate(value=_short(y * self.osl / (self.isl + self.osl))),
                "input_tok_s_gpu": Estimate(value=_short(y * self.isl / (self.isl + self.osl))),
                "ttft_s": Estimate(value=_short(0.02 + 0.01 * concurrency)),
                **({"held_concurrency": Estimate(value=concurrency + 0.5)} if self.arrivals else {}),
                "acceptance_length": Estimate(value=length, reason=None if length else "off"),
            },
            blocks={
                "interactivity": tuple(xs),
                "total_tok_s_gpu": tuple(ys),
                "output_tok_s_gpu": tuple(_short(y * self.osl / (self.isl + self.osl)) for y in ys),
            },
            stamps=self.stamps,
        )
        return result.row()

    def _identity(self, arm: Truth, concurrency: int, launch: int) -> dict[str, object]:
        return {
            "sweep": self.name,
            "run_key": self.run_key(arm),
            "pair_key": self.run_key(OFF),
            "workload": self.workload,
            "model": self.model,
            "gpu": self.gpu,
            "gpus": self.tp,
            "precision": "bf16",
            "engine": self.engine,
            "engine_version": self.engine_version,
            "tp": self.tp,
            "pp": 1,
            "ep": 1,
            "dp": 1,
            "draft_tokens": arm.draft_tokens,
            "forced_acceptance_length": arm.forced,
            "isl": self.isl,
            "osl": self.osl,
            **self._load(concurrency),
            "launch": launch,
            "attempt": 1,
            "node": self.nodes.get((arm.draft_tokens, launch), "node-1"),
            "started": self.started.get(launch, f"2026-08-01T{launch:02d}:00:00Z"),
            "emulated": self.emulated,
            "prompt_hash": "00112233aabbccdd",
            "demo": self.demo,
        }

    def _load(self, concurrency: int) -> dict[str, object]:
        if not self.arrivals:
            return {"concurrency": concurrency}
        return {"concurrency": None, "rate": concurrency / 8, "arrivals": self.arrivals}


def _short(value: float) -> float:
    """Six digits, as text on every machine the same."""
    return float(f"{value:.6g}") if math.isfinite(value) else value


class Made:
    """What the fixture hands out: the builder and the arms it starts from."""

    Sweep = Synthetic
    Arm = Truth
    OFF = OFF
    MTP = MTP


@pytest.fixture(scope="session")
def synthetic():
    """The builder of results folders with known truth."""
    return Made


@dataclass(frozen=True, kw_only=True)
class Board:
    """A GPU whose power is known: it publishes every `period_s`, as an H100 does, and holds what it said until then.

    Attributes:
        segments: seconds and watts, one after the other; the last one holds.
        phase_s: when, within a period, it publishes.
    """

    segments: Sequence[tuple[float, float]] = ((1e9, 400.0),)
    period_s: float = 0.1
    phase_s: float = 0.0
    gpu: str = "GPU-0"

    def watts(self, t_s: float) -> float:
        for seconds, watts in self.segments:
            if t_s < seconds:
                return watts
            t_s -= seconds
        return self.segments[-1][1]

    def joules(self, t_s: float) -> float:
        total = 0.0
        for seconds, watts in self.segments:
            total += min(t_s, seconds) * watts
            t_s -= min(t_s, seconds)
        return total + t_s * self.segments[-1][1]

    def device(self, **more: object) -> Device:
        facts = {"name": "NVIDIA H100", "scope": "gpu-board", "energy_unit_j": 1e-3, "index": int(self.gpu[4:])}
        return Device(gpu=self.gpu, **facts | more)

    def reading(self, t_s: float) -> Reading:
        published_s = max(0.0, (t_s - self.phase_s) // self.period_s * self.period_s + self.phase_s)
        second_ago = max(0.0, published_s - 1)
        mean_w = (self.joules(published_s) - self.joules(second_ago)) / max(published_s - second_ago, 1e-9)
        return Reading(
            energy_count=123_456_789 + round(1000 * self.joules(published_s)),
            power_w=round(self.watts(published_s), 3),
            average_w=round(mean_w, 3),
            limit_w=700.0,
            sm_mhz=1980.0,
            throttle={"power_cap": 0, "thermal_hardware": 0},
        )


@pytest.fixture
def power_stream():
    """Boards read at fixed times from a moment on, as the sampler does."""

    def make(
        boards: Sequence[Board] = (Board(),), *, start_s: float = 0.0, end_s: float = 20.0, hz: float = 10.0
    ) -> Stream:
        devices = tuple(board.device() for board in boards)
        samples = tuple(
            PowerSample(
                **msgspec.structs.asdict(board.reading(t_s)),
                gpu=board.gpu,
                t_ns=round(t_s * 1e9),
                wall_ns=round(t_s * 1e9),
                took_us=20,
                sweep=sweep,
                late_us=0,
            )
            for sweep, t_s in enumerate(np.arange(start_s, end_s, 1 / hz).tolist())
            for board in boards
        )
        header = Header(
            mtpbench="0", meter="nvidia", versions={}, node="n", boot_id="b", hz=hz, t_ns=0, wall_ns=0, devices=devices
        )
        return Stream(header=header, samples=samples, damaged=0)

    return make


@pytest.fixture
def board():
    """`Board`, for tests that say how it differs."""
    return Board


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory):
    """Folder of a libnvidia-ml.so.1 of our own, built from tests/fakes/nvml.c."""
    folder = tmp_path_factory.mktemp("nvml")
    source = Path(__file__).parent / "fakes" / "nvml.c"
    library = folder / "libnvidia-ml.so.1"
    flags = ["-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source), "-lm"], check=True)
    return folder
