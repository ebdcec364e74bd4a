"""The five public pages of July 2026: tables as published, and two of them recomputed from rows to the last digit.

`regenerate` in a shell: `mtpbench compare results/published --as-published --format md > <file>`, after reading why.
"""

import json
from pathlib import Path

import pytest

from analysis import rows
from analysis.assumptions import assumptions, parse_prices
from analysis.importers import import_files
from analysis.published import as_published, pages_of, published_pages
from analysis.published.pages import agreement, printed
from harness import config

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
EXPECTED = Path(__file__).parent / "published"

PAGES = {page.key: page for page in published_pages([PUBLISHED])}
COMPLETE = sorted(key for key, page in PAGES.items() if page.rows == "complete")


@pytest.fixture(scope="module")
def table():
    return rows.load_table([PUBLISHED])


def recomputed(table, key, at=None):
    july = parse_prices("2026-07-13")
    found = pages_of([row.cells for row in table.rows], lambda gpu: assumptions(gpu, config.load_gpu(gpu), july), at=at)
    return printed(next(page for page in found if page.key == key))


def test_two_pages_are_complete_and_three_are_not():
    assert ["qwen3.5/h100/fp8/1k1k", "qwen3.5/mi325x/fp8/1k1k"] == COMPLETE
    assert 5 == len(PAGES)


@pytest.mark.parametrize("key", COMPLETE)
def test_every_cell_of_a_complete_page_comes_out_of_its_rows(table, key):
    found = agreement(PAGES[key], recomputed(table, key))

    assert (24, 24, 3, 3) == (found.cells, found.cells_equal, found.verdicts, found.verdicts_equal)


@pytest.mark.parametrize("key", COMPLETE)
def test_targets_band_words_and_sentences_of_a_complete_page_come_out_of_its_rows(table, key):
    page, mine = PAGES[key], recomputed(table, key)

    assert [target.at for target in page.targets] == [target.at for target in mine.targets]
    assert page.band in (None, mine.band)
    for theirs, ours in zip(page.targets, mine.targets, strict=True):
        assert theirs.prose == ours.prose
        assert theirs.band_word in (None, ours.band_word)


def test_what_is_left_of_an_incomplete_page_comes_out_too(table):
    key = "dsv4/mi355x/fp4/8k1k"
    off = PAGES[key].targets[0]

    assert off.off == recomputed(table, key, at=[off.at]).targets[0].off


@pytest.mark.parametrize("key", sorted(PAGES))
def test_published_figures_hang_together(key):
    """What was transcribed obeys the page's own arithmetic: a wrong digit would not."""
    page = PAGES[key]
    july = config.load_gpu(page.gpu).prices_on("2026-07-13")
    for target in page.targets:
        for arm in (target.mtp, target.off):
            throughput = float(arm["tok_s_gpu"])
            assert int(arm["tok_s_mw"]) == pytest.approx(1000 * throughput / july.all_in_kw, abs=30)
            derived = july.usd_per_gpu_hour["hyperscaler"] * 1e6 / (3600 * throughput)
            assert float(arm["usd_per_mtok"]) == pytest.approx(derived, rel=0.08)
        lead = max(float(a["tok_s_gpu"]) for a in (target.mtp, target.off)) / min(
            float(a["tok_s_gpu"]) for a in (target.mtp, target.off)
        )
        assert f"{(lead - 1) * 100:.0f}%" in target.verdict or lead < 1.01


@pytest.mark.parametrize("output_format", ["md", "csv", "json"])
def test_whole_answer_is_the_expected_file(table, output_format):
    expected = (EXPECTED / f"as_published.{output_format}").read_text()

    assert expected == as_published(table, published_pages([PUBLISHED]), output_format=output_format)


def test_points_are_what_importing_the_rows_gives(tmp_path):
    import_files([PUBLISHED / "rows.csv"], tmp_path)

    assert (PUBLISHED / "points.jsonl").read_text() == (tmp_path / "points.jsonl").read_text()


def test_columns_that_say_what_to_expect_are_not_there():
    header = (PUBLISHED / "rows.csv").read_text().splitlines()[0].split(",")

    assert not {"seed_page", "in_seed_era"} & set(header)
    assert "seed" not in json.dumps([row.cells for row in rows.load_table([PUBLISHED]).rows])


def test_prices_of_another_day_change_cost_and_power_and_claim_no_agreement(table):
    august = json.loads(as_published(table, published_pages([PUBLISHED]), prices="2026-08-14", output_format="json"))
    h100 = next(page for page in august["pages"] if page["key"] == COMPLETE[0])

    assert (1.17, 1.37, None) == (
        *(h100["rates"][name] for name in ("usd_per_gpu_hour", "all_in_kw")),
        h100["agreement"],
    )
    assert PAGES[COMPLETE[0]].targets[0].mtp["tok_s_gpu"] == h100["page"]["targets"][0]["mtp"]["tok_s_gpu"]


def test_pairs_are_chosen_by_glob(table):
    answer = json.loads(as_published(table, pair="*/h100/*/8k1k", output_format="json"))

    assert ["qwen3.5/h100/fp8/8k1k"] == [page["key"] for page in answer["pages"]]
