"""Short ways from a synthetic sweep to what a test is about."""

import pytest

from analysis.compare import Options, compare_table
from analysis.pairing import find_pairs
from analysis.rows import load_table


@pytest.fixture
def table_of(tmp_path):
    """Rows of sweeps, each written to a folder of its own."""

    def table(*sweeps):
        folders = [sweep.write(tmp_path / f"{number}-{sweep.name}") for number, sweep in enumerate(sweeps)]
        return load_table(folders)

    return table


@pytest.fixture
def pair_of(table_of):
    """The only matched pair of sweeps."""

    def pair(*sweeps):
        (asked,), _ = find_pairs(table_of(*sweeps))
        (only,) = asked.matched
        return only

    return pair


@pytest.fixture
def report_of(table_of):
    """The report on sweeps."""

    def report(*sweeps, **options):
        return compare_table(table_of(*sweeps), Options(**options))

    return report


@pytest.fixture
def comparison_of(report_of):
    """The only comparison of sweeps."""

    def comparison(*sweeps, **options):
        (only,) = report_of(*sweeps, **options).comparisons
        return only

    return comparison
