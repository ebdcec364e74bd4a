"""mtpbench's reading half: points become curves, curves become a comparison of MTP with Off.

Reads results, ours or public ones; starts nothing and measures nothing. Of `harness` it knows only `records`,
`metrics`, `spec`, `units`, `errors`, `stats`, `front`, `config` (GPU facts) and `rundir` (paths).

    0  importers    other tools' files -> rows
    1  rows         results/ -> one table of rows
    2  curve        rows -> Curve: throughput at a given interactivity
    3  compare      two Curves -> Comparison, or NotComparable
       published    the public dashboard's pages, digit for digit
    4  prose tables plots
    5  report
"""
