"""The shape of the project: which way imports point, and that its documents point at things that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

HARNESS = (
    {"errors", "units", "stats", "front", "paths", "cli_arguments", "sigterm"},
    {"spec", "records", "samplefile", "folder_lock", "trace", "atomic_files"},
    {"metrics", "engines", "corpus", "prompts", "arrivals", "launch", "emulator", "power"},
    {"config", "rundir", "provenance", "checks", "server"},
    {
        "accuracy",
        "ladder",
        "load",
        "metering",
        "server_note",
        "plan",
        "prefetch",
        "progress",
        "settle",
        "surroundings",
    },
    {"one_launch", "scoring", "status", "sweep", "virtual", "emulator_clock", "doctor"},
    {"slurm"},
    {"cli"},
)
ANALYSIS = (
    {"importers", "topology"},
    {"rows"},
    {"pairs", "facts", "rates"},
    {"pairing", "diff", "evidence", "curve", "recorded"},
    {"spread", "contrast"},
    {"targets", "understand", "flags", "power"},
    {"comparison", "choices", "compare"},
    {"prose", "tables", "plots", "published"},
    {"report", "answer"},
)
SEEN_BY_ANALYSIS = {
    "records",
    "metrics",
    "spec",
    "units",
    "errors",
    "stats",
    "front",
    "config",
    "rundir",
    "atomic_files",
    "checks",
}
THE_CLI_ALONE_KNOWS_BOTH = {"harness/cli.py"}
ENTRY_OF_ITS_OWN_PROCESS = {
    "harness/emulator/server.py",
    "harness/emulator/__main__.py",
    "harness/emulator/command.py",
}


def floor(package: str, room: str) -> int:
    floors = {"harness": HARNESS, "analysis": ANALYSIS}[package]
    found = [number for number, rooms in enumerate(floors) if room in rooms]
    assert found, f"{package}/{room} stands on no floor: add it to the plan"
    return found[0]


def room_of(path: Path) -> tuple[str, str]:
    package, first, *_ = path.relative_to(ROOT).parts
    return package, Path(first).stem


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module in {"harness", "analysis"}:
                yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)
            else:
                yield node.lineno, node.module or ""
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)


def modules() -> list[Path]:
    return sorted(
        path
        for package in ("harness", "analysis")
        for path in (ROOT / package).rglob("*.py")
        if room_of(path)[1] != "__init__" or len(path.relative_to(ROOT).parts) > 2
    )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    name = str(path.relative_to(ROOT))
    package, room = room_of(path)
    for line, module in imports(path):
        target, _, rest = module.partition(".")
        if target not in {"harness", "analysis"} or name in THE_CLI_ALONE_KNOWS_BOTH | ENTRY_OF_ITS_OWN_PROCESS:
            continue
        other = rest.partition(".")[0]
        if package == "analysis" and target == "harness":
            assert other in SEEN_BY_ANALYSIS, f"{name}:{line}: analysis must not know harness.{other}"
            continue
        assert target == package, f"{name}:{line}: harness imports nothing of analysis"
        if other != room:
            assert floor(package, other) <= floor(package, room), f"{name}:{line}: {module} lies above"


def rooms_that_import(*libraries: str) -> set[str]:
    return {
        ".".join(room_of(path))
        for path in modules()
        for _, module in imports(path)
        if module.partition(".")[0] in libraries
    }


def test_only_config_knows_yaml():
    assert {"harness.config"} == rooms_that_import("yaml")


def test_only_what_speaks_to_a_terminal_knows_rich():
    assert {"harness.progress", "harness.doctor"} == rooms_that_import("rich")


def test_engines_are_never_imported():
    assert set() == rooms_that_import("vllm", "sglang")


def documents() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.md") if not {".venv", "node_modules"} & set(p.relative_to(ROOT).parts))


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("mailto:"):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"
