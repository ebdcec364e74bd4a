"""Whatever a Run asks for, its two arms differ only where they may, on every engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines import engine_named
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Run, ServerSettings, Vendor


@st.composite
def runs(draw, engine: str) -> Run:
    draft_tokens = draw(st.integers(1, 16))
    forced = draw(st.none() | st.floats(1, draft_tokens + 1))
    dp = draw(st.sampled_from([1, 2, 8]))
    tp = draw(st.sampled_from([1, 4]))
    moe = draw(st.booleans())
    running = draw(st.integers(1, 1024))
    return Run(
        model=Model(
            name="model",
            label="Model",
            weights=draw(st.sampled_from(["org/model", "/models/model"])),
            tokenizer=draw(st.none() | st.just("org/tokenizer")),
            revision=draw(st.none() | st.just("abc")),
            load_format=draw(st.sampled_from(["auto", "dummy"])),
            context=4096,
            layers=2,
            parameters_b=1.0,
            active_b=1.0,
            mtp_modules=1,
            moe=moe,
            source="a test",
        ),
        gpu=Gpu(name="gpu", label="GPU", vendor=Vendor.NVIDIA, arch="x", memory_gb=80, source="a test"),
        precision=draw(st.sampled_from(["bf16", "fp8", "fp4"])),
        engine=EngineSpec(name=engine, args=("--kv-cache-dtype", "fp8"), env={"A": "b"}),
        parallel=Parallel(tp=tp, dp=dp, ep=draw(st.sampled_from([1, tp * dp if moe else 1]))),
        settings=ServerSettings(
            max_running_requests=running,
            max_graph_requests=draw(st.none() | st.integers(1, 1024)),
            chunked_prefill_tokens=draw(st.none() | st.integers(running * 17, 100_000)),
            memory_fraction=0.9,
            context=2048,
        ),
        mtp=Mtp(draft_tokens=draft_tokens, forced_acceptance_length=forced),
    )


PLACE = {"host": "127.0.0.1", "port": 21000, "served_name": "served"}


@pytest.mark.parametrize("name", ["vllm", "sglang"])
@given(data=st.data())
def test_all_but_speculation_and_what_follows_from_it_is_equal(name, data):
    engine, run = engine_named(name), data.draw(runs(name))

    assert engine.common_args(run.baseline, **PLACE) == engine.common_args(run, **PLACE)
    assert () == engine.mtp_args(run.baseline.mtp).args
    assert {} == engine.mtp_args(run.baseline.mtp).env
    assert "--spec" == engine.mtp_args(run.mtp).args[0][:6]


@given(runs("vllm"))
def test_graphs_in_tokens_mean_the_same_in_requests(run):
    engine = engine_named("vllm")
    width = 1 + run.mtp.draft_tokens

    flag, *sizes = engine.derived_args(run).args or ("",)
    off_flag, *off_sizes = engine.derived_args(run.baseline).args or ("",)

    assert off_flag == flag
    assert [int(size) * width for size in off_sizes] == [int(size) for size in sizes]


@given(runs("sglang"))
def test_sglang_serves_at_least_the_requests_asked_for_however_it_divides_them(run):
    args = engine_named("sglang").common_args(run, **PLACE).args
    taken = int(args[args.index("--max-running-requests") + 1])
    ranks = run.parallel.dp
    of_rank = taken // ranks if run.model.moe else taken

    assert run.settings.max_running_requests <= of_rank * ranks < run.settings.max_running_requests + ranks


@given(runs("sglang"))
def test_of_sglangs_speculation_only_the_drafts_weights_follow_from_the_run(run):
    engine = engine_named("sglang")

    assert () == engine.derived_args(run.baseline).args
    assert ("--speculative-draft-model-path", run.model.weights) == engine.derived_args(run).args
