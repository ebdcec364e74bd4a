"""A task of lm-eval, such as GSM8K, put to the very server that was measured: do its answers reach the model's floor?

Once for each arm with natural acceptance, after the load of its first launch. lm-eval is never imported: it runs in a
process of its own, in our environment or another, and speaks to the server as any client does. Knows no points.
"""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from harness.errors import MachineUnfit
from harness.paths import expand
from harness.rundir import AttemptDir, RunDir
from harness.server import Server
from harness.spec import Evaluation, Run, Sweep
from harness.whole import write_json

logger = logging.getLogger(__name__)

PATIENCE_S = 7200.0
LOADS_TASK = """
import sys
from lm_eval.tasks import TaskManager, get_task_dict
get_task_dict([sys.argv[1]], TaskManager(include_path=sys.argv[2] or None))
"""


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        scores: every exact match that the task counts, by lm-eval's name: strict and flexible are two.
        floor: the least that each may be.
        questions: how many were put.
        reason: why there are no scores; None where there are.
    """

    task: str
    floor: float
    scores: dict[str, float] = {}
    questions: int | None = None
    reason: str | None = None

    @property
    def below(self) -> str | None:
        """The scores that lie below the floor, in a phrase; None where none does."""
        low = [f"{name} {score:.3f}" for name, score in self.scores.items() if score < self.floor]
        return f"{self.task}: {', '.join(low)} of {self.questions} questions, floor {self.floor:g}" if low else None


async def see_that_it_can(sweep: Sweep) -> None:
    """Load the task once before any server starts: a missing data set must not cost hours of GPU.

    Raises:
        MachineUnfit: lm-eval or the task's data is not here.
    """
    asked = sweep.accuracy
    if asked is None:
        return
    failed = await _run(_python(asked), ("-c", LOADS_TASK, _task(asked), _folder(asked)), asked, {})
    if failed is not None:
        raise MachineUnfit(
            f"accuracy: lm-eval can't load {_task(asked)}: {failed}; pip install 'mtpbench[accuracy]', or name another "
            "environment by accuracy.venv; its data comes from the hub once, or from a file that the task names"
        )


async def evaluate(server: Server, attempt: AttemptDir, sweep: Sweep, launch: int) -> None:
    """Put the task to a server and write what came of it, failures included."""
    asked = sweep.accuracy
    if asked is None or launch > 0 or server.run.mtp.forced_acceptance_length is not None:
        return
    floor, most = asked.floor_for(server.run.model), server.run.settings.max_running_requests
    users = min(max(sweep.concurrencies, default=most), most)
    with TemporaryDirectory() as folder:
        key = {"OPENAI_API_KEY": server.endpoint.api_key or "none"}
        failed = await _run(_python(asked), _arguments(server, asked, users, folder), asked, key)
        found = _found(Path(folder), asked, floor) if failed is None else None
    if found is None:
        reason = failed or "it left no result"
        logger.warning("%s: %s could not be put to it: %s", server.run.key, _task(asked), reason)
        found = Evaluated(task=_task(asked), floor=floor, reason=reason)
    write_json(attempt.accuracy, msgspec.to_builtins(found))


def evaluations_of(run: RunDir) -> list[Evaluated]:
    """What came of every start of a Run that was asked."""
    files = [attempt.accuracy for attempt in run.attempts()]
    return [msgspec.json.decode(file.read_bytes(), type=Evaluated) for file in files if file.exists()]


def _python(asked: Evaluation) -> str:
    """The interpreter of the environment that holds lm-eval."""
    return sys.executable if asked.venv is None else f"{expand(asked.venv)}/bin/python"


def _task(asked: Evaluation) -> str:
    return Path(asked.task).stem if asked.is_file else asked.task


def _folder(asked: Evaluation) -> str:
    return str(Path(expand(asked.task)).resolve().parent) if asked.is_file else ""


def _arguments(server: Server, asked: Evaluation, users: int, folder: str) -> Sequence[str]:
    run, endpoint = server.run, server.endpoint
    kind, path = ("local-chat-completions", "chat/") if run.model.chat else ("local-completions", "")
    where = {
        "model": endpoint.model,
        "base_url": f"{endpoint.base_url}/v1/{path}completions",
        "num_concurrent": users,
        "max_retries": 3,
        "tokenized_requests": False,
        "tokenizer_backend": "none",
    }
    options = {
        "--model": kind,
        "--model_args": ",".join(f"{name}={value}" for name, value in where.items()),
        "--tasks": _task(asked),
        "--gen_kwargs": f"temperature=0,max_gen_toks={_answer_tokens(run)}",
        "--output_path": folder,
        "--include_path": _folder(asked),
        "--limit": asked.questions or "",
        "--num_fewshot": "" if asked.shots is None else asked.shots,
    }
    words = [word for name, value in options.items() if value != "" for word in (name, str(value))]
    return ("-m", "lm_eval", "run", *words, *(("--apply_chat_template",) if run.model.chat else ()))


def _answer_tokens(run: Run) -> int:
    """Half of the context: the other half is the examples' and the question's."""
    return run.settings.context // 2


async def _run(program: str, arguments: Sequence[str], asked: Evaluation, env: Mapping[str, str]) -> str | None:
    """Run it to its end; None, or the last thing it said before it failed."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **env},
            cwd=_folder(asked) or None,
        )
    except OSError as error:
        return str(error)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    except TimeoutError:
        return f"not done after {PATIENCE_S / 3600:g} h"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = said.decode(errors="replace").split("\n")
    return None if process.returncode == 0 else next((line for line in reversed(lines) if line.strip()), "no word")


def _found(folder: Path, asked: Evaluation, floor: float) -> Evaluated | None:
    for file in folder.rglob("results_*.json"):
        said = json.loads(file.read_text(encoding="utf-8"))
        results = said["results"][_task(asked)]
        scores = {name: float(value) for name, value in results.items() if name.startswith("exact_match,")}
        if scores:
            questions = said["n-samples"][_task(asked)]["effective"]
            return Evaluated(task=_task(asked), floor=floor, scores=scores, questions=questions)
    return None
