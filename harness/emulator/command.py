"""The emulator's command line, and what it asks for.

Shared by the server's process and by sweeps in virtual time, so that both mean the same by it. The API key comes by the
environment variable EMULATOR_API_KEY: it stands in no command line.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from zlib import crc32

from harness.config import load_file, packaged_configs
from harness.emulator import faults
from harness.emulator.acceptance import NATURAL_RATE, OFF, Speculation
from harness.emulator.nodes import Place
from harness.emulator.profile import Limits, Profile
from harness.emulator.settings import Settings
from harness.emulator.toy_tokenizer import EOS
from harness.errors import UserError

N = TypeVar("N", int, float)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    table = "\n".join(f"  {name:20} {value:<6g} {meaning}" for name, (value, meaning) in faults.FAULTS.items())
    this = argparse.ArgumentParser(
        prog="python -m harness.emulator",
        description="An engine whose true figures are known: no GPU, no weights, no meaning in its text.",
        epilog=f"faults, each NAME[=VALUE][@SECONDS after the first request], with default VALUE:\n{table}\n\n"
        "example: python -m harness.emulator --port 8000 --profile h100-like --draft-tokens 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_address(this)
    this.add_argument("--profile", default="h100-like", help="name in configs/emulator, a YAML file, or JSON")
    _add_reported(this)
    _add_nodes(this)
    _add_limits(this)
    _add_speculation(this)
    _add_trial(this)
    return this


def _add_address(this: argparse.ArgumentParser) -> None:
    """Where it listens, and as what."""
    this.add_argument("--host", default="127.0.0.1")
    this.add_argument("--port", type=int, required=True)
    this.add_argument("--served-model-name", default="emulated")


def _add_reported(this: argparse.ArgumentParser) -> None:
    """What it reports of itself; its step times follow from the profile alone."""
    this.add_argument("--model", default="none", help="reported, not loaded")
    this.add_argument("--precision", default="none", help="reported")
    for degree in ("tp", "pp", "ep", "dp"):
        this.add_argument(f"--{degree}", type=int, default=1, help="reported")


def _add_nodes(this: argparse.ArgumentParser) -> None:
    """Which of its nodes it is, and where they meet."""
    this.add_argument("--nnodes", type=int, default=1, help="nodes of this server; the first one serves")
    this.add_argument("--node-rank", type=int, default=0)
    this.add_argument("--master-addr", default="127.0.0.1", help="of the first node")
    this.add_argument("--master-port", type=int, default=0)


def _add_limits(this: argparse.ArgumentParser) -> None:
    """What a step and the KV pool take."""
    this.add_argument("--max-running-requests", type=_positive(int), default=256)
    this.add_argument("--max-graph-requests", type=_positive(int), help="reported")
    this.add_argument(
        "--chunked-prefill-tokens", type=_positive(int), help="prompt tokens a step may take; default: all"
    )
    this.add_argument("--context", type=_positive(int), default=8192, help="longest prompt + output, tokens")
    this.add_argument(
        "--kv-tokens", type=_positive(int), help="KV pool; default: every running request at full context"
    )


def _add_speculation(this: argparse.ArgumentParser) -> None:
    """How many tokens it drafts, and how many of them are accepted."""
    this.add_argument("--draft-tokens", type=int, default=0, help="0 is Off")
    this.add_argument("--acceptance-length", type=float, help="mean tokens a step, whatever is natural")
    this.add_argument(
        "--natural-lengths",
        nargs="+",
        default=[],
        metavar="DRAFTS=LENGTH",
        help=f"natural acceptance lengths; without one, a draft is accepted at a rate of {NATURAL_RATE}",
    )


def _add_trial(this: argparse.ArgumentParser) -> None:
    """What a trial of a client sets: the text's end, the seed, the clock, the record, the faults."""
    this.add_argument("--eos-token-id", type=int, default=EOS, help="ends a text, under the fault early_eos")
    this.add_argument("--seed", type=int, help="of the drafts that are accepted; default: from the served name")
    this.add_argument("--speed", type=_positive(float), default=1.0, help="virtual seconds in a real one")
    this.add_argument("--send-log", type=Path, metavar="FOLDER", help="true send times go to <served name>.jsonl here")
    this.add_argument("--fault", action="append", default=[], help="misbehave; see below")


def _positive(number: Callable[[str], N]) -> Callable[[str], N]:
    def parse(text: str) -> N:
        value = number(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"{text} must be above 0")
        return value

    return parse


def settings(argv: Sequence[str]) -> Settings:
    """What a command line asks for.

    Raises:
        UserError: it can't be had.
    """
    asked = parser().parse_args(argv)
    try:
        limits = Limits(
            max_running_requests=asked.max_running_requests,
            context=asked.context,
            chunked_prefill_tokens=asked.chunked_prefill_tokens,
            kv_tokens=asked.kv_tokens,
        )
        speculation = _speculation(asked.draft_tokens, asked.acceptance_length, asked.natural_lengths)
    except ValueError as fault:
        raise UserError(str(fault)) from fault
    return Settings(
        host=asked.host,
        port=asked.port,
        served_model_name=asked.served_model_name,
        model=asked.model,
        precision=asked.precision,
        parallel={degree: getattr(asked, degree) for degree in ("tp", "pp", "ep", "dp")},
        max_graph_requests=asked.max_graph_requests,
        profile=_profile(asked.profile),
        limits=limits,
        speculation=speculation,
        eos=asked.eos_token_id,
        seed=crc32(asked.served_model_name.encode()) if asked.seed is None else asked.seed,
        speed=asked.speed,
        send_log=asked.send_log and asked.send_log / f"{asked.served_model_name}.jsonl",
        faults=tuple(map(faults.parse, asked.fault)),
        api_key=os.environ.get("EMULATOR_API_KEY"),
    )


def place(argv: Sequence[str]) -> Place:
    """Which of its nodes a command line is for."""
    asked = parser().parse_args(argv)
    return Place(count=asked.nnodes, rank=asked.node_rank, host=asked.master_addr, port=asked.master_port)


def _profile(name: str) -> Profile:
    if name.startswith("{"):
        return Profile.model_validate_json(name)
    if name.endswith(".yaml"):
        return load_file(Path(name), Profile)
    folder = packaged_configs() / "emulator"
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise UserError(f"profile '{name}' has no file; there are {', '.join(known)}, or give the path of a YAML file")
    return load_file(folder / f"{name}.yaml", Profile)


def _speculation(draft_tokens: int, forced: float | None, natural: list[str]) -> Speculation:
    if not draft_tokens:
        return OFF
    lengths = {int(drafts): float(length) for drafts, _, length in (pair.partition("=") for pair in natural)}
    length = lengths.get(draft_tokens) if forced is None else forced
    return Speculation(draft_tokens) if length is None else Speculation.of_length(draft_tokens, length)
