"""Every command line of every sweep, both arms, is read by the parser of the engine version that the sweep pins.

The parser is the engine's own, out of the very wheel; nothing is served and no GPU is needed. Which proof stands for
which version is a table in CONTRIBUTING.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness import config
from harness.paths import is_local, packaged_configs
from harness.plan import Command, plan
from harness.spec import Run

ENGINES = {"vllm": ("vllm", "serve"), "sglang": ("python", "-m", "sglang.launch_server")}
"""The first words of a command, which choose the program and are not its parser's."""

PINNED = {"vllm": "0.32.0", "sglang": "0.5.23"}
"""Where a sweep pins no version: what scripts/engines installs."""

OWN_ENV = {"vllm": ("VLLM_",), "sglang": ("SGLANG_", "SGL_")}
"""How the variables begin that an engine reads itself."""

BY_ARM = {"vllm": ("speculative_config", "cudagraph_capture_sizes"), "sglang": ("speculative_",)}
"""How options begin that may differ between the arms."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """One server of one sweep."""

    sweep: str
    run: Run
    command: Command

    @property
    def label(self) -> str:
        return f"{self.sweep}, {self.run.mtp.label}"

    @property
    def proof(self) -> tuple[str, str]:
        """Engine and version; a nightly image stands on the release that its tag names."""
        engine = self.run.engine
        tagged = re.search(r":v(\d+\.\d+\.\d+)", engine.image or "")
        return engine.name, engine.version or (tagged[1] if tagged else PINNED[engine.name])

    @property
    def words(self) -> list[str]:
        words = [word.replace("<port>", "8000") for word in self.command.argv]
        return words[len(ENGINES[self.run.engine.name]) :]


def all_started() -> Iterator[Started]:
    for path in sorted((packaged_configs() / "sweeps").glob("*.yaml")):
        for planned in plan(config.load(path)).runs:
            if planned.run.engine.name in ENGINES:
                yield Started(sweep=path.stem, run=planned.run, command=planned.command)


STARTED = tuple(all_started())
PROOFS = sorted({started.proof for started in STARTED})
NEVER_READ = {
    ("sglang", "0.5.12"): ["SGLANG_ENABLE_FLASHINFER_GEMM", "SGL_ENABLE_JIT_DEEPGEMM"],
    ("sglang", "0.5.14"): [
        "SGLANG_DP_SHARED_EXPERT_LOCAL",
        "SGLANG_DP_USE_REDUCE_SCATTER",
        "SGLANG_ENABLE_FLASHINFER_GEMM",
        "SGL_ENABLE_JIT_DEEPGEMM",
    ],
}
"""Variables that the reference's scripts set and the release does not know: the sweeps as published keep them."""

WRONG = ("--no-such-flag", "1")


@pytest.fixture(scope="module", params=PROOFS, ids="-".join)
def proof(request, ask):
    """One version: its servers, and what its parser says of them and of a wrong flag behind the first."""
    engine, version = request.param
    mine = [started for started in STARTED if started.proof == request.param]
    own = sorted({name for one in mine for name in one.command.env if name.startswith(OWN_ENV[engine])})
    verdict = ask(engine, version, [*(one.words for one in mine), [*mine[0].words, *WRONG]], own)
    return mine, verdict


def test_every_command_line_is_read_and_a_wrong_flag_is_refused(proof):
    mine, verdict = proof
    *given, wrong = verdict.commands

    faults = {one.label: said["fault"] for one, said in zip(mine, given, strict=True) if "fault" in said}

    assert {} == faults
    assert WRONG[0] in wrong["fault"]


def test_the_parser_is_the_wheels(proof, wheels):
    mine, verdict = proof
    engine, version = mine[0].proof

    assert wheels / f"{engine}-{version}" in verdict.parser.parents
    assert version == verdict.version


def test_no_variable_of_ours_is_one_that_the_engine_never_reads(proof):
    mine, verdict = proof
    as_published = {name for one in mine if "as-published" in one.sweep for name in one.command.env}

    assert NEVER_READ.get(mine[0].proof, []) == verdict.unknown_env
    assert as_published >= set(verdict.unknown_env)


def test_arms_are_read_alike_but_for_what_mtp_needs(proof):
    mine, verdict = proof
    read = [said.get("options", {}) for said in verdict.commands]
    by_arm = BY_ARM[mine[0].run.engine.name]
    alike = {}

    for one, options in zip(mine, read, strict=False):
        common = {name: value for name, value in options.items() if not name.startswith(by_arm)}
        assert common == alike.setdefault((one.sweep, one.run.baseline), common), one.label


def test_every_model_of_a_sweep_has_the_mtp_module_that_its_file_says(proof):
    mine, verdict = proof
    if not verdict.mtp:
        return  # SGLang builds its table as it loads a model: vLLM's reading of the same file stands for both
    models = {one.run.model.name: one.run.model for one in mine if not is_local(one.run.model.weights)}

    for name, model in models.items():
        assert model.mtp_modules == verdict.mtp[name]["modules"], name
        assert "MTP" in verdict.mtp[name]["architectures"][0], name
