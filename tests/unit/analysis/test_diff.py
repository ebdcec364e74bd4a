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


def test_settings_asked_for_differently_refuse_the_pair(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    rows = [row | ({"pair_key": "another"} if row["draft_tokens"] else {}) for row in sweep.rows()]
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    (refused,) = compare_table(load_table([tmp_path]), Options()).refused

    assert "settings asked for" in refused.reason


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
