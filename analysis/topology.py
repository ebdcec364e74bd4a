"""How the GPUs of a deployment are used, and what that is called."""

import msgspec


class Topology(msgspec.Struct, frozen=True, order=True):
    """How a deployment's GPUs are used; equal topologies differ in nothing that a row can tell.

    Attributes:
        prefill: GPUs that only prefill, and how they are used; 0 and "" for a server that does both.
    """

    gpus: int
    tp: int
    pp: int
    ep: int
    dp: int
    dp_attention: bool = False
    prefill_gpus: int = 0
    prefill: str = ""

    @property
    def label(self) -> str:
        """`tp8`, `tp8-ep8`, `16p+8d-tp8-dpa`."""
        sizes = {"pp": self.pp, "ep": self.ep, "dp": self.dp}
        parts = [f"tp{self.tp}", *(f"{name}{size}" for name, size in sizes.items() if size != 1)]
        parts += ["dpa"] if self.dp_attention else []
        if not self.prefill_gpus:
            return "-".join(parts)
        split = f"{self.prefill_gpus}p+{self.gpus - self.prefill_gpus}d"
        return "-".join([split, *parts, *([self.prefill] if self.prefill else [])])
