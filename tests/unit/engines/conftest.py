"""A large Run to ask engines for their command lines."""

import pytest

from harness.spec import Gpu, Model, Parallel, Run, ServerSettings, Vendor

LARGE = {
    "model": Model(
        name="deepseek-r1",
        label="DeepSeek R1",
        weights="deepseek-ai/DeepSeek-R1-0528",
        context=163840,
        layers=61,
        parameters_b=671,
        active_b=37,
        moe=True,
        mtp_modules=1,
        source="a test",
    ),
    "gpu": Gpu(name="h200", label="H200", vendor=Vendor.NVIDIA, arch="hopper", memory_gb=141, source="a test"),
    "precision": "fp8",
    "parallel": Parallel(tp=8, ep=8),
    "settings": ServerSettings(
        max_running_requests=64, max_graph_requests=32, chunked_prefill_tokens=8192, memory_fraction=0.85, context=2064
    ),
}


@pytest.fixture(scope="session")
def asked_of():
    """Makes a large Run; `settings` and `model` change single fields of theirs, `vendor` the GPU's."""

    def made(*, settings=None, model=None, vendor=None, **changes) -> Run:
        facts = LARGE | changes
        facts["settings"] = facts["settings"].model_copy(update=settings or {})
        facts["model"] = facts["model"].model_copy(update=model or {})
        facts["gpu"] = facts["gpu"].model_copy(update={"vendor": vendor} if vendor else {})
        return Run(**facts)

    return made
