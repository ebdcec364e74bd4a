"""mtpbench's measuring half: from one YAML file to points on disk.

A `Sweep` (what one file asks for) expands to `Run`s (one server launch each), a Run to `Point`s (one load on one
launch). `server` starts the engine, `load` holds the users' requests in flight and keeps raw samples, `rundir`
saves them before anything is computed, `metrics` scores a Window of them into a `PointResult`: one line of
`points.jsonl`. The package `analysis` reads those lines.

Imports point down only; a module may import those of lower floors, and of its own as long as nothing goes in a circle:

    0  errors          the ways to fail, and their exit codes
       units           conversions, and numbers as text
       stats           intervals and cuts
       front           Pareto fronts and the spline between points
       paths           where the package's data lies
       cli_arguments   what several verbs of the command line take
       sigterm         SIGTERM ends a run as Ctrl-C does
    1  spec            the nouns of a sweep, as frozen values
       records         what is observed: samples, counters, window, row
       samplefile      raw samples on disk
       trace           recorded times of requests
       folder_lock     a lock on a folder
       atomic_files    files that appear whole or not at all
    2  engines         vLLM, SGLang, the emulator: flags, counters, configuration
       launch          a command started, and stopped with all that it started
       emulator        an engine whose true figures are known
       metrics         raw samples -> the numbers of a row
       power           watts and joules of GPUs, beside the load and cut to a window
       corpus          the text that prompts are cut from
       prompts         request number -> token ids
       arrivals        when requests of an open loop are due
    3  config          YAML -> a Sweep, with every fault's place
       rundir          where every file lies
       provenance      where a number comes from
       checks          verdicts on a point
       server          launch, wait, watch, stop
    4  ladder          which points a sweep has
       load            hold the load, stamp every token
       metering        power of one launch
       accuracy        whether answers are right: both arms' beside each other, and to a task of lm-eval
       plan            what a sweep will do
       prefetch        weights, staged
       progress        what a person sees of a run
       server_note     what a server is used for at the moment
       settle          a clean server between two points
       surroundings    nodes and deadlines, where there are any
    5  sweep           measure all of it
       one_launch      the points of one launch, measured
       scoring         raw files -> a row
       virtual         the same in virtual time
       emulator_clock  the emulator's clock, faster than ours
       status          what a folder has, and lacks
       doctor          what this machine lacks
    6  slurm           on a cluster
    7  cli             the verbs
"""
