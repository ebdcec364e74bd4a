"""What goes around a server's command: a container, a step of a cluster's job."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from harness.engines import Nodes


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """A server's own command on one node; `env` is what that node alone is given."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


Wrap = Callable[[Sequence[NodeCommand], Collection[str]], Sequence[str]]
"""A server's commands, one for each of its nodes, and the names of the variables that they must see, to the command
that is started in their place."""


def bare(inner: Sequence[NodeCommand], names: Collection[str]) -> Sequence[str]:
    """Nothing goes around it, and there is one node."""
    del names
    [only] = inner
    return only.argv


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """How a server is started where its bare command would not do.

    Attributes:
        wrap: makes the command that holds the server's own.
        nodes: the machines that the server is spread over; None for one.
        env: variables that are added.
        ask_to_end: asks the server to end, where a signal to the command would not reach it; None where it does.
        hidden: text of the command that is new with each launch, and what stands for it in files.
        processes_hidden: the server's processes may be invisible to this process.
    """

    wrap: Wrap = bare
    nodes: Nodes | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    ask_to_end: Callable[[], Awaitable[None]] | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    processes_hidden: bool = False
