"""A sweep in open loop, from its file to its points and its lock."""

from pathlib import Path

import pytest

from harness import config
from harness.errors import ConfigError
from harness.spec import expand

SWEEP = """
model: mimo-163m
gpu: cpu-2core
precision: bf16
engine: emulator
max_running_requests: 64
workload: 32x32
mtp: [off, 3]
acceptance: golden
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a sweep file with a trace beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text('{"timestamp": 0}\n{"timestamp": 500}\n{"timestamp": 2000}\n')

    def write(text, name="open.yaml"):
        Path(name).write_text(SWEEP + text)
        return Path(name)

    return write


def faults(path):
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "rates", "label"),
    [
        ("rate: 2\n", (2.0,), "poisson"),
        ("rate: [0.5, 2]\narrivals: constant\n", (0.5, 2.0), "constant"),
        ("rate: 2\narrivals: {burstiness: 0.25}\n", (2.0,), "gamma 0.25"),
        ("rate: 2\narrivals: {process: gamma, burstiness: 4}\n", (2.0,), "gamma 4"),
        ("arrivals: {trace: {file: ./t.jsonl, unit: ms}}\n", (1.0,), "trace 789ab2abac4dcbb3"),
        ("rate: [1, 3]\narrivals: {trace: {file: ./t.jsonl, unit: s}}\n", (1.0, 3.0), "trace ebb359961918c5a9"),
    ],
)
def test_an_open_loop_has_rates_and_arrivals(written, text, rates, label):
    sweep = config.load(written(text))

    assert rates == sweep.rate
    assert label == sweep.arrivals.label
    assert sweep.concurrency is None


def test_points_go_up_by_rate_and_are_named_by_it(written):
    sweep = config.load(written("rate: [10, 0.5, 2]\nlaunches: 2\n"))
    folders = [point.folder for point in expand(sweep) if point.run.is_off]

    assert ["r0.5-l0", "r2-l0", "r10-l0", "r10-l1", "r2-l1", "r0.5-l1"] == folders
    assert 3 == sweep.loads


@pytest.mark.parametrize("text", ["rate: 2\n", "arrivals: {trace: {file: ./t.jsonl, unit: ms}}\n"])
def test_an_open_loops_lock_asks_for_the_same(written, text):
    sweep = config.load(written(text))
    lock = Path("sweep.lock.yaml")
    lock.write_text(config.dump(sweep))

    assert config.load(lock) == sweep


def test_a_lock_is_read_where_its_trace_is_gone(written):
    sweep = config.load(written("arrivals: {trace: {file: ./t.jsonl, unit: ms}}\n"))
    lock = Path("sweep.lock.yaml")
    lock.write_text(config.dump(sweep))
    Path("t.jsonl").unlink()

    assert config.load(lock) == sweep


def test_a_closed_loops_lock_knows_nothing_of_rates(written):
    lock = config.dump(config.load(written("concurrency: [1, 8]\n")))

    assert not {"rate:", "arrivals:"} & set(lock.splitlines())
    assert "concurrency:" in lock.splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "open.yaml:2:1: concurrency: is missing; add it, or a rate"),
        (
            "concurrency: [1]\nrate: 2\n",
            "open.yaml:11:7: rate: is for an open loop and concurrency for a closed one; make two sweeps of it",
        ),
        ("rate: 0\n", "open.yaml:10:7: rate: must be at least 0.001, got 0"),
        ("rate: []\n", "open.yaml:10:7: rate: needs at least 1 entry, got a list"),
        ("rate: [2, 1, 2.0]\n", "open.yaml:10:7: rate: r2 is there twice; leave one out"),
        (
            "arrivals: poisson\n",
            "open.yaml:10:11: arrivals: says nothing without rate, the requests a second; add it",
        ),
        ("rate: 1\narrivals: gamma\n", "open.yaml:11:11: arrivals: gamma needs burstiness; add it"),
        (
            "rate: 1\narrivals: bursty\n",
            "open.yaml:11:11: arrivals: must be 'poisson', 'gamma', 'constant' or 'trace', got bursty",
        ),
        (
            "rate: 1\narrivals: {process: poisson, burstiness: 2}\n",
            "open.yaml:11:42: arrivals.burstiness: does not apply to poisson; leave it out, or ask for gamma",
        ),
        (
            "rate: 1\narrivals: {burstyness: 2}\n",
            "open.yaml:11:12: arrivals.burstyness: unknown key; did you mean 'burstiness'?",
        ),
        (
            "arrivals: {trace: {file: ./t.jsonl}}\n",
            "open.yaml:10:19: arrivals.trace.unit: is missing; add it",
        ),
        (
            "arrivals: {trace: {file: ./t.jsonl, unit: us}}\n",
            "open.yaml:10:43: arrivals.trace.unit: must be 's' or 'ms', got us",
        ),
    ],
)
def test_what_is_wrong_with_an_open_loop_is_said_where_it_stands(written, text, expected):
    assert [expected] == faults(written(text))


def test_a_trace_that_is_not_there_is_said_where_it_is_named(written, tmp_path):
    found = faults(written("arrivals: {trace: {file: ./none.jsonl, unit: s}}\n"))

    assert [
        f"open.yaml:10:26: arrivals.trace.file: there is no {tmp_path}/none.jsonl; make it, or correct the path"
    ] == found


def test_a_fault_in_a_trace_is_said_where_it_stands(written):
    Path("bad.jsonl").write_text('{"timestamp": 3}\n{"timestamp": 2}\n')
    found = faults(written("arrivals: {trace: {file: ./bad.jsonl, unit: s}}\n"))

    assert ["bad.jsonl:2:2: timestamp falls from 3 to 2; sort the lines by time"] == found
