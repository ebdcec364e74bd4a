"""Sweeps on a cluster that runs Slurm: submitted, measured on its nodes, watched, cancelled.

What stands where:

    calls           every call of a Slurm program
    manifest        a sweep cut into elements
    endings         how a try of an element may end
    files           where a submitted sweep keeps its files
    sbatch_options  what is asked of sbatch
    submissions     what was asked of it so far
    submit          arrays of what is missing, and the answer after them
    job             the job that this process is a part of
    ownership       which job an element belongs to
    network         how the nodes of a job find each other
    containers      what starts an image
    step            a server as a step of the job
    element         what a node executes
    queue           how a submitted sweep stands; cancelling it
    watch           files and queue on one screen
    logs            what its jobs print
    verbs           all of it on the command line

An *element* is one launch of a pair of arms; a *try* of it is one run of a job that measures it. The *answer* is the
job after all elements, which scores and compares.
"""
