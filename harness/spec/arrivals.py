"""When requests are sent in open loop: at times of their own, whatever the server has done with those before."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.spec.base import Spec, Text

Process = Literal["poisson", "gamma", "constant", "trace"]

Rate = Annotated[float, Field(ge=0.001, le=100_000)]
"""Requests a second."""


class Trace(Spec):
    """Recorded times of requests: a JSONL file with one of them a line, in order.

    Attributes:
        file: where it lies (resolved by `config`).
        unit: of its times.
        field: the key that holds a line's time.
        digest: 16 hex digits over the times, so that a record is not measured on with another trace.
    """

    file: Text
    unit: Literal["s", "ms"]
    field: Text = "timestamp"
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] | None = None


class Arrivals(Spec):
    """The process that gives the times; how many a second is the point's rate.

    Attributes:
        process: gaps drawn from an exponential or a gamma distribution, all equal, or as recorded.
        burstiness: shape of the gamma distribution, whose gaps have the coefficient of variation burstiness ** -0.5:
            1 is Poisson, below comes in bursts, above is more even. The name and the meaning are vLLM's
            (vllm/benchmarks/serve.py, `--burstiness`).
        trace: the record; it is stretched to the rate, and begun anew where it ends.
    """

    process: Process = "poisson"
    burstiness: Annotated[float, Field(ge=0.01, le=100)] | None = None
    trace: Trace | None = None

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        for process, key in (("gamma", "burstiness"), ("trace", "trace")):
            given = getattr(self, key) is not None
            if self.process == process and not given:
                raise ValueError(f"process: {process} needs {key}; add it")
            if given and self.process != process:
                raise ValueError(f"{key}: does not apply to {self.process}; leave it out, or ask for {process}")
        return self

    @property
    def label(self) -> str:
        """What rows say, and what must be equal in a comparison: `poisson`, `gamma 0.25`, `trace 9f86d081884c7d65`."""
        detail = {"gamma": f"{self.burstiness:g}" if self.burstiness else "", "trace": self._digest}
        return " ".join(filter(None, (self.process, detail.get(self.process))))

    @property
    def _digest(self) -> str | None:
        return self.trace.digest if self.trace else None
