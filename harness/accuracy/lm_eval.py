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
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from harness.atomic_files import write_json
from harness.errors import MachineUnfit
from harness.paths import expand
from harness.rundir import AttemptDir, RunDir
from harness.server import Server
from harness.spec import Evaluation, Run, Sweep

logger = logging.getLogger(__name__)

PATIENCE_S = 7200.0
LOADS_TASK = """
import sys
from lm_eval.tasks import TaskManager, get_task_dict
get_task_dict([sys.argv[1]], TaskManager(include_path=sys.argv[2] or None))
"""


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one lm-eval task on one server.

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


class _Questions(msgspec.Struct):
    effective: int


class _Said(msgspec.Struct, rename={"n_samples": "n-samples"}):
    """The parts of lm-eval's file of results that are read."""

    results: dict[str, dict[str, object]]
    n_samples: dict[str, _Questions]


async def require_loadable_task(sweep: Sweep) -> None:
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
    asked = evaluation_of(sweep, server.run)
    if asked is None or launch > 0:
        return
    floor, most = asked.floor_for(server.run.model), server.run.settings.max_running_requests
    users = min(max(sweep.concurrencies, default=most), most)
    with TemporaryDirectory() as folder:
        key = {"OPENAI_API_KEY": server.endpoint.api_key or "none"}
        failed = await _run(_python(asked), _arguments(server, asked, users, folder), asked, key)
        found = (
            found_in(Path(folder), _task(asked), floor)
            if failed is None
            else Evaluated(task=_task(asked), floor=floor, reason=failed)
        )
    if found.reason is not None:
        logger.warning("%s: %s gives no score: %s", server.run.key, _task(asked), found.reason)
    write_json(attempt.accuracy, msgspec.to_builtins(found))


def evaluation_of(sweep: Sweep, run: Run) -> Evaluation | None:
    """The task that a Run is to be put to: forced acceptance writes other tokens on purpose."""
    return sweep.accuracy if run.mtp.forced_acceptance_length is None else None


def newest(run: RunDir) -> Evaluated | None:
    """What came of the Run's last start that was asked; None where none was."""
    files = [attempt.accuracy for attempt in run.attempts() if attempt.accuracy.exists()]
    return msgspec.json.decode(files[-1].read_bytes(), type=Evaluated) if files else None


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


def found_in(folder: Path, task: str, floor: float) -> Evaluated:
    """What lm-eval's file of results says of a task; where it says nothing that is understood, why."""
    found = partial(Evaluated, task=task, floor=floor)
    file = next(folder.rglob("results_*.json"), None)
    if file is None:
        return found(reason="lm-eval left no results")
    try:
        # A figure that is no number is a word: refused where it is read, and nowhere else.
        said = msgspec.convert(json.loads(file.read_bytes(), parse_constant=str), _Said)
        results = said.results.get(task, {})
        exact = {name: value for name, value in results.items() if name.startswith("exact_match,")}
        scores = msgspec.convert(exact, dict[str, float])
    except (ValueError, msgspec.ValidationError) as error:
        return found(reason=f"lm-eval's results are not understood: {error}")
    if not scores or task not in said.n_samples:
        return found(reason="lm-eval's results have no exact match, or no number of questions")
    return found(scores=scores, questions=said.n_samples[task].effective)
