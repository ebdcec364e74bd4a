"""The loads under which load generators are compared: what the server does, and how many users ask how often."""

from dataclasses import dataclass, replace

NUMBER_BITS = 16  # of a request's number, in the first words of its text; see mock.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One load.

    Attributes:
        gap_us: between two chunks of a stream; 0 is a flood, all chunks at once.
        streams, requests, osl: users, requests of all of them together, tokens of each.
        first_us: from a request's arrival to its first chunk, as mock.c takes it.
        tokens: in each chunk, repeated in turn.
        shared: server and client share both cores instead of having one each.
        rivalled: another process wants the client's core all the time.
        brief: only for clients that start in seconds.
        sharded: only for our client over several processes, with as many cores as these need.
    """

    gap_us: int
    streams: int
    requests: int
    osl: int
    first_us: str = "50000"
    tokens: str = "1"
    shared: bool = False
    rivalled: bool = False
    brief: bool = False
    sharded: bool = False

    @property
    def flood(self) -> bool:
        """Whether everything comes at once."""
        return not self.gap_us


_256 = Scene(gap_us=10_000, streams=256, requests=1024, osl=150)
_1024 = Scene(gap_us=40_000, streams=1024, requests=4096, osl=40)
_FLOOD = Scene(gap_us=0, streams=256, requests=2048, osl=200)

SCENES = {
    "64x10ms": Scene(gap_us=10_000, streams=64, requests=256, osl=150),
    "256x10ms": _256,
    "1024x40ms": _1024,
    "flood": _FLOOD,
    "mtp": Scene(gap_us=10_000, streams=64, requests=256, osl=375, tokens="3,1,4,2"),
    "256x10ms busy": replace(_256, rivalled=True, brief=True),
    "1024x40ms busy": replace(_1024, rivalled=True, brief=True),
    "staggered": Scene(gap_us=10_000, streams=256, requests=2048, osl=50, first_us="50000-150000", brief=True),
    "shared": Scene(gap_us=10_000, streams=256, requests=2048, osl=40, shared=True, brief=True),
    "shards": replace(_FLOOD, sharded=True),
}
