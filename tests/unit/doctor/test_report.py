"""The report as a whole: what a person sees, what a program reads, how the command ends."""

import json

from harness.doctor import Finding, State
from harness.doctor.finding import Report
from harness.doctor.text import rendered, verdict


def report(*states):
    findings = [
        Finding(area="limits", what=f"thing {n}", state=state, says="as it is [bold]", remedy="mend it")
        for n, state in enumerate(states)
    ]
    return Report(mtpbench="1", node="node-1", sweep=None, findings=tuple(findings))


def test_the_verdict_names_what_blocks():
    assert "nothing blocks; no warnings" == verdict(report(State.GOOD, State.NOTE))
    assert "nothing blocks; 1 warning" == verdict(report(State.WARNING))
    assert "blocked by thing 1; 2 warnings" == verdict(report(State.WARNING, State.BLOCKS, State.WARNING))


def test_a_file_gets_plain_lines_with_what_to_do_beneath_each():
    lines = rendered(report(State.GOOD, State.BLOCKS)).splitlines()

    assert "mtpbench 1 on node-1" == lines[0]
    assert " ✗ thing 1          as it is [bold]" == lines[5]
    assert "                    → mend it" == lines[6]
    assert [] == [line for line in lines if line != line.rstrip() or "\x1b" in line]


def test_doctor_of_a_sweep_that_needs_nothing_here_ends_well(mtpbench, tmp_path):
    code, out, _ = mtpbench("doctor", "quickstart-emulator", "--output", tmp_path / "results", "--format", "json")
    said = json.loads(out)

    assert 0 == code
    assert "quickstart-emulator" == said["sweep"]
    assert {"machine", "limits", "GPUs", "engines"} <= {finding["area"] for finding in said["findings"]}
    assert [] == list(tmp_path.iterdir())


def test_doctor_of_a_sweep_whose_engine_is_missing_is_exit_3(mtpbench, tmp_path, monkeypatch):
    monkeypatch.setenv("MTPBENCH_VLLM_CPU", str(tmp_path))
    code, out, err = mtpbench("doctor", "tiny-vllm-cpu")

    assert 3 == code
    assert "✗ vllm" in out
    assert "blocked by vllm" in err
    assert "Traceback" not in err


def test_doctor_of_a_sweep_that_is_wrong_is_exit_2(mtpbench, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("model: mimo-tiny\n")

    assert 2 == mtpbench("doctor", bad)[0]
