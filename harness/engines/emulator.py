"""The emulator (harness/emulator), by its own names: flags and what it says of itself.

It speaks as vLLM does, so requests, counters and tokens are read as vLLM's are. It has no weights and no text: of a
model and a GPU it takes a natural acceptance length and a profile, and every row is stamped `emulated`.
"""

import sys
from collections.abc import Iterator, Mapping

import aiohttp

from harness.emulator.roofline import fitted_file, name_of, roofline, why_unknown
from harness.engines.base import Additions, Endpoint, Nodes
from harness.engines.vllm import Vllm
from harness.records import Configuration
from harness.spec import Mtp, Run, Vendor

FALLBACK_PROFILES = {Vendor.NVIDIA: "h100-like", Vendor.AMD: "h100-like", Vendor.CPU: "cpu-like"}
"""Profile of a system of which too little is known for a roofline."""

SPECULATIVE = ("draft_tokens", "acceptance_length")
DERIVED = ("kv_tokens",)
CIRCUMSTANCE = ("seed", "speed")


class Emulator(Vllm):
    """Adapter for `python -m harness.emulator`."""

    name = "emulator"

    def executable(self, run: Run) -> tuple[str, ...]:
        """This very Python: the emulator comes with the harness, whatever venv or image the Run names."""
        del run
        return (sys.executable, "-m", "harness.emulator")

    def common_args(self, run: Run, *, host: str, port: int, served_name: str) -> Additions:
        """Limits as they are asked for; the rest is only reported back. The Run's own arguments come last and win."""
        settings, parallel = run.settings, run.parallel
        options = {
            "host": host,
            "port": port,
            "served-model-name": served_name,
            "profile": profile_of(run),
            "model": run.model.name,
            "precision": run.precision,
            **parallel.model_dump(),
            "max-running-requests": settings.max_running_requests,
            "max-graph-requests": settings.max_graph_requests,
            "chunked-prefill-tokens": settings.chunked_prefill_tokens,
            "context": settings.context,
            "eos-token-id": next(iter(run.model.eos_token_ids), None),
        }
        args = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        if run.model.golden is not None:
            lengths = run.model.golden.by_draft_tokens.items()
            args += ["--natural-lengths", *(f"{drafts}={length}" for drafts, length in lengths)]
        return Additions((*args, *run.engine.args), dict(run.engine.env))

    def mtp_args(self, mtp: Mtp) -> Additions:
        """Draft length and, where forced, acceptance length."""
        if not mtp.draft_tokens:
            return Additions()
        args = ["--draft-tokens", str(mtp.draft_tokens)]
        if mtp.forced_acceptance_length is not None:
            args += ["--acceptance-length", str(mtp.forced_acceptance_length)]
        args += [word for name, value in mtp.overrides.items() for word in (f"--{name}", str(value))]
        return Additions(tuple(args))

    def derived_args(self, run: Run) -> Additions:
        """Nothing: the emulator counts in requests, as a Run does."""
        del run
        return Additions()

    def node_args(self, run: Run, nodes: Nodes, rank: int) -> Additions:
        """Who meets whom; the first node serves."""
        del run
        return Additions(
            (
                *("--nnodes", str(nodes.count), "--node-rank", str(rank)),
                *("--master-addr", nodes.addresses[0], "--master-port", str(nodes.port)),
            )
        )

    def key_env(self, api_key: str) -> Mapping[str, str]:
        """EMULATOR_API_KEY; it guards the paths below /v1, as vLLM's does."""
        return {"EMULATOR_API_KEY": api_key}

    def stamps(self, run: Run) -> tuple[str, ...]:
        """`emulated`, always."""
        return ("emulated",) if run.mtp.forced_acceptance_length is None else ("emulated", "forced-acceptance")

    async def configuration(self, http: aiohttp.ClientSession, endpoint: Endpoint, run: Run) -> Configuration:
        """What /server_info says."""
        async with http.get(f"{endpoint.base_url}/server_info", raise_for_status=True) as response:
            return classified(await response.json(), run)


def classified(reported: Mapping[str, object], run: Run) -> Configuration:
    """What an emulator reports of itself, in the four classes."""
    apart = {*SPECULATIVE, *DERIVED, *CIRCUMSTANCE}
    return Configuration(
        must_equal={name: value for name, value in reported.items() if name not in apart},
        speculative={name: reported[name] for name in SPECULATIVE},
        derived={name: reported[name] for name in DERIVED},
        circumstance={name: reported[name] for name in CIRCUMSTANCE},
        mismatches=tuple(_mismatches(reported, run)),
    )


def profile_of(run: Run) -> str:
    """Profile of a Run whose `engine.args` name none: one fitted to its system, else a roofline, else one like it."""
    if fitted_file(run):
        return name_of(run)
    if run.gpu.vendor is Vendor.CPU or why_unknown(run):
        return FALLBACK_PROFILES[run.gpu.vendor]
    return roofline(run).model_dump_json()


def _mismatches(reported: Mapping[str, object], run: Run) -> Iterator[str]:
    """Where the server runs with something else than it was asked for; unset is not asked."""
    settings = run.settings.model_dump(exclude={"memory_fraction"})
    asked = {
        "engine_version": run.engine.version,
        "precision": run.precision,
        **run.parallel.model_dump(),
        **settings,
        "draft_tokens": run.mtp.draft_tokens,
        "acceptance_length": run.mtp.forced_acceptance_length,
    }
    for name, value in asked.items():
        if value is not None and value != reported.get(name):
            yield f"{name}: asked {value}, server has {reported.get(name)}"
