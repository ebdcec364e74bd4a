"""Rows that someone has edited: whatever stands in them, the answer is a report or one line, never a traceback."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import plots
from analysis.compare import Options, compare_table
from analysis.rows import load_table
from analysis.tables import FORMATS, render
from harness.errors import UserError

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**12),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=8),
    st.lists(st.floats(-1, 1), max_size=3),
)
asked = st.builds(
    Options,
    at=st.sampled_from([None, (30.0, 70.0)]),
    view=st.sampled_from([None, "matched", "best-of-topologies"]),
    force=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), options=asked)
def test_edited_rows_make_a_report_or_one_line(synthetic, data, options):
    sweep = synthetic.Sweep(launches=data.draw(st.integers(1, 2)), concurrencies=(1, 8, 64), blocks=3)
    rows = sweep.rows()
    for _ in range(data.draw(st.integers(1, 6))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.sampled_from(sorted(row)))] = data.draw(odd)
    with TemporaryDirectory() as folder:
        (Path(folder) / "points.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        try:
            report = compare_table(load_table([Path(folder)]), options)
        except UserError as error:
            assert "\n" not in str(error)
            return

    assert all(render(report, output_format).endswith("\n") for output_format in FORMATS)
    plots.spec(report.comparisons)
