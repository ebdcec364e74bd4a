"""Whatever a Run asks for, its two vLLM arms differ only where they may."""

from hypothesis import given
from hypothesis import strategies as st

from harness.engines import engine_named
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Run, ServerSettings, Vendor


@st.composite
def runs(draw) -> Run:
    draft_tokens = draw(st.integers(1, 16))
    forced = draw(st.none() | st.floats(1, draft_tokens + 1))
    dp = draw(st.sampled_from([1, 2, 8]))
    tp = draw(st.sampled_from([1, 4]))
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
            source="a test",
        ),
        gpu=Gpu(name="gpu", label="GPU", vendor=Vendor.NVIDIA, arch="x", memory_gb=80, source="a test"),
        precision=draw(st.sampled_from(["bf16", "fp8", "fp4"])),
        engine=EngineSpec(name="vllm", args=("--kv-cache-dtype", "fp8"), env={"A": "b"}),
        parallel=Parallel(tp=tp, dp=dp, ep=draw(st.sampled_from([1, tp * dp]))),
        settings=ServerSettings(
            max_running_requests=running,
            max_graph_requests=draw(st.none() | st.integers(1, 1024)),
            chunked_prefill_tokens=draw(st.none() | st.integers(running * 17, 100_000)),
            memory_fraction=draw(st.none() | st.just(0.9)),
            context=2048,
        ),
        mtp=Mtp(draft_tokens=draft_tokens, forced_acceptance_length=forced),
    )


@given(runs())
def test_all_but_speculation_and_what_follows_from_it_is_equal(run):
    engine = engine_named("vllm")
    place = {"host": "127.0.0.1", "port": 21000, "served_name": "served"}

    assert engine.common_args(run.baseline, **place) == engine.common_args(run, **place)
    assert () == engine.mtp_args(run.baseline.mtp).args
    assert "--speculative-config" == engine.mtp_args(run.mtp).args[0]


@given(runs())
def test_what_follows_from_speculation_means_the_same_in_requests(run):
    engine = engine_named("vllm")
    width = 1 + run.mtp.draft_tokens

    flag, *sizes = engine.derived_args(run).args or ("",)
    off_flag, *off_sizes = engine.derived_args(run.baseline).args or ("",)

    assert off_flag == flag
    assert [int(size) * width for size in off_sizes] == [int(size) for size in sizes]
