"""Parses command lines of `sglang.launch_server` with the parser of an unpacked wheel; protocol as of vllm_parser.

Packages that can't be imported without a GPU, or are not in the environment, are stood in for by modules of which
every name is a class that does nothing: those that the wheel's own imports ask for in vain, one after the other.
"""

import argparse
import contextlib
import importlib.abc
import importlib.machinery
import io
import json
import sys
import types
from pathlib import Path

from transformers import AutoConfig


class _Meta(type):
    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything

    def __call__(cls, *args: object, **options: object) -> object:
        return Anything if cls is Anything else super().__call__(*args, **options)

    def __or__(cls, other: object) -> type:
        return cls

    __ror__ = __getitem__ = __or__


class Anything(metaclass=_Meta):
    """Whatever an absent package holds: a class, a decorator, a constant."""

    backend = "cpu"  # asked of Triton by old wheels, and then of torch


class Absent(types.ModuleType):
    """A package that is not there."""

    __path__: tuple[str, ...] = ()
    __version__ = "0.0.0"

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages that were asked for in vain."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        absent = name.partition(".")[0] in self.names
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if absent else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return Absent(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def imported() -> types.ModuleType:
    """The wheel's module with the parser."""
    register = AutoConfig.register
    # Older wheels bring configs that newer Transformers have too, and would not be let in.
    AutoConfig.register = staticmethod(lambda key, config, **_: register(key, config, exist_ok=True))
    stand_ins = StandIns()
    sys.meta_path.append(stand_ins)
    while True:
        try:
            return importlib.import_module("sglang.srt.server_args")
        except ModuleNotFoundError as missing:
            name = str(missing.name).partition(".")[0]
            if name == "sglang" or name in stand_ins.names:
                raise
            stand_ins.names.add(name)
            for begun in [module for module in sys.modules if module.partition(".")[0] == "sglang"]:
                del sys.modules[begun]


def parsed(parser: argparse.ArgumentParser, argv: list[str]) -> dict[str, object]:
    """Every option as it was read, or the parser's last word."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            read = parser.parse_args(argv)
    except SystemExit:
        return {"fault": said.getvalue().strip().splitlines()[-1]}
    return {"options": {name: repr(value) for name, value in vars(read).items()}}


def unknown(names: list[str], package: Path) -> list[str]:
    """Variables whose name stands nowhere in the package."""
    left = set(names)
    for file in package.rglob("*.py"):
        if left:
            text = file.read_text(encoding="utf-8", errors="replace")
            left -= {name for name in left if name in text}
    return sorted(left)


def main() -> None:
    asked = json.load(sys.stdin)
    server_args = imported()
    parser = argparse.ArgumentParser(prog="sglang.launch_server")
    server_args.ServerArgs.add_cli_args(parser)
    package = Path(server_args.__file__).parents[1]
    (metadata,) = package.parent.glob("sglang-*.dist-info")
    answer = {
        "parser": server_args.__file__,
        "version": metadata.name.removeprefix("sglang-").removesuffix(".dist-info"),
        "commands": [parsed(parser, argv) for argv in asked["commands"]],
        "unknown_env": unknown(asked["env"], package),
        "mtp": {},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
