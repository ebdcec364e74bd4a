"""Find ROCm's `amdsmi`, start it, and refuse one that was not made for the library that is here.

Structures differ between majors of libamd_smi.so, and nothing in them says so: a binding of another major reads power
from where a voltage lies. ROCm's own binding goes first, the one on PyPI is a copy for machines that lack it.
"""

import importlib
import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType

from harness.errors import NoMeter

BINDING = "share/amd_smi"
"""Below ROCm's folder. Source: https://rocm.docs.amd.com/projects/amdsmi/en/latest/install/install.html"""

_OWN_NUMBERS = 20  # ROCm's own binding carries the library's version (24 to 26), the copy on PyPI ROCm's (6.4, 7.0)

_REMEDIES = {
    "DRIVER_NOT_LOADED": "load the kernel module: modprobe amdgpu",
    "NO_DRV": "load the kernel module: modprobe amdgpu",
    "NO_PERM": "let this user open /dev/kfd and /dev/dri: usermod -aG render,video USER, or --device in a container",
}
_OTHERWISE = "see what `amd-smi list` says"


def started() -> ModuleType:
    """The module `amdsmi`, its library initialised for GPUs.

    Raises:
        NoMeter: it is not there, does not start, or is not the one that its binding was made for.
    """
    smi = _module()
    try:
        smi.amdsmi_init(smi.AmdSmiInitFlags.INIT_AMD_GPUS)
        _refuse_mismatch(versions(smi))
    except smi.AmdSmiException as error:
        raise NoMeter(complaint(error)) from error
    return smi


def versions(smi: ModuleType) -> dict[str, str]:
    """Of ROCm (where it says), of the library and of the binding."""
    library = smi.amdsmi_get_lib_version()
    found = {
        "rocm": rocm_version(),
        "amdsmi": ".".join(str(library[part]) for part in ("major", "minor", "release")),
        "binding": smi.__version__,
    }
    return {name: version for name, version in found.items() if version}


def rocm() -> Path:
    """The folder of ROCm, whether or not it is there."""
    return Path(os.environ.get("ROCM_HOME") or os.environ.get("ROCM_PATH") or "/opt/rocm")


def rocm_version() -> str | None:
    """As its installation says; None where it does not."""
    said = rocm() / ".info/version"
    return said.read_text().strip().partition("-")[0] if said.is_file() else None


def reason_of(error: Exception) -> str:
    """`NOT_SUPPORTED`, `DRIVER_NOT_LOADED`: the status's own name."""
    said = getattr(error, "err_info", "") or str(error)
    return str(said).partition(" - ")[0].removeprefix("AMDSMI_STATUS_").removeprefix("AMD_SMI_")


def complaint(error: Exception) -> str:
    """A status in one line, with what to do."""
    reason = reason_of(error)
    return f"amdsmi: {reason}: {_REMEDIES.get(reason, _OTHERWISE)}"


def _module() -> ModuleType:
    """Import it, with what it prints kept off stdout."""
    own, said = rocm() / BINDING, io.StringIO()
    if own.is_dir() and str(own) not in sys.path:
        sys.path.insert(0, str(own))
    try:
        with redirect_stdout(said):
            return importlib.import_module("amdsmi")
    except ModuleNotFoundError as error:
        raise NoMeter(f"amdsmi: {error}: install ROCm, or pip install 'mtpbench[amd]' of ROCm's version") from error
    except (KeyError, OSError) as error:  # a KeyError where dlopen found nothing
        raise NoMeter(f"amdsmi: no libamd_smi.so: install amd-smi-lib of ROCm, or set ROCM_PATH ({error})") from error
    except AttributeError as error:  # all names are bound at import
        raise NoMeter(f"amdsmi: libamd_smi.so is older than its binding ({error}): {_use_own()}") from error


def _refuse_mismatch(found: dict[str, str]) -> None:
    binding, library, system = found["binding"], found["amdsmi"], found.get("rocm")
    own = int(binding.partition(".")[0]) >= _OWN_NUMBERS
    theirs = library if own else system
    places = 1 if own else 2
    if theirs is not None and binding.split(".")[:places] != theirs.split(".")[:places]:
        raise NoMeter(f"amdsmi: the binding {binding} is not for {theirs}, which is here: {_use_own()}")


def _use_own() -> str:
    return f"use the binding in {rocm() / BINDING}: pip uninstall amdsmi from this environment"
