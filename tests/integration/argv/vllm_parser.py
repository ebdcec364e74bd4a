"""Parses command lines of `vllm serve` with the parser of an unpacked wheel; run by a Python that has its dependencies.

JSON in: `{commands: [argv, ...], env: [name, ...], model_configs: {name: {...}}}`. JSON out: what was read, and what
was refused. Stands in for what needs a GPU to be imported, and for nothing else: the platform.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import sys

import vllm
from vllm import envs, platforms
from vllm.platforms.interface import Platform, PlatformEnum


class SomeGpu(Platform):
    """Defaults of the parser depend on whether there is a GPU; on nothing of it."""

    _enum = PlatformEnum.CUDA
    device_name = device_type = "cuda"


platforms._current_platform = SomeGpu()

from transformers import PretrainedConfig  # noqa: E402  the platform is settled first
from vllm.config.speculative import SpeculativeConfig  # noqa: E402
from vllm.entrypoints.launchers import cli_args  # noqa: E402
from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: E402

DRAFTING = {field.name for field in dataclasses.fields(SpeculativeConfig)}


def parsed(argv: list[str]) -> dict[str, object]:
    """Every option as it was read, or the parser's last word."""
    parser = cli_args.make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            read = parser.parse_args(argv)
            cli_args.validate_parsed_serve_args(read)
    except (SystemExit, ValueError, TypeError) as fault:
        return {"fault": (said.getvalue().strip().splitlines() or [str(fault)])[-1]}
    unknown = set(read.speculative_config or {}) - DRAFTING
    if unknown:
        return {"fault": f"speculative config: unknown {', '.join(sorted(unknown))}"}
    return {"options": _plain(read)}


def _plain(read: argparse.Namespace) -> dict[str, str]:
    return {name: repr(value) for name, value in vars(read).items()}


def mtp_of(model_config: dict[str, object]) -> dict[str, object]:
    """What drafts a checkpoint with this config.json, by vLLM's own table."""
    nested = {name: PretrainedConfig(**value) for name, value in model_config.items() if isinstance(value, dict)}
    overridden = SpeculativeConfig.hf_config_override(PretrainedConfig(**model_config | nested))
    return {"architectures": overridden.architectures, "modules": overridden.n_predict}


def main() -> None:
    asked = json.load(sys.stdin)
    json.dump(
        {
            "parser": cli_args.__file__,
            "version": vllm.__version__,
            "commands": [parsed(argv) for argv in asked["commands"]],
            "unknown_env": sorted(set(asked["env"]) - set(envs.environment_variables)),
            "mtp": {name: mtp_of(found) for name, found in asked["model_configs"].items()},
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
