"""Build a libamd_smi.so that the installed `amdsmi` loads, as ROCm would have installed it.

    python build.py FOLDER [--without SYMBOL]    then set ROCM_PATH=FOLDER

The binding binds every symbol at import (184 of them in version 7.0.2), so a library of nothing but stubs goes first:
with it the binding can be imported and asked for its layouts, from which the fake is then compiled.
"""

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("amdsmi.c")
LAYOUTS = {
    "version": ("amdsmi_version_t", "major minor release build"),
    "enumeration": ("amdsmi_enumeration_info_t", "hip_id hip_uuid"),
    "kfd": ("amdsmi_kfd_info_t", "node_id current_partition_id"),
    "asic": ("amdsmi_asic_info_t", "market_name asic_serial oam_id"),
    "vbios": ("amdsmi_vbios_info_t", "version"),
    "driver": ("amdsmi_driver_info_t", "driver_version driver_name"),
    "cap": ("amdsmi_power_cap_info_t", "power_cap default_power_cap max_power_cap"),
    "process": ("amdsmi_proc_info_t", "pid"),
    "metrics": (
        "amdsmi_gpu_metrics_t",
        "current_socket_power average_socket_power energy_accumulator temperature_hotspot temperature_mem "
        "current_gfxclk current_uclk accumulation_counter ppt_residency_acc socket_thm_residency_acc "
        "prochot_residency_acc vr_thm_residency_acc hbm_thm_residency_acc",
    ),
}


def build(folder: Path, without: str | None = None) -> Path:
    """The library below `folder`, which then looks like ROCm's own."""
    library = folder / "lib/libamd_smi.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    wrapper = (package() / "amdsmi_wrapper.py").read_text()
    needed = sorted(set(re.findall(r"_libraries\['libamd_smi\.so'\]\.(\w+)", wrapper)))
    written = set(re.findall(r"^API int (\w+)\(", SOURCE.read_text(), re.MULTILINE))
    with tempfile.TemporaryDirectory() as work:
        compile_(library, [stubs(Path(work), needed)], work)
        (Path(work) / "layout.h").write_text(layouts(folder))
        rest = [name for name in needed if name not in written and name != without]
        compile_(library, [SOURCE, stubs(Path(work), rest)], work)
    (folder / ".info").mkdir(exist_ok=True)
    (folder / ".info/version").write_text(f"{importlib.metadata.version('amdsmi')}-56\n")
    return library


def package() -> Path:
    """Where the binding lies; found without importing it."""
    found = importlib.util.find_spec("amdsmi")
    assert found is not None, "pip install amdsmi"
    assert found.origin is not None
    return Path(found.origin).parent


def stubs(work: Path, names: list[str]) -> Path:
    """C of functions that say NOT_SUPPORTED."""
    source = work / "stubs.c"
    source.write_text("".join(f"int {name}(void) {{ return 2; }}\n" for name in names))
    return source


def compile_(library: Path, sources: list[Path], work: str) -> None:
    """With the system's C compiler."""
    library.unlink(missing_ok=True)  # this process may hold the old one
    options = ["-O2", "-Wall", "-fPIC", "-shared", "-Wl,-soname,libamd_smi.so", f"-I{work}"]
    subprocess.run(["cc", *options, "-o", library, *sources, "-lm"], check=True)


def layouts(folder: Path) -> str:
    """Sizes and offsets as the binding has them, as C."""
    os.environ["ROCM_PATH"] = os.environ["ROCM_HOME"] = str(folder)
    wrapper = importlib.import_module("amdsmi.amdsmi_wrapper")
    lines = []
    for short, (name, fields) in LAYOUTS.items():
        structure = getattr(wrapper, name)
        lines.append(f"#define SIZE_{short} {ctypes.sizeof(structure)}")
        lines += [f"#define OFF_{short}_{field} {getattr(structure, field).offset}" for field in fields.split()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(build(Path(sys.argv[1]), without=sys.argv[3] if sys.argv[2:3] == ["--without"] else None))
