"""Words that start an image; nothing here starts one."""

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
    assert f"--name={docker_removal('12_3-0')[-1]}" in words
    assert ("docker", "rm", "--force", "mtpbench-12_3-0") == docker_removal("12_3-0")


def test_docker_gets_the_devices_of_an_amd_node():
    assert {"--device=/dev/kfd", "--device=/dev/dri"} <= set(started("docker", Vendor.AMD).argv)
