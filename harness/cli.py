"""The command line: verbs only. Reads arguments, calls one function each, turns errors into lines and exit codes.

Results go to stdout, progress and log to stderr. Heavy imports wait for the verb that needs them, so `--help`
answers at once.
"""

import errno
import logging
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from harness.cli_arguments import EngineName, Results, SweepFile
from harness.errors import MachineUnfit, MtpbenchError, PointsInvalid
from harness.slurm.verbs import verbs as cluster_verbs

T = TypeVar("T")

app = typer.Typer(
    name="mtpbench",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="What does multi-token prediction buy over Off on this model and GPU, at the same speed for the user?",
    epilog="Exit codes: 0 good, 1 a bug of mtpbench, 2 your file or flag, 3 the server did not come up, "
    "or could not on this machine, 4 some points are invalid, 130 interrupted.",
)

At = Annotated[str | None, typer.Option("--at", help="Interactivities to compare at, tok/s/user, comma-separated.")]
PairGlob = Annotated[str | None, typer.Option("--pair", metavar="GLOB", help="Pairs whose key matches.")]
ViewName = Annotated[str | None, typer.Option("--view", help="matched or best-of-topologies.")]
PricesOf = Annotated[str | None, typer.Option("--prices", metavar="DATE|TIER", help="Prices of a day, or of a tier.")]
AsPublished = Annotated[
    bool, typer.Option("--as-published", help="Compute as the InferenceX dashboard did in July 2026.")
]
Force = Annotated[bool, typer.Option("--force", help="Compare arms that differ in more than MTP; the answer says so.")]


_OF_FILES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
}
"""Errors of a disk, a folder or its rights, which are no bug of mtpbench; --verbose says where they came up."""


class Format(StrEnum):
    """Formats of a comparison."""

    MD = "md"
    CSV = "csv"
    JSON = "json"


class Shape(StrEnum):
    """Formats of what is not a comparison."""

    TEXT = "text"
    JSON = "json"


@app.callback()
def _main(
    *, verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is being done, on stderr.")] = False
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


@app.command(epilog="Example: mtpbench check configs/sweeps/*.yaml")
def check(sweeps: Annotated[list[Path], typer.Argument(metavar="SWEEP...", help="Sweep files.")]) -> None:
    """Say every fault in sweep files, with file, line and column; start nothing."""
    from harness import config
    from harness.errors import ConfigError

    faults = []
    for path in sweeps:
        try:
            sweep = config.load(path)
        except ConfigError as error:
            faults.append(str(error))
        else:
            points = len(sweep.all_runs()) * sweep.loads * sweep.launches
            print(f"{path}: good; {len(sweep.all_runs())} runs, {points} points")
    if faults:
        raise ConfigError("\n".join(faults))


@app.command(epilog="Example: mtpbench plan configs/sweeps/quickstart.yaml")
def plan(sweep: SweepFile, engine: EngineName = None) -> None:
    """Show points, command lines, hours, cost and memory of a sweep; start nothing."""
    from harness import config
    from harness.plan import plan as make_plan
    from harness.plan import render

    print(render(make_plan(config.load(sweep, engine=engine))))


@app.command(epilog="Exit code 3 when something blocks, 0 otherwise.\n\nExample: mtpbench doctor my-sweep.yaml")
def doctor(
    sweep: Annotated[
        Path | None,
        typer.Argument(metavar="[SWEEP]", help="Look at what this sweep needs; without it, at the machine."),
    ] = None,
    *,
    engine: EngineName = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where results will be written.")] = Path("results"),
    online: Annotated[bool, typer.Option("--online", help="Ask the model hub too; without it nothing leaves.")] = False,
    client: Annotated[
        bool, typer.Option("--client", help="Measure how many chunks a second the load generator takes here.")
    ] = False,
    output_format: Annotated[Shape, typer.Option("--format", help="Of the report.")] = Shape.TEXT,
) -> None:
    """Say what this machine has for measuring, what is wrong with it, and what to do; change nothing."""
    from harness import config
    from harness.doctor import Examination, State, examine
    from harness.doctor.text import rendered, verdict
    from harness.errors import MachineUnfit

    asked = None if sweep is None else config.load(sweep, engine=engine)
    report = examine(Examination(sweep=asked, folder=output, online=online, client=client))
    print(report.json() if output_format is Shape.JSON else rendered(report))
    if report.having(State.BLOCKS):
        raise MachineUnfit(verdict(report))


@app.command(epilog="Example: mtpbench prefetch configs/sweeps/tiny-vllm-cpu.yaml")
def prefetch(sweep: SweepFile) -> None:
    """Stage a sweep's weights where its engine will look for them."""
    from harness import config
    from harness.prefetch import prefetch as stage

    print(stage(config.load(sweep)))


@app.command(epilog="Example: mtpbench run configs/sweeps/quickstart.yaml --output results/quickstart")
def run(
    sweep: SweepFile,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Results folder; results/<sweep's name> without it.")
    ] = None,
    engine: EngineName = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="GLOB", help="Points whose <run key>/<point> matches.")
    ] = None,
    retry_invalid: Annotated[bool, typer.Option("--retry-invalid", help="Measure invalid points again.")] = False,
    require_power: Annotated[
        bool, typer.Option("--require-power", help="A point without good power figures is invalid.")
    ] = False,
    virtual: Annotated[
        bool, typer.Option("--virtual", help="With --engine emulator: as fast as it computes, without a server.")
    ] = False,
    speed: Annotated[
        float, typer.Option("--speed", metavar="N", help="With --engine emulator: its clock goes N times as fast.")
    ] = 1.0,
) -> None:
    """Measure a sweep. The same command again goes on where the last one stopped."""
    from harness import config
    from harness.sweep import run_sweep

    asked = config.load(sweep, engine=engine)
    folder = output or Path("results") / asked.name
    rows = _with_uvloop(
        run_sweep(
            asked,
            folder,
            only=only,
            retry_invalid=retry_invalid,
            power_required=require_power,
            in_virtual_time=virtual,
            speed=speed,
        )
    )
    _show(folder)
    invalid = sum(bool(row["invalid"]) for row in rows)
    if invalid:
        raise PointsInvalid(f"{invalid} of {len(rows)} points are invalid: the reasons stand in {folder}/points.jsonl")


@app.command(epilog="Example: mtpbench status results/quickstart --watch")
def status(
    results: Results,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again every few seconds, until all is done.")] = False,
) -> None:
    """Show what is done, running, invalid and why, and the time left: from the files, then from Slurm's queue."""
    from harness.slurm.watch import status_screen, watched

    for shown in watched(results) if watch else (status_screen(results),):
        print(shown, flush=True)


@app.command(epilog="Example: mtpbench score results/quickstart")
def score(results: Results) -> None:
    """Compute every row anew from the raw samples; needs no GPU."""
    from harness.scoring import rescore

    report = rescore(results)
    print(f"{report.points} points scored, {report.changed} rows changed: {results / 'points.jsonl'}")


@app.command(epilog="Example: mtpbench compare results/quickstart --at 25,40")
def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Results folders or files.")],
    *,
    at: At = None,
    pair: PairGlob = None,
    view: ViewName = None,
    output_format: Annotated[Format, typer.Option("--format", help="Of the answer.")] = Format.MD,
    prices: PricesOf = None,
    as_published: AsPublished = False,
    force: Force = False,
    spread_from: Annotated[
        Path | None,
        typer.Option("--spread-from", metavar="RESULTS", help="Launches of the same system, for arms with one."),
    ] = None,
) -> None:
    """Compare MTP with Off, at equal concurrency and at matched interactivity."""
    from analysis.compare import parse_options
    from analysis.outputs import compare_text

    options = parse_options(at=at, pair=pair, view=view, prices=prices, force=force, spread_from=spread_from)
    text, compared = compare_text(paths, options, as_published=as_published, output_format=output_format.value)
    print(text, end="")
    if not compared:
        raise PointsInvalid("nothing here can be compared: the reasons stand above")


@app.command(epilog="Example: mtpbench report results/quickstart -o page.html")
def report(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Results folders or files.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")],
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="A picture of the curves as well.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="The same as SVG.")] = None,
    at: At = None,
    pair: PairGlob = None,
    view: ViewName = None,
    prices: PricesOf = None,
    as_published: AsPublished = False,
    force: Force = False,
) -> None:
    """Write a comparison as one HTML page that opens from disk, without a network."""
    from analysis.compare import parse_options
    from analysis.outputs import write_page

    options = parse_options(at=at, pair=pair, view=view, prices=prices, force=force)
    written, compared = write_page(paths, output, options, png=png, svg=svg, as_published=as_published)
    print("written: " + ", ".join(map(str, written)))
    if not compared:
        raise PointsInvalid(f"nothing here can be compared: the reasons stand in {output}")


@app.command(name="import", epilog="Example: mtpbench import agg_bmk.json -o results/inferencex")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Other tools' results.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the points.jsonl.")],
    facts: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="What the files do not say, like gpu=h100.")
    ] = None,
) -> None:
    """Turn public results and other tools' files into rows of ours."""
    from analysis.importers import facts_of, import_files

    print(import_files(files, output, facts_of(facts or [])))


@app.command(hidden=True, epilog="Example: mtpbench answer results/my-sweep")
def answer(results: Results) -> None:
    """Score and compare what a submitted sweep has; the job after its last element."""
    from harness.scoring import rescore

    rescore(results)
    _show(results)


app.add_typer(cluster_verbs)


def _with_uvloop(job: Coroutine[Any, Any, T]) -> T:
    import asyncio

    import uvloop

    try:
        return uvloop.run(job)
    except asyncio.CancelledError:  # SIGTERM: the same as Ctrl-C to whoever started us
        raise typer.Exit(130) from None


def _show(folder: Path) -> None:
    from analysis.outputs import leave_comparison

    text, written = leave_comparison(folder)
    print(text)
    print("written: " + ", ".join(map(str, written[:-1])))
    print(f"the page, for a browser: {written[-1].resolve().as_uri()}")


def main() -> None:
    """Entry point of the `mtpbench` command."""
    try:
        app()
    except MtpbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _OF_FILES:
            raise
        logging.getLogger(__name__).info("where it happened", exc_info=True)
        print(f"{error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        sys.exit(MachineUnfit.exit_code)
