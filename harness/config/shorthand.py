"""What a sweep file may leave out or write short, written out in full. Works on trees; judges nothing.

`mtp: off`, `acceptance: golden`, `concurrency: 8`, `rate: 2`, `arrivals: poisson`, `engine: vllm`, and runs that say
only where they differ.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.config.arrivals import open_loop
from harness.config.names import FOLDERS, child, located, named, nearest_or_all, with_name
from harness.config.text import Faults, Node, scalar
from harness.engines import ENGINES
from harness.spec.sweep import OVERSHOOT_TOKENS

INHERITED = ("model", "revision", "gpu", "precision", "engine")
PARALLEL = ("tp", "pp", "ep", "dp")
SETTINGS = ("max_running_requests", "max_graph_requests", "chunked_prefill_tokens", "memory_fraction")


def written_out(root: Node, faults: Faults) -> Node:
    """A sweep's tree with every name resolved and every shorthand replaced."""
    children = _resolved(with_name(root, root.place.file.stem), faults)
    for key in {"acceptance", "mtp", "concurrency", "rate"} & children.keys():
        children[key] = _listed(children[key])
    children |= open_loop(children, faults)
    draft_tokens = _of_model(children)
    if isinstance(children.get("runs", root).value, list):
        children["runs"] = _runs(children, draft_tokens, faults)
        children.setdefault("mtp", _arms_of(children["runs"]))
    if "mtp" in children:
        children["mtp"] = _each(children["mtp"], lambda arm: _arm(arm, draft_tokens))
    return replace(root, value=children)


def _resolved(root: Node, faults: Faults) -> dict[str, Node]:
    """The children of a sweep or of a run, with their names resolved."""
    children = dict(root.value) if isinstance(root.value, Mapping) else {}
    for kind in FOLDERS.keys() & children.keys():
        children[kind] = named(kind, children[kind], faults)
    if "engine" in children:
        children["engine"] = _engine(children["engine"], faults)
    if "accuracy" in children:
        children["accuracy"] = _accuracy(children["accuracy"], faults)
    return children


def _accuracy(node: Node, faults: Faults) -> Node:
    """`accuracy: gsm8k`, and where its files lie."""
    if isinstance(node.value, str):
        node = replace(node, value={"task": node})
    if not isinstance(node.value, Mapping):
        return node
    children = dict(node.value)
    if "venv" in children:
        children["venv"] = located(children["venv"], faults, must_exist=False)
    task = children.get("task")
    if task and isinstance(task.value, str) and task.value.endswith(".yaml"):
        children["task"] = located(task, faults)
    return replace(node, value=children)


def _engine(node: Node, faults: Faults) -> Node:
    if isinstance(node.value, str):
        node = replace(node, value={"name": node})
    if not isinstance(node.value, Mapping):
        return node
    children = dict(node.value)
    name = children.get("name")
    if name and isinstance(name.value, str) and name.value not in ENGINES:
        faults.at(name, f"'{name.value}' is not known{nearest_or_all(name.value, ENGINES)}")
    if "venv" in children:
        children["venv"] = located(children["venv"], faults, must_exist=False)
    return replace(node, value=children)


def _listed(node: Node) -> Node:
    """A lone scalar as a list of one."""
    lone = not node.broken and node.value is not None and not isinstance(node.value, Mapping | list)
    return replace(node, value=[node]) if lone else node


def _each(node: Node, change: Callable[[Node], Node]) -> Node:
    return replace(node, value=[change(item) for item in node.value]) if isinstance(node.value, list) else node


def _of_model(children: Mapping[str, Node]) -> int:
    """What `mtp: on` means; 1 where the model does not say."""
    given = child(children["model"], "draft_tokens") if "model" in children else None
    return given.value if given and type(given.value) is int else 1


def _arm(node: Node, draft_tokens: int) -> Node:
    """`off` and `on`, quoted or not, as draft tokens."""
    value = scalar(node.value) if isinstance(node.value, str) else node.value
    return replace(node, value=draft_tokens if value else 0) if isinstance(value, bool) else node


def _runs(sweep: Mapping[str, Node], draft_tokens: int, faults: Faults) -> Node:
    """Each run with what it does not say taken from the sweep."""
    inherited = {key: sweep[key] for key in INHERITED if key in sweep}
    parallel = {key: sweep[key] for key in PARALLEL if key in sweep}
    settings = {key: sweep[key] for key in SETTINGS if key in sweep} | {"context": _context(sweep)}

    def whole(run: Node) -> Node:
        if not isinstance(run.value, Mapping):
            return run
        children = inherited | _resolved(run, faults)
        children["parallel"] = _over(parallel, children.get("parallel", replace(run, value={})))
        children["settings"] = _over(settings, children.get("settings", replace(run, value={})))
        if "mtp" in children:
            children["mtp"] = _run_arm(children["mtp"], draft_tokens)
        return replace(run, value=children)

    return _each(sweep["runs"], whole)


def _over(defaults: Mapping[str, Node], node: Node) -> Node:
    return replace(node, value={**defaults, **node.value}) if isinstance(node.value, Mapping) else node


def _run_arm(node: Node, draft_tokens: int) -> Node:
    if isinstance(node.value, Mapping) or node.broken:
        return node
    return replace(node, value={"draft_tokens": _arm(node, draft_tokens)})


def _arms_of(runs: Node) -> Node:
    """The `mtp` of a sweep whose runs say theirs."""
    arms = [child(run, "mtp") for run in runs.value] if isinstance(runs.value, list) else []
    draft_tokens = [child(arm, "draft_tokens") for arm in arms if arm]
    distinct = {node.value: node for node in draft_tokens if node and type(node.value) is int}
    return replace(runs, value=list(distinct.values()), path="mtp")


def _context(sweep: Mapping[str, Node]) -> Node:
    """Tokens that the workload needs; 1 where it does not say, which is a fault of its own."""
    workload = sweep.get("workload")
    lengths = [child(workload, key) for key in ("isl", "osl")] if workload else []
    numbers = [node.value for node in lengths if node and type(node.value) is int]
    return Node(sum(numbers) + OVERSHOOT_TOKENS if len(numbers) == 2 else 1, sweep["runs"].place, "runs")
