"""YAML files to what they ask for, and back: the door through which every fact and every wish comes in.

`load` reads a sweep with all the files that it names and says every fault in all of them at once, each as
`file:line:column: path: what, got ...; what to do`. It starts nothing.

    text        YAML to a tree with places; the only importer of yaml
    names       names to files, written paths to real ones
    shorthand   what a sweep leaves out or writes short
    faults      a tree to a validated value, or its faults
    engine      what the sweep's engine refuses to start with
"""

from pathlib import Path

from harness.config.engine import add_refusals
from harness.config.faults import S, validated
from harness.config.names import FOLDERS, from_file, known, named, nearest_or_all
from harness.config.shorthand import written_out
from harness.config.text import Faults, Node, Place, read, write
from harness.engines import ENGINES
from harness.errors import ConfigError, UserError
from harness.paths import packaged_configs
from harness.spec import Cluster, EngineSpec, Gpu, Model, Sweep

__all__ = [
    "dump",
    "known",
    "load",
    "load_cluster",
    "load_file",
    "load_gpu",
    "load_gpus",
    "load_model",
    "packaged_configs",
]


def load(path: Path, *, engine: str | None = None) -> Sweep:
    """What a sweep file asks for, every name in it resolved.

    Args:
        path: the file; a bare name is one of the package's own sweeps.
        engine: run this engine instead, without the file's arguments for its own.

    Raises:
        ConfigError: every fault in all files involved.
        UserError: there is no engine of that name.
    """
    if engine is not None and engine not in ENGINES:
        raise UserError(f"engine '{engine}' is not known; there are {', '.join(ENGINES)}")
    faults = Faults()
    root = read(_sweep_file(path), faults)
    if root is None:
        raise faults.error()
    if not isinstance(root.value, dict):
        faults.at(root, "must be a mapping of a sweep's keys")
        raise faults.error()
    tree = written_out(root, faults)
    sweep = validated(Sweep, tree, faults)
    if engine is not None:
        return _with_engine(sweep, engine)
    add_refusals(sweep, tree, faults)
    if faults:
        raise faults.error()
    return sweep


def dump(sweep: Sweep) -> str:
    """YAML that `load` takes back to an equal Sweep: everything inline, every default and null spelled out."""
    return write(sweep.model_dump(mode="json", by_alias=True))


def load_model(name: str) -> Model:
    """A model of the package, by name.

    Raises:
        ConfigError: there is none, or its file is wrong.
    """
    return _packaged("model", name, Model)


def load_gpu(name: str) -> Gpu:
    """A GPU of the package, by name.

    Raises:
        ConfigError: there is none, or its file is wrong.
    """
    return _packaged("gpu", name, Gpu)


def load_gpus() -> dict[str, Gpu]:
    """All GPUs of the package, by name."""
    return {name: load_gpu(name) for name in known("gpu")}


def load_cluster(name: str, sweep: Path) -> Cluster:
    """A cluster by its file's path, or by its name: beside the sweep's file (`../clusters/`), then in the package.

    Raises:
        ConfigError: there is none, or its file is wrong.
    """
    if "/" in name or name.endswith(".yaml"):
        return load_file(Path(name), Cluster)
    faults = Faults()
    return validated(Cluster, named("cluster", Node(name, Place(sweep), "--cluster", name), faults), faults)


def load_file(file: Path, spec: type[S]) -> S:
    """One thing of any kind from the file that holds it, named by the file's stem.

    Raises:
        ConfigError: every fault in it.
    """
    faults = Faults()
    return validated(spec, from_file(spec.__name__.lower(), file, faults), faults)


def _packaged(kind: str, name: str, spec: type[S]) -> S:
    if name not in known(kind):
        raise ConfigError(f"{kind} '{name}' has no file{nearest_or_all(name, known(kind))}")
    return load_file(packaged_configs() / FOLDERS[kind] / f"{name}.yaml", spec)


def _sweep_file(path: Path) -> Path:
    packaged = packaged_configs() / "sweeps" / f"{path}.yaml"
    return packaged if path.name == str(path) and not path.exists() and packaged.is_file() else path


def _with_engine(sweep: Sweep, name: str) -> Sweep:
    """The sweep on another engine; the file's own engine is kept where it is that already."""

    def other(engine: EngineSpec) -> EngineSpec:
        return engine if engine.name == name else EngineSpec(name=name)

    runs = tuple(run.model_copy(update={"engine": other(run.engine)}) for run in sweep.runs)
    return sweep.model_copy(update={"engine": other(sweep.engine), "runs": runs})
