"""Files that are wrong as YAML or as a whole: the exact line that a person gets."""

from pathlib import Path

import pytest

from harness import config
from harness.errors import ConfigError

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


def line_of(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        config.load(Path("x.yaml"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "x.yaml: is empty"),
        ("# a comment\n", "x.yaml: is empty"),
        ("---\n", "x.yaml:2:1: must be a mapping of a sweep's keys"),
        ("- a\n", "x.yaml:1:1: must be a mapping of a sweep's keys"),
        ("text\n", "x.yaml:1:1: must be a mapping of a sweep's keys"),
        (b"model: \xff\n", "x.yaml:1:8: not UTF-8 text; save the file as UTF-8"),
        ("a:\n\tb: 1\n", "x.yaml:2:1: not YAML: found character '\\t' that cannot start any token; indent with spaces"),
        (
            "a: b: c\n",
            "x.yaml:1:5: not YAML: mapping values are not allowed here; "
            "mind the indentation, and quote a value that holds ': '",
        ),
        ("a: [1, 2\n", "x.yaml:2:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: \x07\n", "x.yaml:1:4: a control character; delete it"),
        ('a: "\\UFFFFFFFF"\n', "x.yaml: not YAML: an escape in quotes that is no character"),
        ("a: " + "[" * 30 + "]" * 30, "x.yaml:1:23: nested deeper than 20 levels"),
        ("a: " + "x" * 300_000, "x.yaml: 300003 bytes; the largest file taken is 262144"),
    ],
)
def test_a_file_that_is_no_sweep_gets_one_line(tmp_path, monkeypatch, content, line):
    assert line == line_of(tmp_path, monkeypatch, content)


def test_an_alias_is_refused_where_it_stands_and_blows_nothing_up(tmp_path, monkeypatch):
    bomb = "a: &a [x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )

    lines = line_of(tmp_path, monkeypatch, bomb).splitlines()

    assert "x.yaml:1:4: a: anchors and aliases are not taken; write the value out" in lines
    assert "x.yaml:2:8: b[0]: anchors and aliases are not taken; write the value out" in lines


def test_a_key_that_stands_twice_names_the_first_line(tmp_path, monkeypatch):
    content = "".join(f"{key}: {value}\n" for key, value in GOOD.items()) + "gpu: h100\n"

    assert "x.yaml:9:1: gpu: is there twice, first on line 2; leave one out" == line_of(tmp_path, monkeypatch, content)


@pytest.mark.parametrize("key", ["[a]", '""', "{a: b}"])
def test_a_key_is_text(tmp_path, monkeypatch, key):
    content = "".join(f"{key}: {value}\n" for key, value in GOOD.items()) + f"? {key}\n: 1\n"

    assert "x.yaml:9:3: a key must be text" == line_of(tmp_path, monkeypatch, content)


def test_a_second_document_is_refused(tmp_path, monkeypatch):
    content = "".join(f"{key}: {value}\n" for key, value in GOOD.items()) + "---\na: 1\n"

    assert "x.yaml:9:1: a second document; a file holds one" == line_of(tmp_path, monkeypatch, content)


def test_a_missing_file_and_a_folder_say_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match=r"^none.yaml: can't be read: no such file or directory; give the path"):
        config.load(Path("none.yaml"))
    with pytest.raises(ConfigError, match="can't be read: is a directory; give the path of a YAML file"):
        config.load(tmp_path)


def test_a_file_must_be_called_what_it_holds(tmp_path, monkeypatch):
    (tmp_path / "gpus").mkdir()
    (tmp_path / "gpus" / "mine.yaml").write_text(
        "{name: yours, label: Mine, vendor: cpu, arch: x, memory_gb: 1, source: x}"
    )
    (tmp_path / "sweeps").mkdir()
    content = "".join(f"{key}: {value}\n" for key, value in (GOOD | {"gpu": "mine"}).items())
    (tmp_path / "sweeps" / "x.yaml").write_text(content)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        config.load(Path("sweeps/x.yaml"))

    assert "gpus/mine.yaml:1:8: name: must be mine as the file is called, got yours; leave it out" == str(caught.value)


def test_a_combination_waits_until_what_it_is_about_can_be_read(tmp_path, monkeypatch):
    keys = GOOD | {"concurrency": "[1, 65, sixty]"}

    lines = line_of(tmp_path, monkeypatch, "".join(f"{key}: {value}\n" for key, value in keys.items()))

    assert "x.yaml:8:22: concurrency[2]: must be a whole number, got sixty" == lines
