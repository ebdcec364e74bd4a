"""The command that serves a Run, and the same command as it may be written down."""

import os
from collections.abc import Sequence
from pathlib import Path

from harness.engines import Additions, Endpoint, Engine, Nodes
from harness.launch import HOST, Command
from harness.launch.wrapping import NodeCommand, Wrapping
from harness.power.meters import visibility_order
from harness.provenance.disclosure import Placeholders, disclosed
from harness.spec import Run

KEY_VARIABLE = "MTPBENCH_API_KEY"
"""Holds the key of an attached server (`engine.endpoint`), where it asks for one."""

NOT_INHERITED = {"PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", KEY_VARIABLE}
"""Variables that speak of the environment that mtpbench runs in, not of the engine's."""


def additions(run: Run, engine: Engine, endpoint: Endpoint, port: int, node: Additions | None = None) -> Additions:
    """All arguments and variables of a Run: what both arms share, what follows from speculation, speculation.

    `node` is what one of several nodes is given besides, the same in both arms.
    """
    parts = [
        engine.common_args(run, host=HOST, port=port, served_name=endpoint.model),
        node or Additions(),
        engine.derived_args(run),
        engine.mtp_args(run.mtp),
    ]
    args = tuple(word for part in parts for word in part.args)
    return Additions(args, {name: value for part in parts for name, value in part.env.items()})


def commands(run: Run, engine: Engine, endpoint: Endpoint, port: int, nodes: Nodes | None) -> list[NodeCommand]:
    """The server's own command on each of its nodes.

    Raises:
        EngineMissing: the program is not there.
        UserError: the engine can't be spread so.
    """
    program = engine.executable(run)
    of_nodes = [Additions()] if nodes is None else [engine.node_args(run, nodes, rank) for rank in range(nodes.count)]
    return [NodeCommand((*program, *additions(run, engine, endpoint, port, node).args), node.env) for node in of_nodes]


def command(
    run: Run, engine: Engine, endpoint: Endpoint, port: int, inner: Sequence[NodeCommand], wrapping: Wrapping
) -> Command:
    """What to run, with what goes around it."""
    added = additions(run, engine, endpoint, port)
    env = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    # Engines compile kernels as they start, with tools that lie beside them.
    env["PATH"] = os.pathsep.join([str(Path(inner[0].argv[0]).parent), env.get("PATH", os.defpath)])
    env["PYTHONUNBUFFERED"] = "1"  # the log's last lines are worth most when a server dies
    given = {
        **visibility_order(run.gpu.vendor),
        **added.env,
        **wrapping.env,
        **engine.key_env(endpoint.api_key or ""),
    }
    argv = wrapping.wrap(inner, {*given, *(name for node in inner for name in node.env)})
    return Command(tuple(argv), {**env, **given}, wrapping.ask_to_end)


def record(
    run: Run,
    engine: Engine,
    asked: Command,
    inner: Sequence[NodeCommand],
    stamps: tuple[str, ...],
    places: Placeholders,
) -> dict[str, object]:
    """`argv`, `env` and `stamps` as plain data without secrets; variables are those that shape an engine.

    Of several nodes, `argv` is the first one's own command. `arm` holds the words and variables by which arms may
    differ; all the others must be the same in both.
    """
    own = [engine.derived_args(run), engine.mtp_args(run.mtp)]
    words = [word for part in own for word in part.args]
    variables = {name: value for part in own for name, value in part.env.items()}
    shown = {
        "argv": asked.argv if len(inner) == 1 else inner[0].argv,
        **({"other_nodes": [node.argv for node in inner[1:]]} if len(inner) > 1 else {}),
        "env": disclosed(asked.env, given={*run.engine.env, *variables}),
        "arm": {"argv": words, "env": variables},
        "stamps": stamps,
    }
    hidden = places.hide(shown)
    assert isinstance(hidden, dict)
    return hidden
