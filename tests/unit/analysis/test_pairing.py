"""Who is compared with whom."""

import itertools
from dataclasses import replace

import pytest

from analysis.importers import bench
from analysis.pairing import find_pairs
from analysis.rows import Table, table


def keys(table):
    asked, _ = find_pairs(table)
    return [pair.key for each in asked for pair in each.matched]


def test_each_mtp_arm_meets_off(synthetic, table_of):
    sweep = synthetic.Sweep(arms=(synthetic.OFF, synthetic.Arm(draft_tokens=1), synthetic.MTP))

    assert ["mimo-163m/h100/bf16/1k1k/vllm/tp8/mtp1", "mimo-163m/h100/bf16/1k1k/vllm/tp8/mtp3"] == keys(table_of(sweep))


def test_launches_of_one_concurrency_are_one_level(synthetic, pair_of):
    pair = pair_of(synthetic.Sweep())

    assert [3, 3, 3, 3] == [len(level.rows) for level in pair.mtp.levels]
    assert [1, 4, 16, 64] == [level.concurrency for level in pair.mtp.levels]


def test_two_sweeps_of_one_pair_add_launches(synthetic, pair_of):
    pair = pair_of(synthetic.Sweep(launches=2), synthetic.Sweep(launches=2, seed=1, name="again"))

    assert 4 == pair.mtp.launches == pair.off.launches


@pytest.mark.parametrize("version", ["0.32.0", None])
def test_a_sweep_over_midnight_is_one(synthetic, pair_of, version):
    nights = {0: "2026-08-01T23:50:00Z", 1: "2026-08-02T00:40:00Z", 2: "2026-08-02T01:30:00Z"}
    pair = pair_of(synthetic.Sweep(started=nights, engine_version=version))

    assert 3 == pair.mtp.launches == pair.off.launches


@pytest.mark.parametrize(
    "other",
    [
        {"emulated": True},
        {"demo": True},
        {"workload": "other"},
        {"model": "mimo-tiny"},
        {"gpu": "h200"},
        {"engine": "sglang"},
    ],
)
def test_what_is_not_alike_never_meets(synthetic, table_of, other):
    off = synthetic.Sweep(arms=(synthetic.OFF,))
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), name="other", **other)

    asked, lonely = find_pairs(table_of(off, mtp))

    assert () == asked
    assert 2 == len(lonely)


def test_measured_and_imported_rows_never_meet(synthetic, table_of):
    table = table_of(synthetic.Sweep())
    rows = [row if row.is_off else replace_origin(row) for row in table.rows]

    asked, lonely = find_pairs(Table(tuple(rows), (), ()))

    assert () == asked
    assert {"mtp", "off"} == {arm.key.rpartition("/")[2].rstrip("3") for arm in lonely}


def replace_origin(row):
    import msgspec

    return msgspec.structs.replace(row, origin="inferencex")


def test_forced_acceptance_is_an_arm_of_its_own(synthetic, table_of):
    forced = replace(synthetic.MTP, forced=3.39)

    table = table_of(synthetic.Sweep(arms=(synthetic.OFF, synthetic.MTP, forced)))

    assert ["mtp3", "mtp3-al3.39"] == [key.rpartition("/")[2] for key in keys(table)]


def test_of_two_versions_the_one_that_both_arms_ran_is_taken(synthetic, pair_of):
    both = synthetic.Sweep(engine_version="0.31.0", name="old")
    newer = synthetic.Sweep(arms=(synthetic.MTP,), engine_version="0.32.0", name="new")

    pair = pair_of(both, newer)

    assert ("0.31.0",) == pair.mtp.versions == pair.off.versions


def test_the_best_view_holds_every_topology(synthetic, table_of):
    wide, narrow = synthetic.Sweep(tp=8), synthetic.Sweep(tp=4, arms=(synthetic.OFF,), name="narrow")

    (asked,), _ = find_pairs(table_of(wide, narrow))

    assert [4, 8] == [topology.tp for topology in asked.best.off.topologies]
    assert not asked.best.balanced
    assert asked.searched


def test_files_of_a_bench_client_are_launches_only_where_each_start_was_given_a_number(tmp_path):
    def launches(numbered: bool) -> int:
        rows = []
        for mtp, launch, users in itertools.product((False, True), range(3), (1, 8, 32)):
            drafts = {"draft_tokens": "3" if mtp else "0"}
            facts = {"gpu": "h100", "precision": "fp8", "tp": "8"} | ({"launch": str(launch)} if numbered else {})
            speed = 1 + launch / 100 + mtp
            rows.append(bench.vllm_row(bench_file(users, speed) | facts | drafts))
        (asked,), _ = find_pairs(table([(row, None) for row in rows]))
        (pair,) = asked.matched
        return min(pair.mtp.launches, pair.off.launches)

    assert (1, 3) == (launches(numbered=False), launches(numbered=True))


def bench_file(users: int, speed: float) -> dict[str, object]:
    """What `vllm bench serve` saves of one concurrency."""
    return {
        "model_id": "mimo-163m",
        "max_concurrency": users,
        "duration": 10.0 / speed,
        "completed": 40 * users,
        "total_input_tokens": 40960 * users,
        "total_output_tokens": 40960 * users,
        "total_token_throughput": 1.0,
        "median_tpot_ms": (10.0 + users) / speed,
    }
