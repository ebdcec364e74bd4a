"""A Run, one kind of server, and what it is made of; a Point, one load on one of its launches."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from harness.spec.arrivals import Arrivals, Rate
from harness.spec.base import Fraction, Name, Positive, Sequence, Spec
from harness.spec.facts import Gpu, Model, Workload
from harness.spec.load import Load

MAX_DRAFT_TOKENS = 16
"""The longest draft of an arm; rows have as many positions for acceptance."""

SOUNDS_SECRET = re.compile(r"KEY|TOKEN(?!IZERS|_MODE)|SECRET|PASSW|CREDENTIAL|AUTH", re.IGNORECASE)
"""Names of variables whose values must not be written down."""


class Parallel(Spec):
    """How a server's GPUs are used. An expert-parallel group lies inside the tp * dp GPUs: it adds none."""

    tp: Positive = 1
    pp: Positive = 1
    ep: Positive = 1
    dp: Positive = 1

    @property
    def gpus(self) -> int:
        """GPUs that one server takes."""
        return self.tp * self.pp * self.dp


class EngineSpec(Spec):
    """Which engine and how it is started; `args` and `env` go to both arms alike.

    Attributes:
        version: what the server must report; None records whatever it reports.
        venv: folder of a virtual environment that holds the engine.
        image: container image, by tag or digest.
        endpoint: base URL of a server that is already running.
    """

    name: Name
    version: str | None = None
    venv: str | None = None
    image: str | None = None
    endpoint: str | None = None
    args: Annotated[tuple[str, ...], Sequence] = ()
    env: Mapping[str, str] = {}

    @field_validator("env")
    @classmethod
    def _no_secret_in_env(cls, env: Mapping[str, str]) -> Mapping[str, str]:
        for name in env:
            if SOUNDS_SECRET.search(name):
                raise ValueError(
                    f"{name} sounds like a secret, and sweeps are copied into results: export it instead, the server "
                    "inherits it"
                )
        return env

    @field_validator("endpoint")
    @classmethod
    def _no_secret_in_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and "@" in urlsplit(endpoint).netloc:
            raise ValueError("leave user and password out of the address: sweeps are copied into results")
        return endpoint

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.venv, self.image, self.endpoint)) > 1:
            raise ValueError("give one of venv, image, endpoint, not several")
        return self


class ServerSettings(Spec):
    """Limits that engines would otherwise choose by themselves, differently for each arm.

    All in requests or tokens; the engine's adapter converts to its own units.

    Attributes:
        max_running_requests: requests that the server may decode at once.
        max_graph_requests: largest batch with a captured graph, in requests; None leaves graphs off.
        chunked_prefill_tokens: prompt tokens one step may take; None keeps the engine's default.
        memory_fraction: share of GPU memory for weights and KV; None where the engine has no such flag.
        context: longest prompt + output, tokens.
    """

    max_running_requests: Positive
    max_graph_requests: Positive | None = None
    chunked_prefill_tokens: Positive | None = None
    memory_fraction: Fraction | None = None
    context: Positive


class Mtp(Spec):
    """The one thing in which arms differ. 0 draft tokens is the Off arm.

    Attributes:
        forced_acceptance_length: tokens per step that the engine simulates; None is natural acceptance.
        overrides: engine-specific speculative settings, by the engine's own names.
    """

    draft_tokens: Annotated[int, Field(ge=0, le=MAX_DRAFT_TOKENS)] = 0
    forced_acceptance_length: Annotated[float, Field(ge=1)] | None = None
    overrides: Mapping[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.draft_tokens and (self.forced_acceptance_length is not None or self.overrides):
            raise ValueError("the Off arm takes no acceptance length and no overrides")
        limit = self.draft_tokens + 1
        if self.forced_acceptance_length is not None and self.forced_acceptance_length > limit:
            raise ValueError(
                f"{self.draft_tokens} draft tokens give at most {limit} tokens a step, "
                f"not {self.forced_acceptance_length}"
            )
        return self

    @property
    def label(self) -> str:
        """`off`, `mtp3`, `mtp3-al3.39`."""
        if not self.draft_tokens:
            return "off"
        forced = self.forced_acceptance_length
        return f"mtp{self.draft_tokens}" + ("" if forced is None else f"-al{forced:g}")


class Run(Spec):
    """One server: everything that is the same for all of its points and launches."""

    model: Model
    revision: str | None = None
    gpu: Gpu
    precision: Name
    engine: EngineSpec
    parallel: Parallel
    settings: ServerSettings
    mtp: Mtp

    @property
    def baseline(self) -> "Run":
        """The same Run with MTP off: the only one that it may be compared with."""
        return self.model_copy(update={"mtp": Mtp()})

    @property
    def is_off(self) -> bool:
        """Whether this is the Off arm."""
        return not self.mtp.draft_tokens

    @property
    def identity(self) -> dict[str, object]:
        """What makes a Run this Run; facts that may be corrected later (prices, sources) are not in it."""
        model = self.model
        return {
            "model": [model.name, model.weights, model.tokenizer, model.load_format, self.revision or model.revision],
            "gpu": self.gpu.name,
            "precision": self.precision,
            "engine": self.engine.model_dump(mode="json"),
            "parallel": self.parallel.model_dump(),
            "settings": self.settings.model_dump(),
            "mtp": self.mtp.model_dump(),
        }

    @property
    def key(self) -> str:
        """Folder name: readable, then 8 hex digits that change when the identity does."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:8]
        gpus = f"{self.gpu.name}x{self.parallel.gpus}"
        return f"{self.model.name}-{self.precision}-{gpus}-{self.engine.name}-{self.mtp.label}-{digest}"


class Point(Spec):
    """One load on one launch of a Run: so many users in closed loop, or so many requests a second in open loop.

    Attributes:
        concurrency: users, each of whom sends its next request when the last one has ended; None in open loop.
        rate: requests a second, sent when they are due; None in closed loop.
        arrivals: when they are due; None in closed loop.
    """

    run: Run
    workload: Workload
    concurrency: Positive | None = None
    rate: Rate | None = None
    arrivals: Arrivals | None = None
    launch: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _one_load(self) -> Self:
        if (self.concurrency is None) == (self.rate is None) or (self.rate is None) != (self.arrivals is None):
            raise ValueError("a point has a concurrency, or a rate and arrivals")
        return self

    @property
    def load(self) -> Load:
        """The users of the point, or its requests a second."""
        if self.rate is not None and self.arrivals is not None:
            return Load(self.rate, self.arrivals.label)
        assert self.concurrency is not None
        return Load(float(self.concurrency))

    @property
    def folder(self) -> str:
        """Name of the point's folder inside its Run's."""
        return f"{self.load.label}-l{self.launch}"
