import json
from pathlib import Path

import pytest

from harness import config
from harness.errors import EngineMissing, UserError
from harness.prefetch import download_command, prefetch, wanted_by
from harness.spec import EngineSpec


def sweep_of(model=None, engine=None):
    sweep = config.load(Path("tiny-vllm-cpu"))
    return sweep.model_copy(
        update={
            "model": sweep.model.model_copy(update=model or {}),
            "engine": EngineSpec(name="vllm", **(engine or {})),
        }
    )


def test_a_folder_is_looked_at_once_and_its_weights_are_counted(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "a.safetensors").write_bytes(b"x" * 2_000_000)
    (tmp_path / "b.safetensors").write_bytes(b"x" * 3_000_000)

    assert f"{tmp_path}: there, 2 weight files, 0.00500 GB" == prefetch(sweep_of({"weights": str(tmp_path)}))


def test_a_folder_without_config_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no config.json there: put the model's files into it"):
        prefetch(sweep_of({"weights": str(tmp_path)}))


def test_a_folder_without_weights_will_do_for_random_ones_only(tmp_path):
    (tmp_path / "config.json").write_text("{}")

    assert f"{tmp_path}: there" == prefetch(sweep_of({"weights": str(tmp_path), "load_format": "dummy"}))
    with pytest.raises(UserError, match="no weight files"):
        prefetch(sweep_of({"weights": str(tmp_path)}))


def test_a_tokenizer_from_elsewhere_is_wanted_without_weights():
    run = sweep_of({"weights": "some/model", "revision": "abc", "tokenizer": "other/model"}).all_runs()[0]

    weights, tokenizer = (json.loads(download_command(wanted, "python3")[-1]) for wanted in wanted_by(run))

    assert {"repo_id": "some/model", "revision": "abc", "allow_patterns": None} == weights
    assert ("other/model", None) == (tokenizer["repo_id"], tokenizer["revision"])
    assert "*.json" in tokenizer["allow_patterns"]
    assert "*.safetensors" not in tokenizer["allow_patterns"]


def test_a_revision_of_the_sweep_goes_before_the_models_own():
    sweep = sweep_of({"weights": "some/model", "revision": "abc"}).model_copy(update={"revision": "def"})

    (wanted,) = wanted_by(sweep.all_runs()[0])

    assert "def" == wanted.revision


def test_an_environment_without_the_hub_library_is_named(tmp_path):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"
    # An interpreter that sees no installed package at all, whatever runs this test.
    python.write_text('#!/bin/sh\nexec /usr/bin/env python3 -I -S "$@"\n')
    python.chmod(0o755)

    with pytest.raises(EngineMissing, match="has no huggingface_hub: install it there, or stage some/model by hand"):
        prefetch(sweep_of({"weights": "some/model"}, {"venv": str(tmp_path)}))


def test_a_venv_that_is_not_there_is_named():
    with pytest.raises(EngineMissing, match="no python3 in /no/such/venv/bin"):
        prefetch(sweep_of({"weights": "some/model"}, {"venv": "/no/such/venv"}))


def test_an_image_is_not_downloaded_into():
    with pytest.raises(EngineMissing, match=r"engine.image: stage some/model .* by hand"):
        prefetch(sweep_of({"weights": "some/model"}, {"image": "vllm/vllm-openai"}))


def test_a_server_that_runs_already_needs_nothing():
    assert "nothing to stage: the server runs already" == prefetch(sweep_of(engine={"endpoint": "http://127.0.0.1:1"}))
