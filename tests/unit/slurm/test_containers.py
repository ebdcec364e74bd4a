"""Words that start an image; nothing here starts one."""

import subprocess

import pytest

from harness.slurm.containers import docker_removal, in_container
from harness.spec import Container, Vendor

ARGV = ("vllm", "serve", "some/model")


def started(runtime, vendor=Vendor.NVIDIA, **container):
    return in_container(
        ARGV,
        {"VLLM_API_KEY", "HF_HOME"},
        container=Container(runtime=runtime, **container),
        image="img",
        vendor=vendor,
        job="12_3-0",
        mark="/shared/element-3",
    )


def test_pyxis_is_asked_through_the_step():
    made = started("pyxis", mounts=("/models", "/a:/b"), args=("--container-writable",))

    assert ARGV == made.argv
    assert (
        "--container-image=img",
        "--container-mounts=/models:/models,/a:/b",
        "--no-container-entrypoint",
        "--no-container-mount-home",
        "--container-writable",
    ) == made.srun


@pytest.mark.parametrize(("vendor", "flag"), [(Vendor.NVIDIA, "--nv"), (Vendor.AMD, "--rocm")])
def test_apptainer_stands_before_the_command(vendor, flag):
    made = started("apptainer", vendor, mounts=("/models",))

    assert ("apptainer", "exec", flag, "--bind", "/models:/models", "img", *ARGV) == made.argv


def test_docker_passes_variables_by_name_and_replaces_the_entrypoint():
    made = started("docker", args=("--shm-size=64g",))
    words = made.argv

    assert ("--env", "HF_HOME", "--env", "VLLM_API_KEY") == words[words.index("--env") : words.index("--shm-size=64g")]
    assert ("--entrypoint", "vllm", "img", "serve", "some/model") == words[-5:]
    assert "--name=mtpbench-12_3-0" in words
    assert f"--label={docker_removal('/shared/element-3')[-1]}" in words


def remove(mark: str) -> int:
    return subprocess.run(docker_removal(mark), check=False).returncode


def test_all_containers_of_an_element_are_removed_by_their_label(stand_in):
    called = stand_in("docker", "[ $1 = ps ] && printf 'a1\\nb2\\n'; exit 0")
    listed = "ps --all --quiet --filter label=mtpbench.element=/shared/element-3"

    assert 0 == remove("/shared/element-3")
    assert [listed, "rm --force a1 b2"] == called.read_text().splitlines()


def test_where_no_container_is_left_none_is_removed(stand_in):
    called = stand_in("docker", "exit 0")

    assert 0 == remove("/shared/element-3")
    assert 1 == len(called.read_text().splitlines())


def test_docker_gets_the_devices_of_an_amd_node():
    assert {"--device=/dev/kfd", "--device=/dev/dri"} <= set(started("docker", Vendor.AMD).argv)
