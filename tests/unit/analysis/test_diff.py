"""What the arms may differ in, and what they may not."""

import json
from dataclasses import replace

import pytest

from analysis.compare import Options, compare_table
from analysis.diff import diff
from analysis.rows import load_table
from harness.errors import NotComparable
from harness.units import MISSING


def test_what_follows_from_drafting_is_allowed(synthetic, pair_of):
    found = diff(pair_of(synthetic.Sweep()))

    found.require_comparable("pair")
    assert ["command line", "num_speculative_tokens"] == [d.name for d in found.of("speculative")]
    assert [("kv_pool_tokens", "500000", "440000")] == [(d.name, d.off, d.mtp) for d in found.of("derived")]
    assert found.read


def test_what_must_be_equal_refuses_the_pair_and_is_named(synthetic, pair_of):
    found = diff(pair_of(synthetic.Sweep(differs={3: {"dtype": "fp16"}})))

    with pytest.raises(NotComparable, match=r"dtype: bf16 \| fp16") as caught:
        found.require_comparable("pair")
    assert ("dtype: bf16 | fp16",) == caught.value.fields


def test_a_flag_that_one_arm_lacks_is_a_difference(synthetic, pair_of):
    found = diff(pair_of(synthetic.Sweep(differs={3: {"symm_mem": True}})))

    assert [("symm_mem", MISSING, "true")] == [(d.name, d.off, d.mtp) for d in found.of("must equal")]


def test_words_of_the_command_line_that_are_not_mtps_must_be_equal(synthetic, pair_of):
    flags = {
        0: ("--chat-template", "--seqs", "64"),
        3: ("--symm-mem", "--seqs", "32", "--chat-template"),
    }

    found = diff(pair_of(synthetic.Sweep(flags=flags)))

    assert [("command line", "--seqs 64", "--symm-mem --seqs 32")] == [
        (d.name, d.off, d.mtp) for d in found.of("must equal")
    ]


def test_a_command_line_whose_own_words_were_not_told_apart_is_shown(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    for argv in sweep.write(tmp_path).rglob("argv.json"):
        kept = {name: value for name, value in json.loads(argv.read_text()).items() if name != "arm"}
        argv.write_text(json.dumps(kept))

    (comparison,) = compare_table(load_table([tmp_path]), Options()).comparisons

    assert "command line" in [d.name for d in comparison.diff.of("speculative")]


def test_variables_that_are_not_mtps_must_be_equal(synthetic, pair_of):
    found = diff(pair_of(synthetic.Sweep(env={3: {"OMP_NUM_THREADS": "4"}})))

    assert ["environment OMP_NUM_THREADS: 2 | 4"] == [str(d) for d in found.of("must equal")]


def test_launches_of_one_arm_must_be_alike_too(synthetic, pair_of):
    one = synthetic.Sweep(launches=1)
    other = synthetic.Sweep(launches=1, seed=1, name="again", must_equal={"model_revision": "r2", "dtype": "bf16"})

    found = diff(pair_of(one, other))

    assert ["model_revision: r1 / r2 | r1 / r2"] == [str(d) for d in found.of("must equal")]


def test_force_compares_and_says_so(synthetic, report_of):
    sweep = synthetic.Sweep(differs={3: {"dtype": "fp16"}})

    refused, forced = report_of(sweep), report_of(sweep, force=True)

    assert ((), 1) == (refused.comparisons, len(refused.refused))
    assert "compared-by-force" in {flag.code for flag in forced.comparisons[0].flags}


def test_another_engine_version_refuses_the_pair(synthetic, table_of):
    table = table_of(
        synthetic.Sweep(arms=(synthetic.OFF,)),
        synthetic.Sweep(arms=(synthetic.MTP,), engine_version="0.33.0", name="newer"),
    )

    (refused,) = compare_table(table, Options(view="matched")).refused

    assert "engine version: 0.32.0 | 0.33.0" in refused.reason


def test_other_prompts_refuse_the_pair(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    rows = [row | ({"prompt_hash": "ffff"} if row["draft_tokens"] else {}) for row in sweep.rows()]
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    (refused,) = compare_table(load_table([tmp_path]), Options()).refused

    assert ("prompts: 00112233aabbccdd | ffff",) == refused.fields


@pytest.mark.parametrize(("silent", "arms"), [([3], "MTP"), ([0], "Off"), ([0, 3], "Off and MTP")])
def test_prompts_that_an_arm_does_not_tell_are_said_to_be_unchecked(synthetic, tmp_path, silent, arms):
    sweep = synthetic.Sweep()
    rows = [
        row | ({"prompt_hash": None} if row["draft_tokens"] in silent and row["launch"] else {}) for row in sweep.rows()
    ]
    sweep.write(tmp_path)
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    (comparison,) = compare_table(load_table([tmp_path]), Options()).comparisons

    assert (f"prompts not compared: rows of {arms} don't tell theirs",) == comparison.diff.notes
    assert "not-checked" in {flag.code for flag in comparison.flags}


def test_settings_asked_for_differently_refuse_the_pair(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    rows = [row | ({"pair_key": "another"} if row["draft_tokens"] else {}) for row in sweep.rows()]
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    (refused,) = compare_table(load_table([tmp_path]), Options()).refused

    assert "settings asked for" in refused.reason


def of_two_topologies(synthetic, folder, change):
    """Both arms on tp4 and on tp8; `change` gives what of a row is another than it was, by topology and arm."""
    for tp in (4, 8):
        sweep = synthetic.Sweep(tp=tp, name=f"tp{tp}")
        sweep.write(folder / f"tp{tp}")
        rows = [row | change(tp, bool(row["draft_tokens"])) for row in sweep.rows()]
        (folder / f"tp{tp}" / "points.jsonl").write_text(sweep.lines(rows))
    return load_table([folder])


def test_the_best_of_topologies_does_not_pass_what_each_of_them_refuses(synthetic, tmp_path):
    table = of_two_topologies(synthetic, tmp_path, lambda tp, mtp: {"pair_key": f"another-{tp}"} if mtp else {})

    report = compare_table(table, Options())

    assert () == report.comparisons
    assert ["best", "tp4", "tp8"] == sorted(refused.key.split("/")[-2] for refused in report.refused)
    assert all("settings asked for" in refused.reason for refused in report.refused)


def test_settings_that_one_arm_alone_tried_on_a_topology_refuse_the_best_of_them(synthetic, tmp_path):
    def change(tp, mtp):
        return {"pair_key": "another"} if mtp and tp == 8 else {}

    (refused,) = compare_table(
        of_two_topologies(synthetic, tmp_path, change), Options(view="best-of-topologies")
    ).refused

    assert "settings asked for" in refused.reason


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"differs": {3: {"dtype": "fp16"}}}, "dtype (tp4): bf16 | fp16"),
        ({"flags": {3: ("--symm-mem",)}}, f"command line (tp4): {MISSING} | --symm-mem"),
    ],
)
def test_servers_of_one_topology_that_differ_refuse_the_best_of_topologies(synthetic, report_of, change, field):
    sweeps = synthetic.Sweep(tp=4, name="tp4", **change), synthetic.Sweep()

    refused, forced = (report_of(*sweeps, view="best-of-topologies", force=force) for force in (False, True))

    assert [(field,)] == [pair.fields for pair in refused.refused]
    assert "compared-by-force" in {flag.code for flag in forced.comparisons[0].flags}


def test_topologies_alike_in_both_arms_are_compared_and_read(synthetic, report_of):
    (comparison,) = report_of(
        synthetic.Sweep(tp=4, name="tp4"), synthetic.Sweep(), view="best-of-topologies"
    ).comparisons

    assert comparison.diff.read
    assert () == comparison.diff.of("must equal")


def test_a_topology_of_one_arm_alone_is_named_as_not_compared(synthetic, report_of):
    alone = synthetic.Sweep(tp=4, name="tp4", arms=(synthetic.OFF,))

    (comparison,) = report_of(alone, synthetic.Sweep(), view="best-of-topologies").comparisons

    assert ("configuration of tp4 not compared: one arm alone ran it, or with other settings",) == comparison.diff.notes


def test_a_missing_configuration_is_said(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    (tmp_path / "points.jsonl").write_text(sweep.lines(sweep.rows()))

    (comparison,) = compare_table(load_table([tmp_path]), Options()).comparisons

    assert not comparison.diff.read
    assert "configuration.json is not there" in comparison.diff.notes[0]


def test_a_server_started_elsewhere_is_compared_only_where_it_told_its_configuration(synthetic, tmp_path):
    sweep = synthetic.Sweep(stamps=("attached",))
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "points.jsonl").write_text(sweep.lines(sweep.rows()))

    told = compare_table(load_table([sweep.write(tmp_path / "told")]), Options())
    silent = compare_table(load_table([tmp_path / "alone"]), Options())

    assert "attached" in {flag.code for flag in told.comparisons[0].flags}
    assert "started elsewhere" in silent.refused[0].reason


def test_launches_of_an_attached_server_count_as_one(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(stamps=("attached",)))

    assert comparison.within_launch


def test_unlike_stamps_refuse_the_pair(synthetic, table_of):
    table = table_of(
        synthetic.Sweep(arms=(synthetic.OFF,), stamps=("cpu-plugin",)), synthetic.Sweep(arms=(synthetic.MTP,), name="b")
    )

    (refused,) = compare_table(table, Options()).refused

    assert "stamps: cpu-plugin" in refused.reason


def test_the_stamp_of_forced_acceptance_is_no_difference(synthetic, tmp_path):
    forced = replace(synthetic.MTP, forced=2.4)
    sweep = synthetic.Sweep(arms=(synthetic.OFF, forced))
    rows = [row | ({"stamps": ["forced-acceptance"]} if row["draft_tokens"] else {}) for row in sweep.rows()]
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    assert 1 == len(compare_table(load_table([tmp_path]), Options()).comparisons)
