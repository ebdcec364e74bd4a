"""`vllm bench serve` as a peer: run it on given prompts, and read what it kept. Uses none of mtpbench's own arithmetic.

Of each run two figures: what it reports itself, over the whole run, and what its stamps say of the part in which every
user was busy. Sources: vllm/benchmarks/serve.py and vllm/benchmarks/lib/endpoint_request_func.py of 0.32.0.
"""

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.engines import Endpoint
from harness.errors import MtpbenchError

Floats = NDArray[np.float64]

LIMIT_S = 600.0
PARTS = ("ramp", "steady", "drain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The program, and the server that it is to ask.

    Attributes:
        program: path of `vllm`.
        tokenizer: folder; it counts prompts with it, what is sent is text.
        folder: where its data set, log and result are written.
    """

    program: str
    endpoint: Endpoint
    tokenizer: str
    concurrency: int
    temperature: float
    folder: Path

    async def run(self, requests: Sequence[tuple[str, int]], extra_body: Mapping[str, object]) -> dict[str, object]:
        """Its detailed result.

        Args:
            requests: prompt and output tokens, in the order of sending.
            extra_body: what each request asks for besides.

        Raises:
            MtpbenchError: it failed, or a request of it did.
        """
        dataset, saved = self.folder / "prompts.jsonl", self.folder / "peer.json"
        lines = [json.dumps({"prompt": text, "output_tokens": osl}) for text, osl in requests]
        dataset.write_text("\n".join(lines) + "\n", encoding="utf-8")
        saved.unlink(missing_ok=True)
        await self._run(self._command(dataset, saved, len(requests), extra_body))
        result: dict[str, object] = json.loads(saved.read_text(encoding="utf-8"))
        if result["failed"] or result["output_lens"] != [osl for _, osl in requests]:
            raise MtpbenchError(f"vllm bench serve: {result['failed']} requests failed, or outputs have other lengths")
        return result

    def _command(self, dataset: Path, saved: Path, requests: int, extra_body: Mapping[str, object]) -> list[str]:
        options = {
            "--backend": "vllm",
            "--base-url": self.endpoint.base_url,
            "--endpoint": "/v1/completions",
            "--model": self.endpoint.model,
            "--tokenizer": self.tokenizer,
            "--dataset-name": "custom",
            "--dataset-path": str(dataset),
            "--custom-output-len": "-1",  # each line says its own
            "--num-prompts": str(requests),
            "--max-concurrency": str(self.concurrency),
            "--temperature": str(self.temperature),
            "--ready-check-timeout-sec": "0",
            "--result-dir": str(saved.parent),
            "--result-filename": saved.name,
        }
        pairs = [word for pair in options.items() for word in pair]
        flags = ("--disable-shuffle", "--skip-chat-template", "--ignore-eos", "--save-result", "--save-detailed")
        more = ("--extra-body", json.dumps(extra_body)) if extra_body else ()
        return [self.program, "bench", "serve", *pairs, *flags, "--disable-tqdm", *more]

    async def _run(self, command: Sequence[str]) -> None:
        key = self.endpoint.api_key
        env = {**os.environ, "HF_HUB_OFFLINE": "1", **({"OPENAI_API_KEY": key} if key else {})}
        log = self.folder / "peer.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(*command, env=env, stdout=out, stderr=out)
            try:
                code = await asyncio.wait_for(process.wait(), LIMIT_S)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if code:
            raise MtpbenchError(f"vllm bench serve ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")


def figures(result: Mapping[str, object], concurrency: int) -> dict[str, object]:
    """What it reports (`whole`), and what its stamps say of its steady part (`steady`).

    The steady part begins when two requests a user have ended, and ends when the last request is sent.
    """
    start, latency = np.array(result["start_times"]), _latencies(result)
    osl, ttft = np.array(result["output_lens"]), np.array(result["ttfts"])
    end = start + latency
    begin_s, finish_s = float(np.sort(end)[2 * concurrency - 1]), float(start.max())
    inside = (end >= begin_s) & (end < finish_s) & (osl > 1)
    tpot = (latency - ttft)[inside] / (osl[inside] - 1)
    parts = _parts(result, [float(start.min()), begin_s, finish_s, float(start.min()) + float(result["duration"])])
    return {
        "whole": {"output_tok_s": result["output_throughput"], "tpot_ms": result["median_tpot_ms"]},
        "steady": {"output_tok_s": parts["steady"]["output_tok_s"], "tpot_ms": float(np.median(tpot)) * 1e3},
        "parts": parts,
        "requests": len(osl),
        "requests_in_steady": int(inside.sum()),
        "isl_served": float(np.mean(result["input_lens"])),
        "mean_tpot_ms": result["mean_tpot_ms"],
        "median_ttft_ms": result["median_ttft_ms"],
        "acceptance_length": result.get("spec_decode_acceptance_length"),
    }


def effect_pct(parts: Mapping[str, Mapping[str, float]], part: str) -> float:
    """What a part does to the throughput of the whole run, % of the steady part's; all add up to the difference."""
    share = parts[part]["seconds"] / sum(each["seconds"] for each in parts.values())
    return 100 * share * (parts[part]["output_tok_s"] / parts["steady"]["output_tok_s"] - 1)


def _parts(result: Mapping[str, object], edges_s: Sequence[float]) -> dict[str, dict[str, float]]:
    stamps, tokens = _token_stamps(result)
    counted = np.histogram(stamps, [*edges_s[:3], np.inf], weights=tokens)[0]
    seconds = np.diff(edges_s)
    return {
        part: {"seconds": float(seconds[at]), "output_tok_s": float(counted[at] / seconds[at])}
        for at, part in enumerate(PARTS)
    }


def _token_stamps(result: Mapping[str, object]) -> tuple[Floats, Floats]:
    """When each chunk came and how many tokens it held. The peer does not keep the second, only the sum.

    One token is taken for the first chunk, as the server sends it; the others are spread evenly over the later ones.
    """
    stamps, tokens = [], []
    columns = [result[name] for name in ("start_times", "ttfts", "itls", "output_lens")]
    for start, ttft, itl, osl in zip(*columns, strict=True):
        stamps.append(start + np.cumsum([ttft, *itl]))
        tokens.append([1.0 if itl else osl, *[(osl - 1) / len(itl)] * len(itl)])
    return np.concatenate(stamps), np.concatenate(tokens)


def _latencies(result: Mapping[str, object]) -> Floats:
    """Send to last token of each request; 0.26 does not say it, and it is the sum of what it does say."""
    if "latencies" in result:
        return np.array(result["latencies"])
    return np.array([ttft + sum(itls) for ttft, itls in zip(result["ttfts"], result["itls"], strict=True)])
