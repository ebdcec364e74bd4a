"""Whole sweeps over real sockets: each verdict and warning is raised by a server that misbehaves on demand."""

import asyncio

import pytest
from toys import CPU, MODEL

from harness.checks import CHECKS
from harness.power.codes import CODES
from harness.rundir import SweepDir
from harness.spec import (
    Acceptance,
    EngineSpec,
    Ladder,
    Mtp,
    Parallel,
    Run,
    ServerSettings,
    Sweep,
    WindowSpec,
    Workload,
)
from harness.sweep import run_sweep

QUICK = """
fixed_s: 0.008
per_position_s: 0.00001
per_context_token_s: 0.0
per_prefill_token_s: 0.000001
per_draft_s: 0.0
source: made up, quick
"""
USERS = 4
OFF = Mtp()
MTP = Mtp(draft_tokens=2, forced_acceptance_length=2.0)
NATURAL = Mtp(draft_tokens=2)
WORKLOAD = Workload(name="short", isl=32, osl=24)
SETTINGS = ServerSettings(max_running_requests=USERS, context=32 + 24 + 16)
TOY = MODEL.model_copy(
    update={"eos_token_ids": (2,), "golden": Acceptance(name="toy", by_draft_tokens={2: 1.8}, source="made up")}
)

CLEAN = (OFF, ())
# Name -> arm, the server's arguments, codes that must come of it. Faults that would keep the server from being ready
# begin a second later.
BAD = {
    "stop_drafting": (MTP, ("--fault", "stop_drafting"), {"arm_not_active"}),
    "draft_in_off": (OFF, ("--fault", "draft_in_off=2"), {"arm_not_off"}),
    "other_config": (OFF, ("--fault", "other_config"), {"config_mismatch"}),
    "other_tokens": (OFF, ("--fault", "other_tokens"), {"prompts_differ"}),
    "wrong_prompt_tokens": (OFF, ("--fault", "wrong_prompt_tokens@1"), {"prompt_tokens_mismatch"}),
    "short_output": (MTP, ("--fault", "short_output@1"), {"short_output"}),
    "stream_errors": (OFF, ("--fault", "stream_errors@1"), {"failed_requests"}),
    "drop_connections": (
        MTP,
        ("--fault", "drop_connections=0.5@1"),
        {"failed_requests", "client_bound", "littles_law"},
    ),
    "refuse": (OFF, ("--fault", "refuse@2"), {"failed_requests"}),
    "die": (MTP, ("--fault", "die@8"), {"server_died"}),
    "hang": (OFF, ("--fault", "hang@2"), {"stalled"}),
    # Two or three readings a second apart are all that a window of 3 s has: their edges hide a small share.
    "serve_others": (OFF, ("--fault", "serve_others=1"), {"foreign_load"}),
    "cache_prompts": (OFF, ("--fault", "cache_prompts"), {"prefix_cached"}),
    "slow": (OFF, ("--speed", "0.1"), {"window_too_short"}),
    "accept": (MTP, ("--fault", "accept=1.2"), {"acceptance_missed"}),
    "easy": (NATURAL, ("--fault", "accept=2.9"), {"acceptance_high"}),
    "no_metrics": (OFF, ("--fault", "no_metrics"), {"no_counters"}),
    "small_pool": (MTP, ("--kv-tokens", "110"), {"preempted"}),
    "small_batch": (OFF, ("--max-running-requests", "2"), {"server_queued", "config_mismatch"}),
    "early_eos": (MTP, ("--fault", "early_eos=2"), {"past_eos"}),
    "skip_drafts": (MTP, ("--fault", "skip_drafts=0.4"), {"arm_partly_active"}),
    "skip_few_drafts": (MTP, ("--fault", "skip_drafts=0.1"), {"draft_share"}),
}
RAISED_IN_VIRTUAL_TIME = {"capped", "not_steady", "overloaded"}
RAISED_BY_A_PAIR = {"accuracy_differs"}  # test_answers
RAISED_BY_A_TASK = {"accuracy_unknown"}  # test_evaluation
RAISED_BY_METERS = {
    *CODES,
    "foreign_process",
    "throttled",
    "power_capped",
}  # tests/unit/power, unit/measure/test_checks
LANES = 3
SHORT, LONG = WindowSpec(min_s=3, max_s=6), WindowSpec(min_s=15, max_s=30)
DIES = "die"
"""It has a lane of its own, with a window that holds its death however late its load began."""


def run_of(folder, mtp, args):
    engine = EngineSpec(name="emulator", args=("--profile", str(folder / "quick.yaml"), *args))
    return Run(model=TOY, gpu=CPU, precision="bf16", engine=engine, parallel=Parallel(), settings=SETTINGS, mtp=mtp)


def sweep_of(name, runs, window=SHORT):
    return Sweep(
        name=name,
        model=TOY,
        gpu=CPU,
        precision="bf16",
        engine=EngineSpec(name="emulator"),
        max_running_requests=USERS,
        mtp=tuple(sorted({run.mtp.draft_tokens for run in runs})),
        workload=WORKLOAD,
        concurrency=(USERS,),
        window=window,
        runs=runs,
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Every row by the name of its server; a few sweeps at a time, each with a clean server in front."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "quick.yaml").write_text(QUICK)
    runs = {name: run_of(folder, mtp, args) for name, (mtp, args, _) in BAD.items()}
    clean = run_of(folder, *CLEAN)
    others = [run for name, run in runs.items() if name != DIES]
    lanes = [sweep_of(f"lane-{lane}", (clean, *others[lane::LANES])) for lane in range(LANES)]
    lanes.append(sweep_of("lane-dies", (runs[DIES],), LONG))

    async def measure():
        found = await asyncio.gather(*(run_sweep(lane, folder / lane.name) for lane in lanes))
        by_key = {row["run_key"]: row for lane in found[::-1] for row in lane}
        for _ in range(2):
            row = by_key[clean.key]
            if row["invalid"] or row["warnings"]:  # a busy machine has spoilt it, which is what verdicts are for
                for point in SweepDir(folder / lanes[0].name).run(clean.key).points():
                    point.reset()
                again = await run_sweep(lanes[0], folder / lanes[0].name, only=f"{clean.key}/*")
                by_key |= {row["run_key"]: row for row in again}
        return by_key

    by_key = asyncio.run(measure())
    return {name: by_key[run.key] for name, run in {**runs, "clean": clean}.items()}


@pytest.mark.parametrize("name", BAD)
def test_a_server_that_misbehaves_is_found_out(rows, name):
    row, (*_, codes) = rows[name], BAD[name]

    assert {code for code in codes if CHECKS[code].invalid} <= set(row["invalid"])
    assert {code for code in codes if not CHECKS[code].invalid} <= set(row["warnings"])


def test_a_clean_server_raises_nothing(rows):
    assert ([], []) == (rows["clean"]["invalid"], rows["clean"]["warnings"])


def test_every_row_says_that_it_is_emulated(rows):
    assert all(row["emulated"] and "emulated" in row["stamps"] for row in rows.values())


def test_every_code_is_raised_by_something():
    raised = {code for *_, codes in BAD.values() for code in codes}

    assert set(CHECKS) == raised | RAISED_IN_VIRTUAL_TIME | RAISED_BY_A_PAIR | RAISED_BY_A_TASK | RAISED_BY_METERS


STEEP = QUICK.replace("per_position_s: 0.00001", "per_position_s: 0.002")


def test_a_sweep_with_a_target_measures_beside_it_and_compares_there(tmp_path):
    (tmp_path / "quick.yaml").write_text(STEEP)
    # Off gives 1 / (0.008 + 0.002 c) tok/s/user, so 83 at two users.
    ladder = Ladder.model_validate({"from": 1, "to": USERS, "targets": [83.0]})
    runs = (run_of(tmp_path, OFF, ()),)
    sweep = sweep_of("homing", runs).model_copy(update={"concurrency": ladder})
    rows = asyncio.run(run_sweep(sweep, tmp_path / "out"))

    assert [1, 2, 4] == sorted(row["concurrency"] for row in rows)
    assert {1} == {row["attempt"] for row in rows}


def test_a_server_whose_prefix_cache_stays_full_is_left_for_a_new_one(tmp_path):
    (tmp_path / "quick.yaml").write_text(QUICK)
    runs = (run_of(tmp_path, OFF, ("--fault", "cache_prompts")),)
    sweep = sweep_of("cached", runs).model_copy(update={"concurrency": (1, USERS)})
    rows = asyncio.run(run_sweep(sweep, tmp_path / "out"))

    assert [1, 2] == [row["attempt"] for row in rows]
    assert all("prefix_cached" in row["invalid"] for row in rows)
