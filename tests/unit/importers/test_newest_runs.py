"""A public line takes its newest run among the rows given; nothing is dropped, everything is marked."""

from analysis.importers import newest_runs


def row(concurrency=4, *, line="line-off", date="2026-07-05", run="100/1", x=50.0, origin="inferencex", **more):
    return {
        "origin": origin,
        "run_key": line,
        "concurrency": concurrency,
        "date": date,
        "run": run,
        "interactivity": x,
        "total_tok_s_gpu": 1000.0,
        "invalid": [],
        "launch": 0,
    } | more


def codes(rows):
    return [row["invalid"] for row in rows]


def test_only_the_newest_run_of_a_line_stands():
    old, new = row(date="2026-06-01", run="90/1"), row()

    assert [["superseded"], []] == codes(newest_runs([old, new]))


def test_a_newer_run_shortens_a_line_to_what_it_measured():
    rows = [row(c, date="2026-06-01", run="90/1") for c in (4, 8, 16)] + [row(8)]

    assert [["superseded"], ["superseded"], ["superseded"], []] == codes(newest_runs(rows))


def test_each_line_has_its_own_newest_run():
    rows = [row(date="2026-06-01", run="90/1"), row(line="other-off")]

    assert [[], []] == codes(newest_runs(rows))


def test_on_one_day_the_higher_run_number_is_newer_then_the_attempt():
    rows = [row(run="99/9"), row(run="100/2"), row(run="100/10")]

    assert [["superseded"], ["superseded"], []] == codes(newest_runs(rows))


def test_a_row_without_date_is_older_than_any_with():
    rows = [row(date=None, run="999/1"), row(run=None)]

    assert [["superseded"], []] == codes(newest_runs(rows))


def test_the_same_measurement_twice_counts_once():
    assert [[], ["duplicate"]] == codes(newest_runs([row(), row()]))


def test_different_measurements_of_one_concurrency_are_launches():
    assert [0, 1] == [r["launch"] for r in newest_runs([row(), row(x=51.0)])]


def test_rows_of_other_origins_pass_unchanged():
    rows = [row(origin="mtpbench", date="2026-01-01"), row(origin="mtpbench")]

    assert rows == newest_runs(rows)


def test_doing_it_twice_changes_nothing():
    once = newest_runs([row(date="2026-06-01"), row(), row(), row(x=51.0)])

    assert once == newest_runs(once)


def test_a_superseded_row_names_what_replaced_it():
    older = newest_runs([row(date="2026-06-01", run="90/1"), row()])[0]

    assert "2026-07-05 run 100/1" == older["superseded_by"]
