"""Streams of several nodes merged on the clock of the first: what is summed over GPUs is of the same moments."""

from pathlib import Path

import msgspec
import numpy as np

from harness.power.records import OtherNode
from harness.power.stream import Stream, read_stream


def path_of_node(path: Path, rank: int) -> Path:
    """Where a node's part of a stream lies, beside the first one's."""
    return path if not rank else path.with_name(f"{path.stem}-{rank}{path.suffix}")


def read_merged(path: Path, nodes: tuple[OtherNode, ...]) -> Stream | None:
    """The streams of all nodes as one; None where there is none of the first.

    Args:
        path: that of the first.
        nodes: the others, by rank.
    """
    if not path.exists():
        return None
    parts = [read_stream(path)]
    for rank, node in enumerate(nodes, start=1):
        if (file := path_of_node(path, rank)).exists():  # its GPUs are missed by name otherwise
            parts.append(on_first_nodes_clock(read_stream(file), node))
    return parts[0] if len(parts) == 1 else _merged(parts)


def on_first_nodes_clock(stream: Stream, node: OtherNode) -> Stream:
    """A node's stream with times of the first node; as it is where its clock was never read."""
    if not node.ticks:
        return stream
    theirs_ns = np.array([tick.at_ns + tick.ahead_ns for tick in node.ticks], np.int64)
    base_ns, ahead_ns = int(theirs_ns[0]), np.array([tick.ahead_ns for tick in node.ticks], np.int64)
    at_ns = np.array([sample.t_ns for sample in stream.samples], np.int64) - base_ns
    # Differences alone go through floats: a clock that has run for months has more digits than those hold.
    moved_ns = np.interp(at_ns, theirs_ns - base_ns, ahead_ns - ahead_ns[0])
    ours_ns = at_ns + base_ns - int(ahead_ns[0]) - np.rint(moved_ns).astype(np.int64)
    samples = tuple(
        msgspec.structs.replace(sample, t_ns=t_ns)
        for sample, t_ns in zip(stream.samples, ours_ns.tolist(), strict=True)
    )
    return Stream(header=stream.header, samples=samples, damaged=stream.damaged)


def _merged(parts: list[Stream]) -> Stream:
    headers = [part.header for part in parts if part.header is not None]
    devices = tuple(device for header in headers for device in header.devices)
    return Stream(
        header=msgspec.structs.replace(headers[0], devices=devices) if len(headers) == len(parts) else None,
        samples=tuple(sample for part in parts for sample in part.samples),
        damaged=sum(part.damaged for part in parts),
    )
