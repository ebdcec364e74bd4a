"""What an engine must be able to say; nothing outside `harness/engines` knows a flag or a metric name.

An engine is a pure adapter: it renders command lines, reads what a server answers, and holds no state. Starting and
stopping is `launch` and `server`, sending load is `load`.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.errors import EngineMissing
from harness.paths import expand
from harness.records import Configuration, EngineCounters
from harness.spec import Mtp, Run, Workload

if TYPE_CHECKING:  # a reader of names and prices speaks to no server, and aiohttp takes longer to load than all else
    import aiohttp


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that answers: where it is, how to speak to it.

    Attributes:
        base_url: scheme, host and port, no trailing slash.
        model: the name that it serves the model under; new for each launch, so that a stranger can't answer for it.
        api_key: secret of this launch; never written, never logged.
        pid: leader of the server's process group; None for one that was attached (`engine.endpoint`).
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    pid: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Authorization, where there is a key."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


@dataclass(frozen=True, slots=True)
class Additions:
    """Arguments and environment that one concern adds to a command."""

    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def program(run: Run, name: str) -> str:
    """A program of the Run's engine: the venv's, the image's, or the one on PATH.

    Raises:
        EngineMissing: it is not there.
    """
    engine = run.engine
    if engine.image is not None:
        return name
    if engine.venv is not None:
        path = Path(expand(engine.venv)) / "bin" / name
        if not path.exists():
            raise EngineMissing(
                f"engine.venv: {path} is not there: install {engine.name} into it, or name another venv"
            )
        return str(path)
    found = shutil.which(name)
    if found is None:
        raise EngineMissing(f"engine: no {name} on PATH: activate its environment, or give engine.venv")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The machines of one server; the first of them answers its requests.

    Attributes:
        addresses: by which they know each other, in the order of their ranks.
        port: free on the first one, for the ranks to meet at.
        interface: network interface of the traffic between them; None leaves it to the libraries.
    """

    addresses: tuple[str, ...]
    port: int
    interface: str | None = None

    @property
    def count(self) -> int:
        """How many."""
        return len(self.addresses)

    def interface_env(self) -> dict[str, str]:
        """What tells the libraries for collectives which interface to use."""
        names = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")
        return {} if self.interface is None else dict.fromkeys(names, self.interface)


class Engine(Protocol):
    """One kind of server. `mtp_args` and `derived_args` are the only places where arms may differ."""

    name: str

    def executable(self, run: Run) -> tuple[str, ...]:
        """First words of the command, for the venv or image that the Run names.

        Raises:
            EngineMissing: it is not there.
        """
        ...

    def common_args(self, run: Run, *, host: str, port: int, served_name: str) -> Additions:
        """Everything that both arms share; a function of `run.baseline` alone."""
        ...

    def mtp_args(self, mtp: Mtp) -> Additions:
        """What turns speculation on, and forces its acceptance where asked; empty for Off."""
        ...

    def derived_args(self, run: Run) -> Additions:
        """What must follow from the draft length so that both arms mean the same in requests (graph sizes)."""
        ...

    def node_args(self, run: Run, nodes: Nodes, rank: int) -> Additions:
        """What one of several nodes is started with besides; the same for both arms.

        Raises:
            UserError: the engine can't spread the Run so.
        """
        ...

    def key_env(self, api_key: str) -> Mapping[str, str]:
        """Environment that gives the server its API key, so that it never stands in a command line."""
        ...

    def stamps(self, run: Run) -> tuple[str, ...]:
        """Stamps that every row of this Run must carry."""
        ...

    async def version(self, http: "aiohttp.ClientSession", endpoint: Endpoint) -> str:
        """The engine's version as the server reports it."""
        ...

    async def configuration(self, http: "aiohttp.ClientSession", endpoint: Endpoint, run: Run) -> Configuration:
        """The effective configuration as the server reports it, in the four classes."""
        ...

    async def counters(self, http: "aiohttp.ClientSession", endpoint: Endpoint) -> EngineCounters:
        """One reading of the server's counters."""
        ...

    async def tokenize(self, http: "aiohttp.ClientSession", endpoint: Endpoint, text: str, *, chat: bool) -> list[int]:
        """Token ids of `text`, or of one user turn holding it in the model's chat template."""
        ...

    async def reset_prefix_cache(self, http: "aiohttp.ClientSession", endpoint: Endpoint) -> bool:
        """Empty the prefix cache; False when the server has no way to."""
        ...

    def request_path(self) -> str:
        """Path that streaming completions are posted to."""
        ...

    def request_body(
        self, endpoint: Endpoint, prompt: Sequence[int], osl: int, workload: Workload
    ) -> dict[str, object]:
        """One streaming completion of exactly `osl` tokens, with cumulative usage in every chunk.

        Its length is held by `ignore_eos` and `max_tokens` alone; all of the workload's sampling is spelled out.
        """
        ...
