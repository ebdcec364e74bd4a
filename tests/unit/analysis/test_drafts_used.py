"""Was MTP on? Checks that need no counters, on rows that the answer is known of."""

from pathlib import Path

import msgspec
import pytest

from analysis.drafts_used import Drafts, were_drafts_used
from analysis.pairing import find_pairs
from analysis.rows import Table, load_table

PUBLISHED = Path(__file__).parents[3] / "results" / "published"


@pytest.fixture(scope="module")
def public():
    def findings(file):
        asked, _ = find_pairs(load_table([PUBLISHED / file]))
        return {pair.key: were_drafts_used(pair) for each in asked for pair in each.matched}

    return findings


def rows_with(table, **mtp):
    """The rows without counters, those of the MTP arm changed."""
    changed = []
    for row in table.rows:
        cells = {name: value for name, value in row.cells.items() if name != "acceptance_length"}
        more = {} if row.is_off else {name: f(row) if callable(f) else f for name, f in mtp.items()}
        changed.append(msgspec.structs.replace(row, cells=cells | more.pop("cells", {}), **more))
    return Table(tuple(changed), (), ())


def drafts_of(table):
    (asked,), _ = find_pairs(table)
    return were_drafts_used(asked.matched[0]).drafts


def test_the_mi325x_page_compares_off_with_off(public):
    found = public("rows.csv")["qwen3.5/mi325x/fp8/1k1k/sglang/tp8/mtp"]

    assert Drafts.PROBABLY_NOT_USED == found.drafts
    assert "coincide at all 5 concurrencies" in found.because[0]
    assert "one by one" in found.because[1]


def test_deepseek_on_mi325x_shows_it_by_chunk_gaps_alone(public):
    found = public("history.parquet")

    for workload in ("1k1k", "8k1k"):
        of = found[f"dsr1/mi325x/fp8/{workload}/sglang/tp8/mtp"]
        assert (Drafts.PROBABLY_NOT_USED, 1) == (of.drafts, len(of.because))
        assert "one by one" in of.because[0]


@pytest.mark.parametrize("file", ["rows.csv", "history.parquet"])
def test_only_mi325x_is_suspected(public, file):
    suspected = [key for key, found in public(file).items() if found.drafts == Drafts.PROBABLY_NOT_USED]

    assert suspected
    assert all("/mi325x/" in key for key in suspected)


def test_an_acceptance_length_proves_that_drafts_were_used(synthetic, pair_of):
    found = were_drafts_used(pair_of(synthetic.Sweep()))

    assert (Drafts.USED, ("acceptance length 2.40 by the engine's counters",)) == (found.drafts, found.because)


def test_no_counters_and_no_chunk_gaps_tell_nothing(synthetic, table_of):
    assert Drafts.CANT_TELL == drafts_of(rows_with(table_of(synthetic.Sweep())))


@pytest.mark.parametrize(
    ("gaps", "drafts"),
    [
        (0.97, Drafts.PROBABLY_NOT_USED),
        (1.09, Drafts.PROBABLY_NOT_USED),
        (1.8, Drafts.USED),
        (30.0, Drafts.CANT_TELL),
        (0.1, Drafts.CANT_TELL),
    ],
)
def test_chunk_gaps_over_time_per_token_tell(synthetic, table_of, gaps, drafts):
    assert drafts == drafts_of(rows_with(table_of(synthetic.Sweep()), itl_over_tpot=gaps))


def test_chunk_gaps_at_high_concurrency_tell_nothing(synthetic, table_of):
    table = table_of(synthetic.Sweep(concurrencies=(32, 64)))

    assert Drafts.CANT_TELL == drafts_of(rows_with(table, itl_over_tpot=0.9))


def test_the_off_arm_says_whether_steps_are_streamed_one_by_one(synthetic, table_of):
    table = rows_with(table_of(synthetic.Sweep()), itl_over_tpot=2.0)
    rows = tuple(msgspec.structs.replace(r, itl_over_tpot=9.9) if r.is_off else r for r in table.rows)

    assert Drafts.CANT_TELL == drafts_of(Table(rows, (), ()))


def test_arms_that_meet_at_one_concurrency_do_not_coincide(synthetic, table_of):
    # At concurrency 64 this MTP is as fast as Off, as a working one may be where it stops paying.
    almost = synthetic.Arm(draft_tokens=1, tokens_per_step=1.5, step_s=0.010, step_s_per_user=0.00038)

    assert Drafts.CANT_TELL == drafts_of(rows_with(table_of(synthetic.Sweep(arms=(synthetic.OFF, almost)))))


def test_an_mtp_arm_that_is_a_copy_of_off_coincides(synthetic, table_of):
    copy = synthetic.Arm(draft_tokens=1)
    table = table_of(synthetic.Sweep(arms=(synthetic.OFF, copy), launch_noise=0.002, block_noise=0.002))

    assert Drafts.PROBABLY_NOT_USED == drafts_of(rows_with(table))
