"""Power and energy of the GPUs that serve a Run, measured beside the load and cut to a Window afterwards.

A `Meter` reads a vendor's library: `nvidia`, `amd`, a recorded stream in `replay`. `sampler` holds one in a process of
its own, ten readings of every GPU a second, and writes a `stream`: a header, then a line for each reading. `energy`
makes joules of a stream between any two moments; `validity` says why it must not. A stream that is in doubt voids
the figures of power alone.

A `session` is the metering of one launch: the GPUs that its server takes (`taking`), which must be free (`busy`), and a
sampler at work on each of its nodes (`sampling`). Nodes' clocks are read against the first one's (`clocks`), and their
streams put `together` on it.

The host's CPUs (`rapl`) and the whole node (`node`, a plug-in) are read `beside` the GPUs, each by a process of its own
into a stream of its own.
"""
