"""The emulator as the harness starts it and reads it back."""

from toys import CPU, MODEL

from harness.emulator.settings import VERSION
from harness.engines import engine_named
from harness.spec import Acceptance, EngineSpec, Mtp, Parallel, Run, ServerSettings


def run_of(**more):
    """A Run with every setting that the emulator reports back."""
    golden = Acceptance(name="toy", by_draft_tokens={2: 2.5}, source="made up")
    model = MODEL.model_copy(update={"context": 8192, "golden": golden, "eos_token_ids": (77,)})
    settings = ServerSettings(
        max_running_requests=16, max_graph_requests=8, chunked_prefill_tokens=512, memory_fraction=0.9, context=600
    )
    asked = {"precision": "bf16", "parallel": Parallel(tp=2, dp=2), "mtp": Mtp(draft_tokens=2)} | more
    return Run(model=model, gpu=CPU, engine=EngineSpec(name="emulator"), settings=settings, **asked)


async def served(emulate, run, *args):
    engine = engine_named("emulator")
    common = engine.common_args(run.baseline, host="127.0.0.1", port=0, served_name="").args
    kept = common[common.index("--profile") :]  # place and name are the fixture's
    return await emulate(*kept, *engine.mtp_args(run.mtp).args, *engine.derived_args(run).args, *args)


async def test_a_server_started_for_a_run_reports_what_the_run_asks(emulate):
    run = run_of()
    emulated = await served(emulate, run)
    said = await emulated.engine.configuration(emulated.http, emulated.endpoint, run)

    assert () == said.mismatches
    assert {"draft_tokens": 2, "acceptance_length": 2.5} == said.speculative
    assert ("toy", "cpu-like", 2) == (
        said.must_equal["model"],
        said.must_equal["profile"]["name"],
        said.must_equal["dp"],
    )
    assert VERSION == await emulated.engine.version(emulated.http, emulated.endpoint)
    assert await emulated.engine.reset_prefix_cache(emulated.http, emulated.endpoint)


async def test_a_server_that_runs_as_something_else_is_found_out(emulate):
    emulated = await served(emulate, run_of())
    other = run_of(precision="fp8", parallel=Parallel(tp=4), mtp=Mtp(draft_tokens=3, forced_acceptance_length=3.0))
    said = await emulated.engine.configuration(emulated.http, emulated.endpoint, other)

    assert (
        "precision: asked fp8, server has bf16",
        "tp: asked 4, server has 2",
        "dp: asked 1, server has 2",
        "draft_tokens: asked 3, server has 2",
        "acceptance_length: asked 3.0, server has 2.5",
    ) == said.mismatches


def test_arms_differ_in_speculation_alone():
    engine = engine_named("emulator")
    mtp = run_of(mtp=Mtp(draft_tokens=3, forced_acceptance_length=2.6))
    place = {"host": "127.0.0.1", "port": 1, "served_name": "x"}

    assert engine.common_args(mtp, **place) == engine.common_args(mtp.baseline, **place)
    assert ("--draft-tokens", "3", "--acceptance-length", "2.6") == engine.mtp_args(mtp.mtp).args
    assert () == engine.mtp_args(mtp.baseline.mtp).args


def test_every_row_says_that_it_is_emulated():
    engine = engine_named("emulator")

    assert ("emulated",) == engine.stamps(run_of().baseline)
    assert ("emulated", "forced-acceptance") == engine.stamps(
        run_of(mtp=Mtp(draft_tokens=1, forced_acceptance_length=1.5))
    )
