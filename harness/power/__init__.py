"""Power and energy of the GPUs that serve a Run, measured beside the load and cut to a Window afterwards.

A meter reads a vendor's library. A sampler holds one in a process of its own, ten readings of every GPU a second, and
writes a stream: a header, then a line for each reading. A stream that is in doubt voids the figures of power alone. The
host's CPUs and the whole node are read beside the GPUs, each by a process of its own into a stream of its own.

What stands where:

    meter            what every power library is made to look like
    nvidia           NVIDIA's GPUs by NVML
    amd              AMD's GPUs by amdsmi
    amd_library      finding ROCm's amdsmi and starting it
    amd_sockets      handles of partitions to sockets, in HIP's order
    rapl             the host's CPU packages by the kernel's counters
    node             the whole node by a plug-in
    replay           a recorded stream, read again
    meters           the table of meters by name
    visible          the GPUs that a process sees with an environment

    stream           the file of readings: written, read, cut
    records          what a point keeps of its metering beside the readings
    codes            what can be wrong with a stream, and what to do

    sampler          the process that reads a meter at fixed times
    sampler_process  starting, watching and ending a sampler, here or on another node
    probe            a few seconds of a vendor's GPUs, for the doctor
    live             what GPUs draw just now, for eyes

    occupancy        whether GPUs are free for a server
    usage            which GPUs a server really uses, and who else does
    server_gpus      the GPUs that a server takes on each of its nodes
    session          the metering of one launch

    clocks           how far other nodes' clocks are ahead of the first one's
    clock_reporter   the process on another node that reports its clock
    merge            streams of several nodes as one, on the first one's clock

    energy           joules of a stream between any two moments
    validity         why a stream must not be used
    point_power      figures and findings of a point's GPUs
    host_and_node    mean power of the host and of the node over a point
"""
