"""Arguments that several verbs of the command line take."""

from pathlib import Path
from typing import Annotated

import typer

SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep's YAML file.")]
Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder.")]
EngineName = Annotated[
    str | None, typer.Option("--engine", help="Run another engine than the file's: `emulator` needs no GPU.")
]
