"""What our client costs and how truly it sees, beside the C limit and other load generators, on one machine.

The server is loadgen/mock.c, on a core of its own; it knows when it sent what. Each contestant runs on another core,
whatever it is made of. One that used over 95 % of it is saturated: what it then reports is its own queue.

    python scripts/benchmarks/client_peers.py -o FILE.json [--rounds 3] [--only SCENE,CONTESTANT] [--skip ...]

Needs Linux, cc, taskset, and two cores that nothing else uses. Peers are found by loadgen/peers, which fetches them;
one that can't be had is named, and left out. Several calls with the same -o add up: medians are over all rounds in
the file.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loadgen.contestants import Contestant, contestants
from loadgen.figures import goals, table
from loadgen.scenes import SCENES
from loadgen.trial import Cores, run

HERE = Path(__file__).parent / "loadgen"


def main() -> None:
    """Run what is asked for, add it to the file, print the table of all that is in it."""
    asked = _asked()
    places = dict(line.split("\t") for line in _peers(asked.peers).splitlines())
    cores = _cores(asked.client_cores)
    kept: list[dict[str, Any]] = json.loads(asked.output.read_text())["runs"] if asked.output.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        tools = Path(folder)
        for name in ("mock", "limit"):
            subprocess.run(["cc", "-O2", "-o", tools / name, HERE / f"{name}.c"], check=True)
        for scene, name, contestant in _programme(asked, contestants(tools, places), cores):
            row = run(tools / "mock", SCENES[scene], contestant, cores)
            kept.append({"scene": scene, "contestant": name, **row})
            print(f"{scene} {name}: {_brief(row)}", file=sys.stderr, flush=True)
            asked.output.write_text(json.dumps({"machine": _machine(cores), "runs": kept}, indent=1) + "\n")
    print(table(kept), goals(kept), sep="\n\n")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=_words, default=set(), help="scenes and contestants, by comma")
    parser.add_argument("--skip", type=_words, default=set(), help="scenes and contestants, by comma")
    parser.add_argument("--client-cores", type=int, default=1, help="cores for the client")
    parser.add_argument("--peers", type=Path, help="a file as loadgen/peers prints it, in its place")
    return parser.parse_args()


def _words(text: str) -> set[str]:
    return set(filter(None, text.split(",")))


def _peers(given: Path | None) -> str:
    if given is not None:
        return given.read_text()
    return subprocess.run([HERE / "peers"], stdout=subprocess.PIPE, text=True, check=True).stdout


def _cores(client: int) -> Cores:
    """The first for the server, the last for the client, and this process out of the way where there are more."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 1 + client:
        raise SystemExit(f"client_peers.py: needs {1 + client} cores, may use {len(allowed)}")
    left = allowed[1:-client]
    os.sched_setaffinity(0, {left[0] if left else allowed[0]})
    return Cores((allowed[0],), tuple(allowed[-client:]), tuple(left))


def _programme(
    asked: argparse.Namespace, known: dict[str, Contestant], cores: Cores
) -> Iterator[tuple[str, str, Contestant]]:
    """What runs, in turn, so that whatever drifts on the machine drifts for all of them."""
    for _ in range(asked.rounds):
        for scene_name, scene in SCENES.items():
            for name, contestant in known.items():
                if _wanted(asked, scene_name, name) and contestant.fits(scene) and cores.suffice(scene):
                    yield scene_name, name, contestant


def _wanted(asked: argparse.Namespace, scene: str, name: str) -> bool:
    only: set[str] = asked.only
    asks_scene, asks_name = only & SCENES.keys(), only - SCENES.keys()
    chosen = (not asks_scene or scene in asks_scene) and (not asks_name or name in asks_name)
    return chosen and not asked.skip & {scene, name}


def _brief(row: dict[str, Any]) -> str:
    return row.get("failed") or f"{row['us_per_chunk']:.2f} us/chunk, {row['busy']:.0%} busy"


def _machine(cores: Cores) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    keys = {"server_cores": cores.server, "client_cores": cores.client}
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg(), **keys}


if __name__ == "__main__":
    main()
