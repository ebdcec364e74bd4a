from pathlib import Path

import pytest

from harness.errors import UserError
from harness.paths import expand, is_local, packaged_configs, portable


@pytest.mark.parametrize("text", ["./x", "../x", "/x", "~/x", "$X/x", "${X}"])
def test_what_starts_as_a_path_is_no_hub_id(text):
    assert is_local(text)


@pytest.mark.parametrize("text", ["some/model", "model", "x~", "a$b"])
def test_what_starts_as_a_name_is_a_hub_id_and_is_left_alone(text):
    assert not is_local(text)
    assert text == expand(text)


def test_variables_and_home_are_filled_in(monkeypatch):
    monkeypatch.setenv("MODELS", "/models")
    monkeypatch.setenv("HOME", "/home/someone")

    assert "/models/a-b" == expand("$MODELS/a-b")
    assert "/models/a" == expand("${MODELS}/a")
    assert "/home/someone/a" == expand("~/a")


def test_a_variable_that_is_not_set_is_named_with_what_to_do(monkeypatch):
    monkeypatch.delenv("MODELS", raising=False)
    monkeypatch.delenv("MTPBENCH_VLLM_CPU", raising=False)

    with pytest.raises(
        UserError, match=r"^\$MODELS is not set for \$MODELS/a; export it \(or write the path itself\)$"
    ):
        expand("$MODELS/a")
    with pytest.raises(
        UserError, match=r"^\$MTPBENCH_VLLM_CPU is not set; export it \(scripts/engines/vllm_cpu/install"
    ):
        expand("$MTPBENCH_VLLM_CPU")


def test_a_place_among_the_packages_configs_goes_round_without_the_machine(tmp_path):
    place = packaged_configs() / "models" / "mimo-tiny"
    link = tmp_path / "checkout"
    link.symlink_to(packaged_configs().parent)

    assert (
        "$MTPBENCH_CONFIGS/models/mimo-tiny" == portable(place) == portable(link / "configs" / "models" / "mimo-tiny")
    )
    assert str(place) == expand(portable(place))


def test_any_other_place_is_kept_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert str(tmp_path / "b") == portable(Path("a/../b"))
