"""One emulator server, as its command line asks for it, and as it describes itself."""

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from harness.emulator.acceptance import Speculation
from harness.emulator.faults import Fault
from harness.emulator.profile import Limits, Profile
from harness.emulator.toy_tokenizer import EOS

VERSION: Final = version("mtpbench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is started with.

    Attributes:
        model, precision, parallel, max_graph_requests: reported, acted on by nothing: a profile is of a whole server.
        speculation: as asked for; a fault may do something else.
        eos: token id that ends a text.
        speed: virtual seconds in a real one.
        send_log: file for the true send times; None keeps none.
    """

    host: str
    port: int
    served_model_name: str
    model: str
    precision: str
    parallel: dict[str, int]
    max_graph_requests: int | None
    profile: Profile
    limits: Limits
    speculation: Speculation
    eos: int = EOS
    seed: int = 0
    speed: float = 1.0
    send_log: Path | None = None
    faults: tuple[Fault, ...] = ()
    api_key: str | None = field(default=None, repr=False)

    def described(self) -> dict[str, object]:
        """What `/server_info` says; no name, port or key."""
        return {
            "engine_version": VERSION,
            "model": self.model,
            "precision": self.precision,
            **self.parallel,
            "profile": self.profile.model_dump(),
            "max_running_requests": self.limits.max_running_requests,
            "max_graph_requests": self.max_graph_requests,
            "chunked_prefill_tokens": self.limits.chunked_prefill_tokens,
            "context": self.limits.context,
            "kv_tokens": self.limits.pool,
            "draft_tokens": self.speculation.draft_tokens,
            "acceptance_length": round(self.speculation.acceptance_length, 6),
            "seed": self.seed,
            "speed": self.speed,
            "faults": [fault.name for fault in self.faults],
        }
