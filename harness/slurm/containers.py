"""Words that start an engine's image, by the container runtime of the site. Starts nothing itself."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

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
class Started:
    """A command in a container.

    Attributes:
        srun: options for the step that runs it.
        argv: what the step runs.
        tidy: removes what a killed client leaves; empty where nothing is left.
    """

    srun: tuple[str, ...]
    argv: tuple[str, ...]
    tidy: tuple[str, ...] = field(default=())


def contained(
    argv: Sequence[str], names: Collection[str], *, container: Container, image: str, vendor: Vendor, job: str
) -> Started:
    """A command as it is started in an image.

    Args:
        argv: the command inside.
        names: variables that it must see. Their values never stand in a command line.
        container: the site's runtime.
        image: what to start.
        vendor: of the GPUs.
        job: names the container.
    """
    if container.runtime == "pyxis":
        return Started(_pyxis(container, image), tuple(argv))
    devices = DEVICES[container.runtime].get(vendor, ())
    mounts = [_both_ends(mount) for mount in container.mounts]
    if container.runtime == "apptainer":
        binds = [word for mount in mounts for word in ("--bind", mount)]
        return Started((), ("apptainer", "exec", *devices, *binds, *container.args, image, *argv))
    name = f"mtpbench-{job}"
    options = ("--rm", "--init", f"--name={name}", "--network=host", "--ipc=host", *devices)
    seen = [word for variable in sorted(names) for word in ("--env", variable)]
    volumes = [word for mount in mounts for word in ("--volume", mount)]
    words = ("docker", "run", *options, *volumes, *seen, *container.args, "--entrypoint", argv[0], image, *argv[1:])
    return Started((), words, ("docker", "rm", "--force", name))


def _pyxis(container: Container, image: str) -> tuple[str, ...]:
    """Options of https://github.com/NVIDIA/pyxis; a file's path must start with / or ./ (its issue 127)."""
    mounts = ",".join(_both_ends(mount) for mount in container.mounts)
    return (
        f"--container-image={image}",
        *([f"--container-mounts={mounts}"] if mounts else []),
        "--no-container-entrypoint",
        "--no-container-mount-home",
        *container.args,
    )


def _both_ends(mount: str) -> str:
    return mount if ":" in mount else f"{mount}:{mount}"
