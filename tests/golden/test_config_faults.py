"""Faults as a person gets them, compared with lists kept beside what causes them."""

from pathlib import Path

import pytest

from harness import config
from harness.errors import ConfigError

FOLDER = Path(__file__).parent / "config_faults"
FILES = sorted(path.stem for path in (FOLDER / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_every_fault_of_every_file_involved_is_listed_at_once(name, monkeypatch):
    monkeypatch.chdir(FOLDER)

    with pytest.raises(ConfigError) as caught:
        config.load(Path(f"sweeps/{name}.yaml"))

    assert (FOLDER / f"{name}.txt").read_text() == str(caught.value).replace(str(FOLDER), "<here>") + "\n"


GOOD = {
    "model": "mimo-163m",
    "gpu": "cpu-2core",
    "precision": "bf16",
    "engine": "vllm",
    "max_running_requests": "64",
    "mtp": "[off, 3]",
    "workload": "32x32",
    "concurrency": "[1, 8]",
}
"""A sweep without a fault; each case of config_lines.txt replaces or adds one line of it."""

CASES = dict(
    case.split("\n", maxsplit=1)
    for case in (Path(__file__).parent / "config_lines.txt").read_text().strip().split("\n\n")
)


@pytest.mark.parametrize("case", CASES)
def test_one_fault_is_one_line_that_says_where_what_and_what_to_do(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    key, _, value = case.partition(": ")
    keys = {name: text for name, text in GOOD.items() if case != f"{name} left out"}
    keys |= {key: value} if value or ":" in case else {}
    Path("x.yaml").write_text("".join(f"{name}: {text}\n" for name, text in keys.items()))

    with pytest.raises(ConfigError) as caught:
        config.load(Path("x.yaml"))

    # Another file in configs/ is no reason to fail.
    line = str(caught.value).replace(str(tmp_path), "<here>")
    for kind in ("model", "workload"):
        line = line.replace(", ".join(config.known(kind)), f"<{kind}s>")
    assert CASES[case] == line
