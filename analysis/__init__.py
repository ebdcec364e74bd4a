"""mtpbench's reading half: points become curves, curves become a comparison of MTP with Off.

Reads results, ours or public ones; starts nothing and measures nothing. Of `harness` it knows only `records`,
`metrics`, `spec`, `units`, `errors`, `stats`, `front`, `config` (GPU and model facts), `rundir` (paths),
`atomic_files` (whole or not there) and `checks` (what a verdict on a point means).

Imports point down, or stay on their floor:

    0  importers      other tools' files -> rows
       topology       how a deployment's GPUs are used
    1  rows           results/ -> typed rows, and what can't be used
    2  pairs          what a question, an arm, a measured load, a pair is
       facts          what is known of a GPU and a model
       assumptions    $ per hour and kW of a GPU, by day and tier
    3  pairing        rows -> pairs of arms
       diff           in what two arms differ besides MTP
       drafts_used    was MTP really on
       curve          measured loads -> Curve: throughput at a given interactivity
       launch_spread  how far launches of a system differ, from earlier results
    4  spread         a Curve and its resampled twins
       ratio          two numbers -> their ratio, its interval, a verdict
    5  targets        both arms at one interactivity, or at one concurrency
       crossovers     where the curves cross
       flags          what to know before believing a number
       power          both arms' power at each load
    6  comparison     one pair -> one Comparison
       choices        several draft lengths beside one Off: which to run
       compare        paths -> Report: everything compared, refused and left out
    7  prose          the sentences of a comparison
       tables         a Report as Markdown, CSV or JSON
       plots          comparisons -> a picture
       published      the public dashboard's pages, digit for digit
    8  report         comparisons -> one HTML page
       outputs        paths -> texts and files
"""
