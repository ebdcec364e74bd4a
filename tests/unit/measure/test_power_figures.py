import pytest


def value(score, name):
    estimate = score.estimates[name]
    assert estimate.value is not None, (name, estimate.reason)
    return pytest.approx(estimate.value)


def test_power_of_a_gpu_is_the_mean_of_all(scored, user, point_of, power_of):
    score = scored(user(20), power=power_of(400.0, gpus=4), point=point_of(tp=4))

    assert 400.0 == value(score, "power_w_gpu")
    assert 700.0 == value(score, "power_limit_w_gpu")
    assert 1980.0 == value(score, "sm_clock_mhz")


def test_the_two_bases_of_a_megawatt_differ_by_all_in_power_over_measured(scored, user, point_of, power_of, prices):
    point = point_of(prices=[prices(kw=1.2, hyperscaler=1.0)])
    score = scored(user(20), power=power_of(400.0), point=point)

    assert 3.0 == value(score, "measured_to_provisioned")
    assert 3 * score.estimates["tok_s_mw_provisioned"].value == value(score, "tok_s_mw_measured")


def test_net_energy_leaves_out_what_an_idle_gpu_draws(scored, user, power_of):
    score = scored(user(20), power=power_of(400.0, idle_loaded_w=130.0, idle_bare_w=70.0))

    # 10 s at 270 W over 90 output tokens.
    assert 30.0 == value(score, "energy_net_j_per_tok_output")
    assert (130.0, 70.0) == (value(score, "idle_power_w_gpu"), value(score, "idle_bare_power_w_gpu"))


def test_without_idle_readings_there_is_no_net_figure(scored, user, power_of):
    estimates = scored(user(20), power=power_of(400.0)).estimates

    for name in ("energy_net_j_per_tok_output", "idle_power_w_gpu", "idle_bare_power_w_gpu"):
        assert (None, "no_idle") == (estimates[name].value, estimates[name].reason)


def test_inferencex_power_is_of_the_whole_run(scored, user, power_of):
    score = scored(user(20), power=power_of(400.0))

    assert 400.0 == value(score, "inferencex_power_w_gpu")


def test_a_doubtful_stream_leaves_no_figure_of_power_and_all_of_the_rest(scored, user, power_of):
    doubtful = scored(user(20), power=power_of(400.0, findings={"power_gap": "4.0 s"})).estimates
    sound = scored(user(20)).estimates

    for name, estimate in doubtful.items():
        if sound[name].reason == "no_power_meter":
            assert (None, "power_gap") == (estimate.value, estimate.reason), name
        else:
            assert sound[name] == estimate
