"""Sweeps on a cluster that runs Slurm: submitted, measured on its nodes, watched, cancelled.

What stands where:

    calls        every call of a Slurm program
    manifest     a sweep cut into elements, and where their files lie
    asking       what is asked of sbatch
    submissions  what was asked of it so far
    submit       arrays of what is missing, and the job after them
    job          the job that this process is a part of
    endings      how a try of an element may end, and who owns the element
    containers   what starts an image
    step         a server as a step of the job
    element      what a node executes
    queue        how a submitted sweep stands; cancelling it
    watch        files and queue on one screen
    logs         what its jobs print
"""
