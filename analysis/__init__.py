"""mtpbench's reading half: points become curves, curves become a comparison of MTP with Off.

Reads results, ours or public ones; starts nothing and measures nothing. Of `harness` it knows only `records`,
`metrics`, `spec`, `units`, `errors`, `stats`, `front`, `config` (GPU and model facts), `rundir` (paths) and `checks`
(what a verdict on a point means).

    0  importers    other tools' files -> rows
       topology     how a deployment's GPUs are used
    1  rows         results/ -> typed rows, and what can't be used
    2  pairs        what a question, an arm, a level, a pair is
       facts rates  what is known of a GPU; $ per hour and kW, by day and tier
    3  pairing      rows -> pairs of arms
       diff         in what two arms differ besides MTP
       evidence     was MTP really on
       curve        levels -> Curve: throughput at a given interactivity
       recorded     how far launches of a system differ, from earlier results
    4  spread       a Curve and its resampled twins
       contrast     two numbers -> their ratio, its interval, a verdict
    5  targets      both arms at one interactivity, or at one concurrency
       understand   where the curves cross; which draft length to run
       flags        what to know before believing a number
    6  comparison   one pair -> one Comparison
       compare      paths -> Report: everything compared, refused and left out
    7  prose tables plots
       published    the public dashboard's pages, digit for digit
    8  report answer
"""
