"""Words that start an engine's image, by the container runtime of the site. Starts nothing itself."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from harness.spec import Container, Vendor

DEVICES: dict[str, dict[Vendor, tuple[str, ...]]] = {
    "apptainer": {Vendor.NVIDIA: ("--nv",), Vendor.AMD: ("--rocm",)},
    # ROCm's own list: https://rocm.docs.amd.com/projects/install-on-linux/en/latest/how-to/docker.html
    "docker": {
        Vendor.NVIDIA: ("--gpus=all",),
        Vendor.AMD: (
            "--device=/dev/kfd",
            "--device=/dev/dri",
            "--group-add=video",
            "--security-opt=seccomp=unconfined",
        ),
    },
}


@dataclass(frozen=True, slots=True)
class StepCommand:
    """What a step of a job runs, in a container or bare.

    Attributes:
        srun: options for the step that runs it.
        argv: the command.
    """

    srun: tuple[str, ...]
    argv: tuple[str, ...]


def in_container(
    argv: Sequence[str],
    names: Collection[str],
    *,
    container: Container,
    image: str,
    vendor: Vendor,
    job: str,
    mark: str,
) -> StepCommand:
    """A command as it is started in an image.

    Args:
        argv: the command inside.
        names: variables that it must see. Their values never stand in a command line.
        container: the site's runtime.
        image: what to start.
        vendor: of the GPUs.
        job: names the container.
        mark: of what is measured; labels the container, over all jobs that measure it.
    """
    if container.runtime == "pyxis":
        return StepCommand(_pyxis(container, image), tuple(argv))
    devices = DEVICES[container.runtime].get(vendor, ())
    mounts = [_source_and_target(mount) for mount in container.mounts]
    if container.runtime == "apptainer":
        binds = _repeated("--bind", mounts)
        return StepCommand((), ("apptainer", "exec", *devices, *binds, *container.args, image, *argv))
    known_by = (f"--name=mtpbench-{job}", f"--label={_label(mark)}")
    options = ("--rm", "--init", *known_by, "--network=host", "--ipc=host", *devices)
    given = (*_repeated("--volume", mounts), *_repeated("--env", sorted(names)), *container.args)
    return StepCommand((), ("docker", "run", *options, *given, "--entrypoint", argv[0], image, *argv[1:]))


def docker_removal(mark: str) -> tuple[str, ...]:
    """Removes a node's containers by label: where `docker run` was killed, Docker's own service goes on with them."""
    script = 'ids=$(docker ps --all --quiet --filter "label=$1") || exit; [ -z "$ids" ] || docker rm --force $ids'
    return ("sh", "-c", script, "sh", _label(mark))


def _label(mark: str) -> str:
    return f"mtpbench.element={mark}"


def _repeated(flag: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (flag, value)]


def _pyxis(container: Container, image: str) -> tuple[str, ...]:
    """Options of https://github.com/NVIDIA/pyxis; a file's path must start with / or ./ (its issue 127)."""
    mounts = ",".join(_source_and_target(mount) for mount in container.mounts)
    return (
        f"--container-image={image}",
        *([f"--container-mounts={mounts}"] if mounts else []),
        "--no-container-entrypoint",
        "--no-container-mount-home",
        *container.args,
    )


def _source_and_target(mount: str) -> str:
    """`/a:/b` as it is; `/a` is seen by the same name inside."""
    return mount if ":" in mount else f"{mount}:{mount}"
