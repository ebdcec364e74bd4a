"""The command that serves a Run, and the same command as it may be written down."""

import os
from pathlib import Path

from harness.engines import Additions, Endpoint, Engine
from harness.launch import HOST, Command
from harness.launch.wrapping import Wrapping
from harness.power.open import visibility_order
from harness.provenance.disclosure import Placeholders, disclosed
from harness.spec import Run

KEY_VARIABLE = "MTPBENCH_API_KEY"
"""Holds the key of a server that was started elsewhere, where it asks for one."""

NOT_INHERITED = {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", KEY_VARIABLE}
"""Variables that speak of the environment that mtpbench runs in, not of the engine's."""


def additions(run: Run, engine: Engine, endpoint: Endpoint, port: int) -> Additions:
    """All arguments and variables of a Run: what both arms share, what follows from speculation, speculation."""
    parts = [
        engine.common_args(run, host=HOST, port=port, served_name=endpoint.model),
        engine.derived_args(run),
        engine.mtp_args(run.mtp),
    ]
    args = tuple(word for part in parts for word in part.args)
    return Additions(args, {name: value for part in parts for name, value in part.env.items()})


def command(run: Run, engine: Engine, endpoint: Endpoint, port: int, wrapping: Wrapping) -> Command:
    """What to run, with what goes around it.

    Raises:
        EngineMissing: the program is not there.
    """
    program = engine.executable(run)
    added = additions(run, engine, endpoint, port)
    env = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    # Engines compile kernels as they start, with tools that lie beside them.
    env["PATH"] = os.pathsep.join([str(Path(program[0]).parent), env.get("PATH", os.defpath)])
    env["PYTHONUNBUFFERED"] = "1"  # the log's last lines are worth most when a server dies
    given = {**visibility_order(run.gpu.vendor), **added.env, **wrapping.env, **engine.key_env(endpoint.api_key or "")}
    argv = wrapping.around((*program, *added.args), tuple(given))
    return Command(tuple(argv), {**env, **given}, wrapping.ask_to_end)


def record(
    run: Run, engine: Engine, asked: Command, stamps: tuple[str, ...], places: Placeholders
) -> dict[str, object]:
    """`argv`, `env` and `stamps` as plain data without secrets; variables are those that shape an engine.

    `arm` holds the words and variables by which arms may differ; all the others must be the same in both.
    """
    own = [engine.derived_args(run), engine.mtp_args(run.mtp)]
    words = [word for part in own for word in part.args]
    variables = {name: value for part in own for name, value in part.env.items()}
    shown = {
        "argv": asked.argv,
        "env": disclosed(asked.env, given={*run.engine.env, *variables}),
        "arm": {"argv": words, "env": variables},
        "stamps": stamps,
    }
    hidden = places.hide(shown)
    assert isinstance(hidden, dict)
    return hidden
