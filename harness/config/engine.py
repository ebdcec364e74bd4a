"""What an engine refuses before it is started: arguments that the harness gives itself, sizes that don't fit.

Engines are asked for their command lines and for nothing else; a path that can't be filled in here is no fault of the
file, since it may be set where the sweep runs.
"""

from collections.abc import Callable, Iterator

from harness.config.names import child
from harness.config.text import Faults, Node
from harness.engines import Additions, engine_named
from harness.errors import UserError
from harness.spec import Run, Sweep


def add_refusals(sweep: Sweep, root: Node, faults: Faults) -> None:
    """Add a fault for whatever an engine will not take, at the key that its message begins with."""
    for run in sweep.all_runs():
        for message in _refusals(run):
            path, _, says = message.partition(": ")
            node = _at(root, path)
            if node is not None:
                faults.at(node, says)


def _refusals(run: Run) -> Iterator[str]:
    engine = engine_named(run.engine.name)
    questions: tuple[Callable[[], Additions], ...] = (
        lambda: engine.common_args(run, host="127.0.0.1", port=1, served_name="x"),
        lambda: engine.mtp_args(run.mtp),
        lambda: engine.derived_args(run),
    )
    for question in questions:
        try:
            question()
        except UserError as e:
            yield str(e)


def _at(root: Node, path: str) -> Node | None:
    """The value at a dotted path; None when it leads nowhere in the file."""
    node: Node | None = root
    for key in path.split("."):
        node = child(node, key) if node is not None else None
    return node
