"""Weights: whether they are here and whole, and whether the hub would give them. The hub is asked only when told to."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import aiohttp

from harness.doctor.finding import Examination, Finding, blocks, good, note, warning
from harness.errors import UserError
from harness.paths import expand, is_local
from harness.prefetch import Wanted, looked_at, wanted_by
from harness.provenance.weights import hub_cache, hub_folder

AREA = "models"

HUB = "https://huggingface.co"
HUB_LIMIT_S = 15.0

LICENCE = "accept the model's licence on its page at the hub"
REFUSALS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: f"log in with `hf auth login`, or set HF_TOKEN; {LICENCE}",
    HTTPStatus.FORBIDDEN: f"{LICENCE}, with the account of the token",
    HTTPStatus.NOT_FOUND: "correct the name or the revision; a private model wants HF_TOKEN",
}
"""What the hub answers, and what to do about it. Source: https://huggingface.co/docs/hub/models-gated"""


def models(examination: Examination) -> Iterator[Finding]:
    """What the sweep's engines will read; without a sweep, where they look."""
    if examination.sweep is None:
        yield _cache()
        if examination.online:
            yield _asked("the hub", "")
    wanted = {
        (w.place, w.revision, w.weights): w
        for run in examination.runs
        if _reads(run.engine.name)
        for w in wanted_by(run)
    }
    for one in wanted.values():
        yield _folder(one) if is_local(one.place) else _hub_model(one, online=examination.online)


def _reads(engine: str) -> bool:
    return engine != "emulator"  # it has no weights and no tokenizer


def _cache() -> Finding:
    kept = sorted(path.name.removeprefix("models--") for path in hub_cache().glob("models--*"))
    return note(AREA, "model hub", f"{len(kept)} models in {hub_cache()}")


def _folder(wanted: Wanted) -> Finding:
    try:
        return good(AREA, "folder", looked_at(Path(expand(wanted.place)), weights=wanted.weights))
    except UserError as error:
        says, _, remedy = str(error).rpartition(": ")
        return blocks(AREA, "folder", says, remedy)


def _hub_model(wanted: Wanted, *, online: bool) -> Finding:
    """Here and whole; or else what the hub says of it, or that it was not asked."""
    commit, folder = hub_folder(wanted.place, wanted.revision)
    if commit is not None and folder is not None:
        try:
            return good(AREA, wanted.place, looked_at(folder, weights=wanted.weights))
        except UserError as error:
            return warning(AREA, wanted.place, str(error).rpartition(": ")[0], "mtpbench prefetch SWEEP")
    if online:
        return _asked(wanted.place, f"/{wanted.place}/resolve/{wanted.revision or 'main'}/config.json")
    return warning(
        AREA,
        wanted.place,
        "not staged, so the first server would wait for its download",
        "mtpbench prefetch SWEEP; --online asks whether the hub would give it",
    )


def _asked(what: str, path: str) -> Finding:
    hub = os.environ.get("HF_ENDPOINT", HUB).rstrip("/")
    try:
        status = asyncio.run(_status(f"{hub}{path}"))
    except (aiohttp.ClientError, TimeoutError) as error:
        return blocks(
            AREA, what, f"{hub} can't be reached: {error}", "stage the model by hand and set HF_HUB_OFFLINE=1"
        )
    if status >= HTTPStatus.BAD_REQUEST:
        says = f"{hub} answers {status} {HTTPStatus(status).phrase}"
        return blocks(AREA, what, says, REFUSALS.get(status, "ask again later"))
    if not path:
        return good(AREA, what, f"{hub} answers")
    return note(AREA, what, f"not staged yet; {hub} would give it", "mtpbench prefetch SWEEP")


async def _status(url: str) -> int:
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    limit = aiohttp.ClientTimeout(total=HUB_LIMIT_S)
    async with aiohttp.ClientSession(timeout=limit, trust_env=True) as http, http.head(url, headers=headers) as answer:
        return answer.status
