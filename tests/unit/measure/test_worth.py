import json
import math

import pytest

from harness.metrics import METRICS, REASONS
from harness.records import Estimate, NoWindow, PointResult


def value(score, name):
    estimate = score.estimates[name]
    assert estimate.value is not None, (name, estimate.reason)
    return pytest.approx(estimate.value)


def test_cost_is_the_gpu_hour_over_its_tokens(scored, user, point_of, prices):
    # 109 tokens a second, 9 of them output, at 3.6 $ an hour: a thousandth of a dollar a second.
    score = scored(user(20), point=point_of(prices=[prices(hyperscaler=3.6)]))

    assert 1000 / 109 == value(score, "cost_per_mtok")
    assert 1000 / 9 == value(score, "cost_per_mtok_output")


def test_costs_come_from_the_newest_prices_and_the_tier_asked_for(scored, user, point_of, prices):
    point = point_of(prices=[prices("2026-08-01", hyperscaler=7.2, rental=36.0), prices("2026-01-01", hyperscaler=3.6)])

    assert 2000 / 109 == value(scored(user(20), point=point), "cost_per_mtok")
    assert 10_000 / 109 == value(scored(user(20), point=point, tier="rental"), "cost_per_mtok")


def test_a_tier_without_a_price_has_no_cost(scored, user, point_of, prices):
    for point in (point_of(), point_of(prices=[prices(rental=1.0)])):
        assert "no_price" == scored(user(20), point=point).estimates["cost_per_mtok"].reason


def test_costs_limits_are_throughputs_swapped(scored, request_of, window_of, point_of, prices):
    chunks = [(2.5, 10), (3.5, 11), (4.5, 12), (5.5, 11)]
    score = scored(
        [request_of(1.0, chunks)],
        window=window_of(2.0, 6.0, blocks=4),
        point=point_of(prices=[prices(hyperscaler=3.6)]),
    )
    cost, rate = score.estimates["cost_per_mtok_output"], score.estimates["output_tok_s_gpu"]

    assert (1000 / rate.hi, 1000 / rate.lo) == pytest.approx((cost.lo, cost.hi))


def test_provisioned_megawatts_are_the_gpu_files(scored, user, point_of, prices):
    score = scored(user(20), point=point_of(prices=[prices(kw=2.18, hyperscaler=1.0)]))

    assert 109 * 1000 / 2.18 == value(score, "tok_s_mw_provisioned")


def test_a_gpu_without_all_in_power_has_no_provisioned_figure(scored, user, point_of, prices):
    score = scored(user(20), point=point_of(prices=[prices(kw=None, hyperscaler=1.0)]))

    assert "no_all_in_power" == score.estimates["tok_s_mw_provisioned"].reason


def test_measured_energy_is_spread_over_tokens_whole_each_time(scored, user, point_of, power_of):
    score = scored(user(20), power=power_of(545.0, gpus=2), point=point_of(tp=2))

    assert 10.0 == value(score, "energy_j_per_tok")
    assert 10_900 / 1000 == value(score, "energy_j_per_tok_input")
    assert 10_900 / 90 == value(score, "energy_j_per_tok_output")
    assert 1e5 == value(score, "tok_s_mw_measured")
    assert 545.0 == value(score, "power_w_gpu")


def test_without_a_meter_no_energy_is_made_up(scored, user):
    estimates = scored(user(20)).estimates

    for name in ("energy_j_per_tok", "energy_j_per_tok_input", "energy_j_per_tok_output", "power_w_gpu"):
        assert (None, "no_power_meter") == (estimates[name].value, estimates[name].reason)
    assert "no_power_meter" == estimates["tok_s_mw_measured"].reason


@pytest.fixture
def everything(scored, user, request_of, point_of, window_of):
    """Scores of points of all sorts, the strangest among them."""
    mtp = point_of(draft_tokens=3)
    return [
        scored(user(20)),
        scored(user(20), point=mtp),
        scored([]),
        scored([], point=mtp),
        scored([request_of(3.0, [(3.5, 9)])]),
        scored([request_of(3.0, [])]),
        scored([request_of(3.0, [], error="connect")]),
        scored([request_of(3.0, [(3.0, 1), (3.0, 1)])]),
        scored(user(20), window=window_of(2.0, 12.0, blocks=1)),
        scored(user(20), window=window_of(2.0, 2.0 + 1e-9, blocks=1)),
        scored(user(20), window=NoWindow(reason="window_too_short", text="none")),
    ]


def test_every_metric_is_in_every_row_with_a_finite_number_or_a_known_reason(everything):
    for score in everything:
        expected = {name for name, metric in METRICS.items() if not metric.open_loop}

        assert {name for name in expected if not name.startswith("acceptance_position_")} <= score.estimates.keys()
        for name, estimate in score.estimates.items():
            assert (estimate.value is None) == (estimate.reason is not None), name
            assert estimate.reason is None or estimate.reason in REASONS, name
            numbers = [getattr(estimate, end) for end in ("value", "lo", "hi", "p10", "p50", "p90", "p99")]
            assert all(number is None or math.isfinite(number) for number in numbers), name


def test_rows_are_plain_json(everything):
    for score in everything:
        row = PointResult(identity={"sweep": "s"}, estimates=score.estimates, blocks=score.blocks).row()

        assert row == json.loads(json.dumps(row, allow_nan=False))


def test_an_interval_holds_its_estimate(everything):
    for score in everything:
        for name, estimate in score.estimates.items():
            assert estimate.lo is None or estimate.lo <= estimate.value <= estimate.hi, name


def test_blocks_are_those_of_the_window(scored, user, window_of):
    blocks = scored(user(20), window=window_of(2.0, 12.0, blocks=5)).blocks

    assert {"interactivity", "total_tok_s_gpu", "output_tok_s_gpu"} == blocks.keys()
    assert {5} == {len(values) for values in blocks.values()}


def test_without_a_window_requests_are_counted_all_the_same(scored, user):
    score = scored(user(20), window=NoWindow(reason="window_too_short", text="none"))

    assert Estimate(value=None, reason="no_window") == score.estimates["total_tok_s_gpu"]
    assert 20 == score.counts.ended


def test_every_metric_says_what_it_is():
    for metric in METRICS.values():
        assert metric.formula
        assert metric.source
        assert metric.better in {"higher", "lower", ""}


def test_percentiles_stand_beside_distributions_and_nothing_else(everything):
    for score in everything:
        for name, estimate in score.estimates.items():
            expected = METRICS[name].distribution and estimate.value is not None
            assert expected == (estimate.p10 is not None and estimate.p99 is not None), name


def test_names_of_metrics_are_never_another_ones_column():
    suffixes = ("_lo", "_hi", "_p10", "_p50", "_p90", "_p99", "_reason")

    assert not {f"{name}{suffix}" for name in METRICS for suffix in suffixes} & METRICS.keys()


def test_counts_tell_what_went_wrong(scored, user, request_of):
    odd = [
        request_of(3.0, [(3.5, 8)], osl=9, index=90, slot=1),
        request_of(3.0, [(3.5, 9)], index=91, slot=2, prompt_tokens=99),
        request_of(3.0, [], index=92, slot=3, error="connect", reconnected=True),
        request_of(3.0, [(3.5, 1)], osl=9, index=93, slot=4, error="cancelled"),
    ]
    counts = scored([*user(20), *odd]).counts

    assert 23 == counts.ended
    assert (1, 1, 1, 1) == (counts.wrong_length, counts.wrong_prompt, counts.failed, counts.reconnected)
