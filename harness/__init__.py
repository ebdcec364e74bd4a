"""mtpbench's measuring half: from one YAML file to points on disk.

A `Sweep` (what one file asks for) expands to `Run`s (one server launch each), a Run to `Point`s (one load on one
launch). `server` starts the engine, `load` holds the users' requests in flight and keeps raw samples, `rundir`
saves them before anything is computed, `metrics` scores a Window of them into a `PointResult`: one line of
`points.jsonl`. The package `analysis` reads those lines.

Imports point down only; a module may import those of lower floors, and of its own as long as nothing goes in a circle:

    0  errors units stats front paths arguments termination
    1  spec records samplefile hold trace whole
    2  metrics engines corpus prompts arrivals launch emulator power
    3  config rundir provenance checks server
    4  answers evaluation ladder load metering now plan prefetch progress settle surroundings
    5  dilation scoring status sweep virtual doctor
    6  slurm
    7  cli
"""
