"""What a profile comes to for users in closed loop, in closed form: no drawing, no stepping, no start and no end.

It reckons with means: a request takes its mean number of steps, and the others' prompts are spread evenly over them.
"""

from dataclasses import dataclass

from harness.emulator.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Users in closed loop on one server, and how far a step takes each.

    Attributes:
        acceptance_length: mean tokens of a decode step.
    """

    users: int
    isl: int
    osl: int
    draft_tokens: int = 0
    acceptance_length: float = 1.0

    @property
    def steps(self) -> float:
        """Steps of one request: one that ends its prefill, the others decode."""
        return 1 + (self.osl - 1) / self.acceptance_length

    @property
    def context_tokens(self) -> float:
        """Tokens of context that a step reads, on average."""
        return self.users * (self.isl + self.osl / 2)

    @property
    def prefill_tokens(self) -> float:
        """Prompt tokens of other requests that share the step of a decoding one, on average."""
        return (self.users - 1) * self.isl / self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Steady-state figures of the users of a `Load`.

    Attributes:
        interactivity: tok/s of one user after the first token.
        request_s: from send to last token.
        total_tok_s: of all users, prompts included, on all the server's GPUs.
    """

    interactivity: float
    request_s: float
    total_tok_s: float


def expected(profile: Profile, load: Load) -> Expected:
    """The steady state of a load."""
    step_s = profile.step_s(
        sequences=load.users,
        context_tokens=load.context_tokens,
        prefill_tokens=load.prefill_tokens,
        draft_tokens=load.draft_tokens,
    )
    request_s = load.steps * step_s + profile.per_prefill_token_s * load.isl
    return Expected(
        interactivity=load.acceptance_length / step_s,
        request_s=request_s,
        total_tok_s=load.users * (load.isl + load.osl) / request_s,
    )
