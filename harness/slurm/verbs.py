"""The command line's verbs for a cluster; `cli` gives them their place."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli_arguments import EngineName, Results, SweepFile

verbs = typer.Typer()


@verbs.command(epilog="Example: mtpbench submit my-sweep.yaml --cluster my-site.yaml")
def submit(
    sweep: SweepFile,
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME|FILE", help="The site.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Results folder; results/<sweep's name> without it.")
    ] = None,
    engine: EngineName = None,
    time_min: Annotated[
        int | None, typer.Option("--time", min=1, metavar="MINUTES", help="Of each job, instead of the plan's guess.")
    ] = None,
    require_power: Annotated[
        bool, typer.Option("--require-power", help="A point without good power figures is invalid.")
    ] = False,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="With --engine emulator: try the cluster out, in virtual time.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write the manifest and show the commands; submit nothing.")
    ] = False,
) -> None:
    """Submit a sweep to Slurm. The same command again submits what is still missing."""
    from harness import config
    from harness.slurm.manifest import Manner
    from harness.slurm.submit import commands
    from harness.slurm.submit import submit as to_slurm

    asked = config.load(sweep, engine=engine)
    site = config.load_cluster(cluster, sweep)
    folder = output or Path("results") / asked.name
    manner = Manner(time_min=time_min, power_required=require_power, in_virtual_time=virtual)
    if dry_run:
        print("\n".join(commands(asked, folder, site, manner)))
        return
    print(to_slurm(asked, folder, site, manner).text(folder))


@verbs.command(epilog="Example: mtpbench cancel results/my-sweep")
def cancel(results: Results) -> None:
    """Cancel every job of a submitted sweep; what is measured stays."""
    from harness.slurm.queue import cancel as cancel_jobs

    jobs = cancel_jobs(results)
    print(f"cancelled {', '.join(jobs)}" if jobs else "nothing that mtpbench submitted of it runs or waits")


@verbs.command(epilog="Example: mtpbench logs results/my-sweep 0 -f")
def logs(
    results: Results,
    which: Annotated[
        str, typer.Argument(metavar="ELEMENT|RUN|answer", help="An element's number, a glob of run keys, or `answer`.")
    ],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until no job is left.")] = False,
) -> None:
    """Show what an element of a submitted sweep, or a server, prints."""
    from harness.slurm.logs import log_of, read

    for text in read(log_of(results, which), results, follow=follow):
        print(text, end="", flush=True)


@verbs.command(hidden=True, epilog="Example: mtpbench element results/my-sweep")
def element(results: Results, first: Annotated[int, typer.Argument(help="Element that is task 0.")] = 0) -> None:
    """Measure one element of a submitted sweep; Slurm's batch process."""
    import uvloop

    from harness.slurm.element import run_element

    raise typer.Exit(uvloop.run(run_element(results.absolute(), first)))
