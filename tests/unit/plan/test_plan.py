from pathlib import Path

import pytest

from harness import config
from harness.plan import plan, render
from harness.plan.client import chunks_s, shards_for
from harness.plan.guess import Guess, acceptance_lengths, expected_of, outlook_of, point_s, ready_s, unknown
from harness.plan.memory import memory
from harness.spec import Arrivals, EngineSpec, Gpu, Model, Mtp, Sweep, Workload, expand

MODEL = Model(
    name="m",
    label="M",
    weights="some/model",
    context=32768,
    layers=61,
    parameters_b=671,
    active_b=37,
    moe=True,
    mtp_modules=1,
    weight_gb={"fp8": 690},
    kv_bytes_per_token=70_000,
    source="x",
)


def sweep_with(**changes):
    return Sweep.model_validate(
        {
            "name": "s",
            "model": MODEL,
            "gpu": config.load_gpu("h200"),
            "precision": "fp8",
            "engine": EngineSpec(name="vllm", image="vllm/vllm-openai"),
            "tp": 8,
            "max_running_requests": 64,
            "mtp": (0, 3),
            "workload": Workload(name="w", isl=1024, osl=512),
            "concurrency": (1, 64),
            **changes,
        }
    )


def off_and_mtp(sweep):
    return sweep.all_runs()


def request_s(run, sweep, users):
    return expected_of(run, sweep, users).request_s


def test_a_request_takes_longer_among_more_users_and_is_never_instant():
    sweep = sweep_with()
    off, _ = off_and_mtp(sweep)

    alone, crowded = request_s(off, sweep, 1), request_s(off, sweep, 64)

    assert 0 < alone.low < alone.high
    assert alone.low < crowded.low
    assert alone.high < crowded.high


def test_a_lone_request_reads_the_active_weights_once_a_step():
    sweep = sweep_with(workload=Workload(name="w", isl=1, osl=1000))
    off, _ = off_and_mtp(sweep)

    guess = request_s(off, sweep, 1)

    at_full_bandwidth_s = 1000 * 690 * 37 / 671 / (8 * 4.8e3)
    assert guess.low < at_full_bandwidth_s / 0.5 < guess.high


def test_forced_acceptance_shortens_a_request_by_its_length():
    sweep = sweep_with(acceptance=(2.0,), workload=Workload(name="w", isl=1, osl=1000))
    off, mtp = off_and_mtp(sweep.model_copy(update={"model": MODEL.model_copy(update={"moe": False})}))

    ratio = request_s(off, sweep, 1).high / request_s(mtp, sweep, 1).high

    assert 1.8 < ratio < 2.0  # the draft head takes some of it back


@pytest.mark.parametrize(
    ("mtp", "expected"),
    [
        (Mtp(), (1.0, 1.0)),
        (Mtp(draft_tokens=3), (1.0, 4.0)),
        (Mtp(draft_tokens=3, forced_acceptance_length=2.6), (2.6, 2.6)),
    ],
)
def test_natural_acceptance_may_be_anything_between_none_and_all(mtp, expected):
    assert expected == acceptance_lengths(sweep_with().all_runs()[0].model_copy(update={"mtp": mtp}))


def test_natural_acceptance_is_taken_as_golden_where_there_is_a_table():
    golden = config.load_model("qwen3.5-397b").golden
    _, mtp = off_and_mtp(sweep_with(model=MODEL.model_copy(update={"golden": golden})))

    assert (3.39, 3.39) == acceptance_lengths(mtp)


def test_a_fitted_profile_drives_the_plan_and_says_so():
    sweep = config.load(Path("qwen3.5-fp8-h100-1k1k-vllm"))
    off = off_and_mtp(sweep)[0]
    published = 753.6  # tok/s/GPU at 64 users, results/published

    outlook = expected_of(off, sweep, 64)

    assert outlook.total_tok_s_gpu.low < published < outlook.total_tok_s_gpu.high
    assert "profile qwen3.5-397b-fp8-h100x8: fitted to" in render(plan(sweep))


def test_without_a_profile_the_plan_says_that_it_is_a_roofline():
    text = render(plan(config.load(Path("dsr1-fp8-b200-8k1k-vllm"))))

    assert "a roofline at a quarter and at three quarters" in text
    assert "natural acceptance is anything from none to all" in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"precision": "fp4"}, "m has no weight_gb.fp4"),
        ({"model": MODEL.model_copy(update={"kv_bytes_per_token": None})}, "m has no kv_bytes_per_token"),
        (
            {"gpu": Gpu(name="g", label="G", vendor="amd", arch="x", memory_gb=192, source="x")},
            "g has no dense_tflops.fp8",
        ),
    ],
)
def test_a_missing_fact_is_no_guess_and_is_named(changes, reason):
    sweep = sweep_with(**changes)

    assert unknown(reason) == request_s(sweep.all_runs()[0], sweep, 1)
    assert unknown(reason) == plan(sweep).hours


def test_a_point_is_as_long_as_its_window_and_what_lies_around_it():
    sweep = sweep_with(window={"min_s": 30, "max_s": 100})

    assert Guess(30 + 2 * 1, 30 + 4 * 2) == point_s(Guess(1, 2), sweep)
    assert Guess(60 + 2 * 6, 100 + 4 * 20) == point_s(Guess(6, 20), sweep)


def test_a_point_that_is_asked_for_precision_may_go_on_to_the_cap():
    sweep = sweep_with(window={"min_s": 30, "max_s": 100}, target_half_width_pct=2.0)

    assert Guess(30 + 2 * 1, 100 + 4 * 2) == point_s(Guess(1, 2), sweep)


def test_a_start_is_given_up_at_the_models_limit():
    sweep = sweep_with(model=MODEL.model_copy(update={"ready_limit_s": 100.0}), max_graph_requests=64)

    assert 100.0 == ready_s(sweep.all_runs()[0]).high


def test_random_weights_are_not_loaded():
    loaded, dummy = (
        ready_s(sweep_with(model=MODEL.model_copy(update={"load_format": how})).all_runs()[0])
        for how in ("auto", "dummy")
    )

    assert dummy.low < loaded.low
    assert dummy.high < loaded.high


def test_memory_counts_weights_once_a_rank_and_every_running_request_in_full():
    dense = MODEL.model_copy(update={"moe": False})
    run = sweep_with(tp=4, dp=2, model=dense).all_runs()[0]

    found = memory(run)

    assert (1380, 64 * (1024 + 512 + 16) * 70_000 / 1e9) == (found.weights_gb, found.kv_gb)
    assert 141 * 8 * 0.9 == pytest.approx(found.available_gb)
    assert found.fits is False


@pytest.mark.parametrize(
    ("args", "share"),
    [
        (("--kv-cache-dtype=fp8_e4m3",), 0.5),
        (("--kv-cache-dtype", "fp8"), 0.5),
        (("--kv-cache-dtype", "auto"), 1),
        (("--quantization", "fp8"), 1),
    ],
)
def test_a_cache_in_fp8_is_half_as_large(args, share):
    told = sweep_with(engine=EngineSpec(name="vllm", image="vllm/vllm-openai", args=args))
    plain, found = (memory(sweep.all_runs()[0]).kv_gb for sweep in (sweep_with(), told))

    assert share * plain == found


def test_ranks_of_a_mixture_share_its_experts():
    assert 690 == memory(sweep_with(tp=1, dp=8).all_runs()[0]).weights_gb


def test_state_that_does_not_grow_is_kept_once_more_for_every_draft_token():
    model = MODEL.model_copy(update={"state_bytes_per_request": 90_000_000})
    off, mtp = (memory(run) for run in off_and_mtp(sweep_with(model=model)))

    assert 64 * 90e6 * 3 / 1e9 == pytest.approx(mtp.kv_gb - off.kv_gb)
    assert 64 * 90e6 / 1e9 == pytest.approx(off.kv_gb - memory(off_and_mtp(sweep_with())[0]).kv_gb)


def test_memory_that_is_not_known_says_why():
    found = memory(sweep_with(precision="bf16").all_runs()[0])

    assert (None, None, "m has no weight_gb.bf16") == (found.needed_gb, found.fits, found.reason)


def test_cost_is_gpu_hours_at_the_prices_of_the_day():
    planned = plan(sweep_with(launches=2), day="2026-08-20")

    assert {"hyperscaler", "neocloud", "rental"} == planned.usd.keys()
    assert planned.gpu_hours.low * 1.22 == pytest.approx(planned.usd["hyperscaler"].low)
    assert 8 * planned.hours.high == pytest.approx(planned.gpu_hours.high)


def test_hours_grow_with_launches():
    once, thrice = plan(sweep_with(launches=1)).hours, plan(sweep_with(launches=3)).hours

    assert 3 * once.low == pytest.approx(thrice.low)


def test_cost_before_the_first_price_is_unknown_and_says_so():
    planned = plan(sweep_with(), day="2020-01-01")

    assert ({}, "h200 has no prices on 2020-01-01") == (planned.usd, planned.usd_reason)


def test_arms_differ_only_in_what_the_arm_brings():
    off, mtp = plan(sweep_with()).runs

    assert off.command.argv == mtp.command.argv[: len(off.command.argv)]
    assert mtp.command.arm.args == mtp.command.argv[len(off.command.argv) :]


def test_what_is_new_in_each_launch_is_a_placeholder():
    argv = plan(sweep_with()).runs[0].command.argv

    assert "<port>" == argv[argv.index("--port") + 1]
    assert "<served-name>" == argv[argv.index("--served-model-name") + 1]


def test_an_engine_that_is_not_installed_is_no_obstacle(monkeypatch):
    monkeypatch.delenv("MTPBENCH_VLLM_CPU", raising=False)

    off, _ = plan(config.load(Path("quickstart"))).runs

    assert ("vllm", "serve") == off.command.argv[:2]
    assert "$MTPBENCH_VLLM_CPU is not set; export it (scripts/engines/vllm_cpu/install prints the value)" == (
        off.command.note
    )


def test_a_server_that_runs_already_is_not_started():
    planned = plan(sweep_with(engine=EngineSpec(name="vllm", endpoint="http://127.0.0.1:8000"))).runs[0]

    assert ((), Guess(0.0, 0.0)) == (planned.command.argv, planned.ready_s)
    assert "runs already, at http://127.0.0.1:8000" == planned.command.note


def test_the_emulator_can_be_planned_for():
    planned = plan(config.load(Path("quickstart"), engine="emulator"))

    assert "harness.emulator" in planned.runs[0].command.argv
    assert "--draft-tokens 3" in render(planned)


def test_what_is_not_known_stands_as_such_in_the_text():
    text = render(plan(sweep_with(precision="fp4")))

    assert "time    unknown: m has no weight_gb.fp4" in text
    assert "cost    unknown: m has no weight_gb.fp4" in text
    assert "memory  unknown: m has no weight_gb.fp4" in text


def test_runs_with_one_arms_name_are_told_apart():
    sweep = sweep_with()
    off, mtp = sweep.all_runs()
    sweep = sweep.model_copy(update={"runs": (off, mtp, mtp.model_copy(update={"precision": "fp4"}))})

    text = render(plan(sweep))

    assert "mtp3, run 1" in text
    assert "mtp3, run 2" in text


def at_rates(*rates, **changes):
    return sweep_with(concurrency=None, rate=rates, arrivals=Arrivals(), **changes)


def test_a_plan_of_an_open_loop_names_rates_and_how_requests_come():
    text = render(plan(at_rates(0.25, 1.0), day="2026-08-01"))

    assert "open loop: arrivals poisson, sent when they are due" in text
    assert "requests/s  tok/s/user" in text
    assert "  0.25  " in text
    assert "  1     " in text


def test_a_higher_rate_is_a_slower_request_and_more_tokens():
    sweep = at_rates(0.25, 1.0)
    low, high = (outlook_of(point, sweep) for point in expand(sweep) if point.run.is_off)

    assert low.request_s.low <= high.request_s.low
    assert low.request_s.high < high.request_s.high
    assert low.interactivity.low > high.interactivity.low
    assert 0.25 * (1024 + 512) / 8 == low.total_tok_s_gpu.low == low.total_tok_s_gpu.high


def test_a_rate_that_may_be_too_much_has_no_guess_and_says_what_may_be_served():
    sweep = at_rates(1000.0)
    outlook = outlook_of(expand(sweep)[0], sweep)

    assert outlook.request_s.low is None
    assert outlook.request_s.reason.startswith("1000 requests/s may be more than the server answers:")


def test_rare_requests_make_a_long_point():
    sweep = at_rates(0.01)

    assert point_s(Guess(1, 1), sweep, 0.01).low > point_s(Guess(1, 1), sweep).low
    assert 600 + 2 * 1 == point_s(Guess(1, 1), sweep, 0.01).low  # the cap


def test_chunks_of_an_open_loop_follow_from_its_rate():
    sweep = at_rates(100.0, mtp=(0,))

    assert Guess(100.0 * 512, 100.0 * 512) == chunks_s(expand(sweep)[0], sweep)
    assert 2 == shards_for(chunks_s(expand(sweep)[0], sweep))
