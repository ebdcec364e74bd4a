from pathlib import Path

import pytest

from harness import config
from harness.errors import ConfigError, UserError
from harness.paths import packaged_configs
from harness.spec import Ladder, Sweep

SWEEP = """
model: mimo-163m
gpu: cpu-2core
precision: bf16
engine: vllm
max_running_requests: 64
workload: 32x32
"""
ARMS = "mtp: [off, 3]\n"
USERS = "concurrency: [1, 8]\n"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a sweep file's text into sweeps/ of an empty folder and gives its path, relative to there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()

    def write(text, name="one"):
        path = Path("sweeps") / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


def faults(path):
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("spelling", ["off", "[off]", "no", "false", "0", "[0]", "'off'", "OFF"])
def test_off_is_zero_draft_tokens_however_it_is_spelled(written, spelling):
    sweep = config.load(written(SWEEP + USERS + f"mtp: {spelling}\n"))

    assert (0,) == sweep.mtp


@pytest.mark.parametrize("spelling", ["on", "[on]", "yes", "true", '"on"'])
def test_on_is_what_the_model_says(written, spelling):
    sweep = config.load(written(SWEEP + USERS + f"mtp: {spelling}\n"))

    assert (3,) == sweep.mtp


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [("natural", ("natural",)), ("golden", ("golden",)), ("3", (3.0,)), ("[2, golden, 2.6]", (2.0, "golden", 2.6))],
)
def test_acceptance_is_a_word_a_number_or_a_list_of_both(written, spelling, expected):
    sweep = config.load(written(SWEEP + USERS + ARMS + f"acceptance: {spelling}\n"))

    assert expected == sweep.acceptance
    assert all(isinstance(length, str | float) for length in sweep.acceptance)


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("8", (8,)),
        ("[1, 8]", (1, 8)),
        ("{from: 1, to: 6, refine_pct: 5}", Ladder.model_validate({"from": 1, "to": 6, "refine_pct": 5})),
    ],
)
def test_concurrency_is_a_number_a_list_or_a_ladder(written, spelling, expected):
    sweep = config.load(written(SWEEP + ARMS + f"concurrency: {spelling}\n"))

    assert expected == sweep.concurrency


def test_golden_acceptance_comes_from_the_models_own_table(written):
    sweep = config.load(written(SWEEP + USERS + ARMS + "acceptance: golden\n"))

    assert [None, 3.39] == [run.mtp.forced_acceptance_length for run in sweep.all_runs()]


def test_a_sweep_is_named_by_its_file_unless_it_says_otherwise(written):
    assert "one" == config.load(written(SWEEP + USERS + ARMS)).name
    assert "other" == config.load(written(SWEEP + USERS + ARMS + "name: other\n")).name


def test_a_file_beside_the_sweep_goes_before_the_packages_own(written, tmp_path):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "32x32.yaml").write_text("isl: 65\nosl: 33\n")

    sweep = config.load(written(SWEEP + USERS + ARMS))

    assert (65, 33) == (sweep.workload.isl, sweep.workload.osl)


def test_a_name_may_be_a_path_or_the_thing_itself(written, tmp_path):
    (tmp_path / "mine.yaml").write_text("isl: 10\nosl: 20\n")
    by_path = SWEEP.replace("workload: 32x32", "workload: ../mine.yaml") + USERS + ARMS
    inline = SWEEP.replace("workload: 32x32", "workload: {name: mine, isl: 10, osl: 20}") + USERS + ARMS

    assert config.load(written(by_path)).workload == config.load(written(inline)).workload


def test_a_folder_of_the_package_is_kept_without_the_machines_path(written):
    model = config.load(written(SWEEP + USERS + ARMS)).model

    assert "$MTPBENCH_CONFIGS/models/mimo-163m" == model.weights
    assert str(packaged_configs()) not in config.dump(config.load(written(SWEEP + USERS + ARMS)))


def test_a_written_folder_starts_at_the_file_that_holds_it(written, tmp_path):
    model = tmp_path / "models" / "own.yaml"
    (model.parent / "weights").mkdir(parents=True)
    model.write_text(
        "{label: Own, weights: ./weights, context: 4096, layers: 2, parameters_b: 1, active_b: 1, "
        "mtp_modules: 1, source: x}"
    )

    sweep = config.load(written(SWEEP.replace("mimo-163m", "own") + USERS + ARMS))

    assert str(model.parent / "weights") == sweep.model.weights


def test_a_hub_id_is_left_alone(written, tmp_path):
    model = tmp_path / "models" / "hub.yaml"
    model.parent.mkdir()
    model.write_text(
        "{label: Hub, weights: some/model, context: 4096, layers: 2, parameters_b: 1, active_b: 1, "
        "mtp_modules: 1, source: x}"
    )

    assert "some/model" == config.load(written(SWEEP.replace("mimo-163m", "hub") + USERS + ARMS)).model.weights


def test_a_missing_folder_is_a_fault_in_a_sweep_and_none_in_a_lock(written, tmp_path):
    text = SWEEP.replace(
        "model: mimo-163m",
        "model: {name: m, label: M, weights: /no/such/folder, context: 4096, layers: 2, parameters_b: 1, active_b: 1, "
        "mtp_modules: 1, source: x}",
    )
    text += USERS + ARMS + "name: one\n"

    assert ["sweeps/one.yaml:2:37: model.weights: there is no /no/such/folder; make it, or correct the path"] == faults(
        written(text)
    )
    assert "/no/such/folder" == config.load(written(text, name="sweep.lock")).model.weights


def test_variables_stay_as_written_until_a_command_is_built(written, monkeypatch):
    monkeypatch.delenv("MTPBENCH_VLLM_CPU", raising=False)
    engine = "engine: {name: vllm, venv: $MTPBENCH_VLLM_CPU}"

    sweep = config.load(written(SWEEP.replace("engine: vllm", engine) + USERS + ARMS))

    assert "$MTPBENCH_VLLM_CPU" == sweep.engine.venv


def test_runs_take_from_the_sweep_what_they_do_not_say(written):
    runs = "runs:\n  - mtp: off\n  - {mtp: on, precision: fp8, tp: 2}\n".replace(", tp: 2", ", parallel: {tp: 2}")

    off, mtp = config.load(written(SWEEP + USERS + runs)).all_runs()

    assert ("bf16", 1, 0) == (off.precision, off.parallel.gpus, off.mtp.draft_tokens)
    assert ("fp8", 2, 3) == (mtp.precision, mtp.parallel.gpus, mtp.mtp.draft_tokens)
    assert off.model == mtp.model
    assert 32 + 32 + 16 == off.settings.context == mtp.settings.context


def test_another_engine_takes_no_arguments_of_the_files_own(written):
    engine = "engine: {name: vllm, venv: $X, args: [--enforce-eager]}"
    path = written(SWEEP.replace("engine: vllm", engine) + USERS + ARMS)

    sweep = config.load(path, engine="emulator")

    assert ("emulator", None, ()) == (sweep.engine.name, sweep.engine.venv, sweep.engine.args)
    assert config.load(path) == config.load(path, engine="vllm")


def test_an_engine_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="engine 'trt' is not known; there are vllm, sglang, emulator"):
        config.load(Path("quickstart"), engine="trt")


def test_a_bare_name_is_one_of_the_packages_sweeps(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    assert "quickstart" == config.load(Path("quickstart")).name


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ("{name: vllm, env: {HF_TOKEN: hf_1}}", "HF_TOKEN sounds like a secret"),
        ("{name: vllm, endpoint: 'http://me:pw@host:8000'}", "leave user and password out of the address"),
    ],
)
def test_a_secret_is_refused_with_its_place(written, engine, said):
    text = SWEEP.replace("engine: vllm", f"engine: {engine}") + ARMS + USERS

    [fault] = faults(written(text))

    assert fault.startswith("sweeps/one.yaml:5:")
    assert said in fault
    assert "hf_1" not in fault
    assert "pw@" not in fault


def test_a_number_that_would_fill_memory_is_refused(written):
    text = SWEEP + ARMS + USERS + "max_graph_requests: 3000000000\n"

    assert ["max_graph_requests: must be at most 10000000, got 3000000000"] == [
        fault.split(": ", 1)[1] for fault in faults(written(text))
    ]


@pytest.mark.parametrize("path", sorted((packaged_configs() / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_sweep_of_the_package_is_good_and_survives_its_lock(path, tmp_path):
    sweep = config.load(path)
    lock = tmp_path / "sweep.lock.yaml"
    lock.write_text(config.dump(sweep))

    assert sweep == config.load(lock)


@pytest.mark.parametrize("kind", ["model", "gpu", "workload", "golden"])
def test_every_fact_of_the_package_is_good_and_has_a_source(kind):
    from harness.config.names import FOLDERS
    from harness.spec import Acceptance, Gpu, Model, Workload

    spec = {"model": Model, "gpu": Gpu, "workload": Workload, "golden": Acceptance}[kind]
    files = sorted((packaged_configs() / FOLDERS[kind]).glob("*.yaml"))

    assert files
    assert all(config.load_file(file, spec).source for file in files)


def test_models_and_gpus_are_found_by_name():
    assert 12 == config.load_model("mimo-163m").layers
    assert "CPU, 2 cores" == config.load_gpu("cpu-2core").label
    assert config.load_gpus().keys() == set(config.known("gpu"))


def test_an_unknown_gpu_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"gpu 'h20' has no file; did you mean 'h200'\?"):
        config.load_gpu("h20")


def test_the_sweep_in_the_guide_is_good_and_shows_every_key(written):
    guide = (packaged_configs() / "README.md").read_text()
    shown = guide.partition("```yaml\n")[2].partition("```")[0]
    keys = {line.partition(":")[0] for line in shown.splitlines()}

    assert "my-sweep" == config.load(written(shown)).name
    assert Sweep.model_fields.keys() - keys == {"revision", "runs", "pp", "ep", "dp", "rate", "arrivals"}
