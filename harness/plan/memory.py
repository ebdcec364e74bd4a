"""Whether a server fits: what weights and KV cache need against what its GPUs have, in GB (1e9 bytes)."""

from dataclasses import dataclass
from itertools import pairwise

from harness.spec import Run

DEFAULT_FRACTION = 0.9
"""What engines take of a GPU's memory when they are not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of one server, all its GPUs together.

    Attributes:
        weights_gb: once for each data-parallel rank; of a mixture of experts once, since ranks share the experts.
        kv_gb: of all requests that may run at once, each at its full length, at bf16 or, where the engine is told
            so, fp8; state that does not grow with the length is kept once more for every draft token.
        available_gb: GB that the engine may use.
        reason: why one of them is None.
    """

    weights_gb: float | None
    kv_gb: float | None
    available_gb: float
    reason: str | None = None

    @property
    def needed_gb(self) -> float | None:
        """Weights and KV cache; None when either is not known."""
        return None if self.weights_gb is None or self.kv_gb is None else self.weights_gb + self.kv_gb

    @property
    def fits(self) -> bool | None:
        """Whether nothing is preempted for want of memory; None when not known."""
        return None if self.needed_gb is None else self.needed_gb <= self.available_gb


def memory(run: Run) -> Memory:
    """What a Run's server needs, by the facts of its model and GPU."""
    model, settings = run.model, run.settings
    weights = model.weight_gb.get(run.precision)
    kv = model.kv_bytes_per_token and model.kv_bytes_per_token * _kv_share(run)
    state = model.state_bytes_per_request * (1 + run.mtp.draft_tokens)
    missing = [
        *([f"{model.name} has no weight_gb.{run.precision}"] if weights is None else []),
        *([f"{model.name} has no kv_bytes_per_token"] if kv is None else []),
    ]
    return Memory(
        weights_gb=None if weights is None else weights * (1 if model.moe else run.parallel.dp),
        kv_gb=None if kv is None else settings.max_running_requests * (settings.context * kv + state) / 1e9,
        available_gb=run.gpu.memory_gb * run.parallel.gpus * (settings.memory_fraction or DEFAULT_FRACTION),
        reason="; ".join(missing) or None,
    )


def _kv_share(run: Run) -> float:
    """Share of the KV cache's size at bf16, by the option that vLLM and SGLang both call so."""
    words = [word for argument in run.engine.args for word in argument.split("=", 1)]
    return 0.5 if ("--kv-cache-dtype", "fp8") in ((option, value[:3]) for option, value in pairwise(words)) else 1.0
