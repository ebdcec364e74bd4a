"""The engines, by name. A new one is one module and one row here.

What stands where:

    base                        what an engine must be able to say
    vllm, sglang, emulator      the adapters: routes, requests, counters
    vllm_flags, sglang_flags    their command lines
    vllm_config, sglang_config  what their servers report of themselves, in the four classes
    options                     command-line options that several engines share
    reported                    what reported configurations have in common
    prometheus                  a server's metrics page
"""

from importlib import import_module

from harness.engines.base import Additions, Endpoint, Engine, Nodes
from harness.errors import UserError

__all__ = ["ENGINES", "Additions", "Endpoint", "Engine", "Nodes", "engine_named"]

ENGINES: dict[str, str] = {
    "vllm": "harness.engines.vllm:Vllm",
    "sglang": "harness.engines.sglang:Sglang",
    "emulator": "harness.engines.emulator:Emulator",
}


def engine_named(name: str) -> Engine:
    """The adapter for an engine, loaded when first asked for.

    Raises:
        UserError: there is none of that name.
    """
    if name not in ENGINES:
        raise UserError(f"engine {name!r} is not known; there are {', '.join(ENGINES)}")
    module, attribute = ENGINES[name].split(":")
    engine: Engine = getattr(import_module(module), attribute)()
    return engine
