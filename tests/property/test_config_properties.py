"""Any sweep survives its lock; any text is a sweep or a list of faults."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import config
from harness.config.text import Faults, read, scalar, write
from harness.errors import ConfigError
from harness.paths import packaged_configs
from harness.spec import (
    Acceptance,
    EngineSpec,
    Gpu,
    Ladder,
    Model,
    Mtp,
    Parallel,
    Prices,
    Run,
    Sampling,
    ServerSettings,
    Sweep,
    Vendor,
    WindowSpec,
    Workload,
)

WORDS = ["off", "no", "010", "1e3", "1_000", "~", "null", "2026-05-01", "1:30", "$X", "a: b", "#", "- x", "'", "é", " "]
texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
positive = st.floats(1e-6, 1e12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(1, 1_000_000)
maybe = lambda strategy: st.none() | strategy  # noqa: E731

goldens = st.builds(
    Acceptance,
    name=names,
    by_draft_tokens=st.fixed_dictionaries({k: st.floats(1, k + 1) for k in range(1, 17)}),
    source=texts,
)
models = st.builds(
    Model,
    name=names,
    label=texts,
    weights=st.just("some/model"),
    revision=maybe(texts),
    load_format=st.sampled_from(["auto", "dummy"]),
    chat=st.booleans(),
    context=st.just(10_000_000),
    layers=counts,
    parameters_b=positive,
    active_b=positive,
    moe=st.booleans(),
    mtp_modules=st.just(1),
    draft_tokens=st.integers(1, 16),
    golden=goldens,
    weight_gb=st.dictionaries(texts, numbers, max_size=3),
    kv_bytes_per_token=maybe(counts),
    source=texts,
)
prices = st.builds(
    Prices,
    since=st.dates().map(str),
    usd_per_gpu_hour=st.dictionaries(texts, numbers, max_size=3),
    all_in_kw=maybe(numbers),
    source=texts,
)
gpus = st.builds(
    Gpu,
    name=names,
    label=texts,
    vendor=st.sampled_from(Vendor),
    arch=texts,
    memory_gb=positive,
    bandwidth_tb_s=maybe(numbers),
    prices=st.lists(prices, max_size=2).map(tuple),
    source=texts,
)
workloads = st.builds(
    Workload,
    name=names,
    isl=counts,
    osl=st.integers(2, 1_000_000),
    length_ratio=st.floats(0.01, 1),
    length=st.sampled_from(["exact", "natural"]),
    source=st.sampled_from(["builtin", "random"]),
    seed=st.integers(-(2**62), 2**62),
    sampling=st.builds(Sampling, temperature=positive, top_k=st.integers(-(2**62), 2**62), presence_penalty=numbers),
)
engines = st.builds(
    EngineSpec,
    name=st.sampled_from(["vllm", "emulator"]),
    version=maybe(texts),
    venv=maybe(st.sampled_from(["$X/venv", "/opt/venv", "~/venv"])),
    args=st.lists(texts, max_size=3).map(tuple),
    env=st.dictionaries(texts, texts, max_size=3),
)
arms = st.integers(0, 16).flatmap(
    lambda k: (
        st.just(Mtp())
        if k == 0
        else st.builds(
            Mtp,
            draft_tokens=st.just(k),
            forced_acceptance_length=maybe(st.floats(1, k + 1)),
            overrides=st.dictionaries(
                texts, texts | st.integers(-(2**60), 2**60) | numbers | st.booleans(), max_size=3
            ),
        )
    )
)
limits = st.builds(
    ServerSettings,
    max_running_requests=st.just(10_000_000),
    memory_fraction=maybe(st.floats(0.1, 0.9)),
    context=st.just(10_000_000),
)
runs = st.builds(
    Run,
    model=models,
    gpu=gpus,
    precision=names,
    engine=engines,
    parallel=st.builds(Parallel, tp=counts),
    settings=limits,
    mtp=arms,
)


@st.composite
def sweeps(draw):
    given_runs = draw(st.lists(runs, max_size=2, unique_by=lambda run: run.key))
    draft_tokens = sorted({run.mtp.draft_tokens for run in given_runs})
    return Sweep(
        name=draw(names),
        model=draw(models),
        revision=draw(maybe(texts)),
        gpu=draw(gpus),
        precision=draw(names),
        engine=draw(engines),
        tp=draw(counts),
        max_running_requests=10_000_000,
        max_graph_requests=draw(maybe(counts)),
        mtp=tuple(draft_tokens or draw(st.lists(st.integers(0, 16), min_size=1, max_size=3, unique=True))),
        acceptance=("natural",) if given_runs else (draw(st.just("natural") | st.floats(1, 2)),),
        workload=draw(workloads),
        concurrency=draw(
            st.lists(counts, min_size=1, max_size=4, unique=True).map(tuple)
            | st.builds(Ladder, from_=st.integers(1, 64), to=st.integers(64, 128), refine_pct=maybe(positive))
        ),
        target_half_width_pct=draw(maybe(positive)),
        window=draw(st.builds(WindowSpec, min_s=st.floats(0.1, 10), max_s=st.floats(10, 100))),
        launches=draw(counts),
        demo=draw(st.booleans()),
        runs=tuple(given_runs),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("config")


@settings(deadline=None, max_examples=60)
@given(sweep=sweeps())
def test_a_lock_loads_as_the_sweep_that_it_was_made_of(sweep, folder):
    lock = folder / "sweep.lock.yaml"
    lock.write_text(config.dump(sweep), encoding="utf-8")

    loaded = config.load(lock)

    assert sweep == loaded
    assert [run.key for run in sweep.all_runs()] == [run.key for run in loaded.all_runs()]


@settings(deadline=None, max_examples=60)
@given(text=texts)
def test_text_stays_text_through_a_file(text, folder):
    path = folder / "text.yaml"
    path.write_text(write({"key": text, "list": [text]}), encoding="utf-8")

    node = read(path, Faults())

    assert (text, [text]) == (node.value["key"].value, [item.value for item in node.value["list"].value])


@settings(deadline=None, max_examples=60)
@given(number=numbers | st.integers(-(10**30), 10**30))
def test_a_number_stays_the_same_number(number, folder):
    path = folder / "number.yaml"
    path.write_text(write({"key": number}))

    value = read(path, Faults()).value["key"].value

    assert (number, type(number)) == (value, type(value))


def sweep_or_faults(path):
    try:
        config.load(path)
    except ConfigError as error:
        assert str(error)
        assert all(line.startswith(str(path)) for line in str(error).splitlines())


GOOD = [path.read_text() for path in sorted((packaged_configs() / "sweeps").glob("*.yaml"))]
TOKENS = [
    *("\t", "\n", "  ", "- ", ": ", "{", "}", "[", "]", "&a ", "*a", "!!str ", "'", '"', "#", "|", ">", "?", "%"),
    *(
        "---\n",
        "off",
        "~",
        "010",
        "1e3",
        ".inf",
        "\x00",
        "\ufeff",
        "\x85",
        "\\x",
        "<<",
        "model",
        "../",
        "/",
        "~x/",
        "\\0",
        "/x.yaml",
    ),
    "runs:\n  - mtp: 3\n",
]


@settings(deadline=None, max_examples=60)
@given(base=st.sampled_from(GOOD), data=st.data())
def test_a_damaged_sweep_is_a_sweep_or_a_list_of_faults(base, data, folder):
    text = base
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(st.sampled_from(TOKENS) | st.text(max_size=4)) + text[end:]
    path = folder / "damaged.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))

    sweep_or_faults(path)


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_sweep_or_a_list_of_faults(content, folder):
    path = folder / "bytes.yaml"
    path.write_bytes(content)

    sweep_or_faults(path)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*Sweep.model_fields, "from"]) | texts, inner)
    ),
    max_leaves=15,
)


@settings(deadline=None, max_examples=60)
@given(tree=st.dictionaries(st.sampled_from(list(Sweep.model_fields)), trees, min_size=1))
def test_any_tree_of_the_right_keys_is_a_sweep_or_a_list_of_faults(tree, folder):
    path = folder / "tree.yaml"
    path.write_text(write(tree), encoding="utf-8")

    sweep_or_faults(path)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=12) | st.from_regex(r"[-+0-9._eE]{1,12}", fullmatch=True))
def test_a_plain_scalar_is_one_of_five_kinds_and_finite(text):
    value = scalar(text)

    assert value is None or isinstance(value, bool | int | str) or abs(value) < float("inf")
    assert not isinstance(value, str) or value == text


def test_the_lock_of_a_lock_is_the_same_text(tmp_path):
    first = config.dump(config.load(Path("crossover-vllm-cpu")))
    (tmp_path / "sweep.lock.yaml").write_text(first)

    assert first == config.dump(config.load(tmp_path / "sweep.lock.yaml"))
