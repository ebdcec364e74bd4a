"""Unpack the Python files of the wheels in wheels.txt, and print the folder that holds them, one a subfolder.

    python scripts/engines/wheels/fetch.py

Nothing is installed: only their argument parsers are run, by tests. A wheel is downloaded by pip, unpacked into the
cache ($MTPBENCH_CACHE, else ~/.cache/mtpbench) under its name and version, and deleted; later calls answer at once.
Exit 3: a wheel can't be had; one line says why.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LIST = Path(__file__).with_name("wheels.txt")
KEPT = (".py", ".json", ".txt", "/METADATA", "/RECORD")  # kernels are most of a wheel, and a parser needs none
PLATFORMS = ("any", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
PYTHON = "3.12"  # SGLang's wheels are built for one version each


def main() -> None:
    cache = Path(os.environ.get("MTPBENCH_CACHE") or _user_cache() / "mtpbench") / "wheels"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for requirement in requirements():
            folder = cache / requirement.replace("==", "-")
            if not folder.is_dir():
                unpack(requirement, folder)
    print(cache)


def requirements() -> list[str]:
    """`name==version`, one a line of the list."""
    lines = (line.partition("#")[0].strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line]


def unpack(requirement: str, folder: Path) -> None:
    """The Python files of one wheel; the folder appears whole or not at all."""
    print(f"wheels: downloading {requirement} ...", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        download(requirement, scratch)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            kept = [name for name in archive.namelist() if name.endswith(KEPT)]
            archive.extractall(Path(scratch) / "unpacked", kept)
        shutil.move(Path(scratch) / "unpacked", folder)


def download(requirement: str, into: str) -> None:
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    only = ["--only-binary", ":all:", "--python-version", PYTHON, *platforms]
    done = subprocess.run([*command, *only, "--dest", into, requirement], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no word from pip").splitlines()[-1]
        sys.exit(_failed(f"{requirement} can't be had ({last}); check the network and 'pip config list'"))


def _failed(says: str) -> int:
    print(f"wheels: {says}", file=sys.stderr)
    return 3


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


if __name__ == "__main__":
    main()
