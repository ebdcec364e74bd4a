"""What goes around a server's command: a container, a step of a cluster's job."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

Around = Callable[[Sequence[str], Collection[str]], Sequence[str]]
"""A command, and the names of the variables that it must see, to the command that is started in its place."""


def bare(argv: Sequence[str], names: Collection[str]) -> Sequence[str]:
    """Nothing goes around it."""
    del names
    return argv


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """How a server is started where its bare command would not do.

    Attributes:
        around: the command that holds the server's own.
        env: variables that are added.
        ask_to_end: asks the server to end, where a signal to the command would not reach it; None where it does.
        hidden: text of the command that is new with each launch, and what stands for it in files.
        elsewhere: the server's processes may be out of this process's sight.
    """

    around: Around = bare
    env: Mapping[str, str] = field(default_factory=dict)
    ask_to_end: Callable[[], Awaitable[None]] | None = None
    hidden: Mapping[str, str] = field(default_factory=dict)
    elsewhere: bool = False
