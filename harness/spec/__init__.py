"""What is asked for: the nouns of a sweep, as frozen values. No files, no clocks, no sockets.

A `Sweep` is one YAML file with every name resolved. `expand` turns it into `Point`s, in the order in which they are
measured. Everything here is hashable, validated on construction and dumps to plain data that validates again.
"""

from harness.spec.arrivals import Arrivals, Trace
from harness.spec.base import Spec
from harness.spec.cluster import AnswerJob, Cluster, Container, GpuNodes
from harness.spec.evaluation import Evaluation
from harness.spec.facts import Acceptance, Gpu, Model, Prices, Sampling, Vendor, Workload
from harness.spec.load import Load
from harness.spec.run import SOUNDS_SECRET, EngineSpec, Mtp, Parallel, Point, Run, ServerSettings
from harness.spec.sweep import ClientKind, Ladder, Sweep, WindowSpec, expand

__all__ = [
    "SOUNDS_SECRET",
    "Acceptance",
    "AnswerJob",
    "Arrivals",
    "ClientKind",
    "Cluster",
    "Container",
    "EngineSpec",
    "Evaluation",
    "Gpu",
    "GpuNodes",
    "Ladder",
    "Load",
    "Model",
    "Mtp",
    "Parallel",
    "Point",
    "Prices",
    "Run",
    "Sampling",
    "ServerSettings",
    "Spec",
    "Sweep",
    "Trace",
    "Vendor",
    "WindowSpec",
    "Workload",
    "expand",
]
