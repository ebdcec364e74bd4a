"""What a sweep in open loop leaves out: its process, the digest of its trace, the rate that this was recorded at."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.config.names import located
from harness.config.text import Faults, Node, Place
from harness.errors import UserError
from harness.paths import expand
from harness.spec import Trace
from harness.trace import SECONDS, BadTrace, digest, own_rate, read_trace

IMPLIED = {"burstiness": "gamma", "trace": "trace"}
"""Keys of `arrivals` that only one process has."""


def open_loop(sweep: Mapping[str, Node], faults: Faults) -> dict[str, Node]:
    """`rate` and `arrivals` of a sweep, written out; nothing for one in closed loop."""
    rate, arrivals = sweep.get("rate"), sweep.get("arrivals")
    if arrivals is None:
        return {} if rate is None else {"arrivals": replace(rate, value=_implied({}, rate), path="arrivals")}
    if isinstance(arrivals.value, str):
        arrivals = replace(arrivals, value={"process": arrivals})
    if not isinstance(arrivals.value, Mapping):
        return {}
    children = _implied(arrivals.value, arrivals)
    recorded = None
    trace = children.get("trace")
    if trace is not None and isinstance(trace.value, Mapping):
        children["trace"], recorded = _trace(trace, trace.value, faults)
    written = {"arrivals": replace(arrivals, value=children)}
    if rate is None and recorded is not None:
        written["rate"] = replace(recorded, path="rate")
    return written


def _implied(children: Mapping[str, Node], at: Node) -> dict[str, Node]:
    process = next((process for key, process in IMPLIED.items() if key in children), "poisson")
    return {"process": replace(at, value=process, text=process), **children}


def _trace(node: Node, given: Mapping[str, Node], faults: Faults) -> tuple[Node, Node | None]:
    """The trace with its place and its digest, and the rate that it was recorded at.

    One with a digest comes of a record and may lie elsewhere by now: it is read, and held to the digest, when its
    requests are sent.
    """
    children = dict(given)
    if "file" in children:
        children["file"] = located(children["file"], faults)
    written = replace(node, value=children)
    names_a_file = "file" in children and isinstance(children["file"].value, str)
    if "digest" in children or not names_a_file:
        return written, None
    times_s = _times_s(children, faults)
    if times_s is None:
        return written, replace(node, value=[], broken=True)
    children["digest"] = replace(node, value=digest(times_s))
    return written, replace(node, value=[replace(node, value=own_rate(times_s))])


def _times_s(trace: Mapping[str, Node], faults: Faults) -> NDArray[np.float64] | None:
    """None, with a fault, where the trace can't be read as asked."""
    unit, field = trace.get("unit"), trace.get("field")
    name = field.value if field is not None else Trace.model_fields["field"].default
    if unit is None or unit.value not in SECONDS or not isinstance(name, str):
        return None  # the check of the fields says so
    try:
        path = Path(expand(str(trace["file"].value)))
        return read_trace(path, name, str(unit.value)) if path.exists() else None
    except BadTrace as error:
        faults.add(Place(path, error.line, error.column), "", error.says)
    except UserError as error:
        faults.at(trace["file"], str(error))
    return None
