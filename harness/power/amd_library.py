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

_LEAST_OWN_MAJOR = 20
"""ROCm's own binding carries the library's version (24 to 26), the copy on PyPI ROCm's (6.4, 7.0)."""

_REMEDIES = {
    "DRIVER_NOT_LOADED": "load the kernel module: modprobe amdgpu",
    "NO_DRV": "load the kernel module: modprobe amdgpu",
    "NO_PERM": "let this user open /dev/kfd and /dev/dri: usermod -aG render,video USER, or --device in a container",
}
_DEFAULT_REMEDY = "see what `amd-smi list` says"


def start_library() -> ModuleType:
    """The module `amdsmi`, its library initialised for GPUs.

    Raises:
        NoMeter: it is not there, does not start, or is not the one that its binding was made for.
    """
    smi = _imported()
    try:
        smi.amdsmi_init(smi.AmdSmiInitFlags.INIT_AMD_GPUS)
        _refuse_mismatch(versions(smi))
    except smi.AmdSmiException as error:
        raise NoMeter(complaint(error)) from error
    return smi


def versions(smi: ModuleType) -> dict[str, str]:
    """Versions of ROCm (where it says), of the library and of the binding."""
    library = smi.amdsmi_get_lib_version()
    known = {
        "rocm": rocm_version(),
        "amdsmi": ".".join(str(library[part]) for part in ("major", "minor", "release")),
        "binding": smi.__version__,
    }
    return {name: version for name, version in known.items() if version}


def rocm_folder() -> Path:
    """The folder of ROCm, whether or not it is there."""
    return Path(os.environ.get("ROCM_HOME") or os.environ.get("ROCM_PATH") or "/opt/rocm")


def rocm_version() -> str | None:
    """ROCm's version as its installation says; None where it does not."""
    file = rocm_folder() / ".info/version"
    return file.read_text().strip().partition("-")[0] if file.is_file() else None


def reason_of(error: Exception) -> str:
    """`NOT_SUPPORTED`, `DRIVER_NOT_LOADED`: the status's own name."""
    text = getattr(error, "err_info", "") or str(error)
    return str(text).partition(" - ")[0].removeprefix("AMDSMI_STATUS_").removeprefix("AMD_SMI_")


def complaint(error: Exception) -> str:
    """A status in one line, with what to do."""
    reason = reason_of(error)
    return f"amdsmi: {reason}: {_REMEDIES.get(reason, _DEFAULT_REMEDY)}"


def _imported() -> ModuleType:
    """The module `amdsmi`, with what it prints at import kept off stdout."""
    own, printed = rocm_folder() / BINDING, io.StringIO()
    if own.is_dir() and str(own) not in sys.path:
        sys.path.insert(0, str(own))
    try:
        with redirect_stdout(printed):
            return importlib.import_module("amdsmi")
    except ModuleNotFoundError as error:
        raise NoMeter(f"amdsmi: {error}: install ROCm, or pip install 'mtpbench[amd]' of ROCm's version") from error
    except (KeyError, OSError) as error:  # a KeyError where dlopen found nothing
        raise NoMeter(f"amdsmi: no libamd_smi.so: install amd-smi-lib of ROCm, or set ROCM_PATH ({error})") from error
    except AttributeError as error:  # all names are bound at import
        raise NoMeter(f"amdsmi: libamd_smi.so is older than its binding ({error}): {_remedy_of_mismatch()}") from error


def _refuse_mismatch(known: dict[str, str]) -> None:
    binding, library, system = known["binding"], known["amdsmi"], known.get("rocm")
    own = int(binding.partition(".")[0]) >= _LEAST_OWN_MAJOR
    theirs = library if own else system
    places = 1 if own else 2
    if theirs is not None and binding.split(".")[:places] != theirs.split(".")[:places]:
        raise NoMeter(f"amdsmi: the binding {binding} is not for {theirs}, which is here: {_remedy_of_mismatch()}")


def _remedy_of_mismatch() -> str:
    return f"use the binding in {rocm_folder() / BINDING}: pip uninstall amdsmi from this environment"
