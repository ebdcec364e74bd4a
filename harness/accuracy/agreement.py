"""Whether MTP changes answers: the same questions, greedily, to the very servers that are measured.

Speculation that is lossless gives Off's tokens. Batches and kernels differ between steps of different widths, so even
an honest pair parts ways now and then, and so do two Off servers: that is what an MTP server is held to. Each start is
asked before its load and after it. Knows nothing of points and loads.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import aiohttp
import msgspec
import numpy as np

from harness.atomic_files import atomic
from harness.load.sse import EventStream
from harness.records import write_jsonl
from harness.rundir import AttemptDir, RunDir, SweepDir
from harness.server import Server
from harness.spec import Run, Sampling, Sweep, Workload
from harness.stats import t_quantile

logger = logging.getLogger(__name__)

QUESTIONS = (
    "What is the capital of Australia, and why is it not Sydney?",
    "A train leaves at 9:40 and arrives at 13:05. How long did the journey take? Explain each step.",
    "Write a Python function that returns the n-th Fibonacci number, and say what its complexity is.",
    "List the planets of the solar system from the sun outwards, with one fact about each.",
    "Translate into French: The weather was fine, so we walked home along the river.",
    "If five machines make five parts in five minutes, how long do 100 machines need for 100 parts?",
    "Explain to a child why the sky is blue.",
    "Summarise the rules of chess in ten sentences.",
    "Which number comes next: 2, 6, 12, 20, 30? Show how you know.",
    "Name three differences between TCP and UDP, and when you would use each.",
)
"""Fixed, so that answers of any two starts can be set side by side."""

ANSWER_TOKENS = 48
PATIENCE_S = 300.0
MARGIN = 0.05
"""Agreement that may be lost beyond what two Off servers lose."""

FEWEST_OFF = 2
"""Times that Off has to answer, for its own noise to be known."""

GREEDY = Workload(name="questions", isl=1, osl=ANSWER_TOKENS, sampling=Sampling())


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What one start answered at one time.

    Attributes:
        when: `before` or `after` its load.
        answers: for each question, token ids; letters where the engine gives no ids.
    """

    when: str
    answers: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How far MTP's answers go along with Off's, as a share of their length.

    Attributes:
        mtp: of MTP with Off, mean over questions.
        off: of Off with Off: another time, or another start.
        lost_lo: the lower end of the 95 % interval, over questions, of what MTP loses beyond that.
    """

    mtp: float
    off: float
    lost_lo: float

    @property
    def differs(self) -> bool:
        """Whether more is lost than chance and margin explain."""
        return self.lost_lo > MARGIN


class _Choice(msgspec.Struct):
    text: str = ""
    token_ids: list[int] | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Chunk).decode


def is_asked(sweep: Sweep) -> bool:
    """Whether a sweep has what can be set side by side: forced acceptance writes other tokens on purpose."""
    runs = sweep.all_runs()
    natural = {run.baseline.key for run in runs if not run.is_off and run.mtp.forced_acceptance_length is None}
    return any(run.is_off and run.key in natural for run in runs)


async def ask(server: Server, attempt: AttemptDir, when: str, sweep: Sweep) -> None:
    """Put the questions to a server, all at once, and write its answers; one that fails to answer is left alone."""
    if server.run.mtp.forced_acceptance_length is not None or not is_asked(sweep):
        return
    try:
        async with asyncio.timeout(PATIENCE_S):
            answers = await asyncio.gather(*(_answer(server, question) for question in QUESTIONS))
    except (aiohttp.ClientError, TimeoutError, ValueError) as e:
        logger.warning("%s: its answers could not be had %s its load: %s", server.run.key, when, e)
        given = read(attempt)  # a file without answers says that it was asked
    else:
        given = [*read(attempt), Answers(when=when, answers=tuple(answers))]
    with atomic(attempt.answers) as partial_file:
        write_jsonl(partial_file, given)


def read(attempt: AttemptDir) -> list[Answers]:
    """What a start answered, first to last."""
    lines = attempt.answers.read_bytes().splitlines() if attempt.answers.exists() else []
    return [msgspec.json.decode(line, type=Answers) for line in lines]


def agreement_of(results: SweepDir, run: Run, attempt: AttemptDir) -> Agreement | None:
    """One MTP start against all Off starts so far; None for Off, and where too little was answered."""
    if run.is_off:
        return None
    return agreement(read(attempt), _all_answers(results.run(run.baseline.key)))


def lacking(results: SweepDir, run: Run, attempt: AttemptDir) -> str | None:
    """What was not answered, so that an MTP start can't be set beside Off; None for Off, and where no start was asked.

    Servers in virtual time are not asked, nor were those of a harness that had no questions yet.
    """
    asked = any(start.answers.exists() for key in (run.key, run.baseline.key) for start in results.run(key).attempts())
    if run.is_off or not asked or agreement_of(results, run, attempt) is not None:
        return None
    mtp, off = len(read(attempt)), len(_all_answers(results.run(run.baseline.key)))
    return f"the ten questions: {mtp} x answered by this start of MTP, 1 needed; {off} x by Off, {FEWEST_OFF} needed"


def agreement(mtp: Sequence[Answers], off: Sequence[Answers]) -> Agreement | None:
    """Of answers of both arms; None without MTP's, or with fewer than two of Off's to know its own noise by."""
    if not mtp or len(off) < FEWEST_OFF:
        return None
    own = np.mean([shared(one, other) for one, other in combinations(off, 2)], axis=0)
    with_off = np.mean([shared(one, other) for one, other in product(mtp, off)], axis=0)
    lost = own - with_off
    half = t_quantile(0.975, len(lost) - 1) * float(lost.std(ddof=1)) / len(lost) ** 0.5
    return Agreement(mtp=float(with_off.mean()), off=float(own.mean()), lost_lo=float(lost.mean()) - half)


def shared(one: Answers, other: Answers) -> list[float]:
    """For each question the share of its answer before the first difference."""
    return [
        sum(1 for _ in _common(mine, yours)) / max(len(mine), len(yours), 1)
        for mine, yours in zip(one.answers, other.answers, strict=True)
    ]


def _common(one: Iterable[int], other: Iterable[int]) -> Iterator[int]:
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            return
        yield mine


def _all_answers(run: RunDir) -> list[Answers]:
    return [answers for attempt in run.attempts() for answers in read(attempt)]


async def _answer(server: Server, question: str) -> tuple[int, ...]:
    engine, endpoint = server.engine, server.endpoint
    prompt = await server.tokenize(question, chat=server.run.model.chat)
    context = server.run.settings.context
    tokens = min(ANSWER_TOKENS, context // 4)
    # A context laid out for short prompts cuts the head of the question: both arms the same.
    body = engine.request_body(endpoint, prompt[-(context // 2) :], tokens, GREEDY)
    url = endpoint.base_url + engine.request_path()
    stream, ids, text = EventStream(), list[int](), ""
    async with server.http.post(url, json=body, headers=endpoint.headers, raise_for_status=True) as response:
        async for read_bytes in response.content.iter_any():
            for event in stream.feed(read_bytes):
                for choice in _decode(event.data).choices if event.data.startswith(b"{") else ():
                    ids += choice.token_ids or ()
                    text += choice.text
    return tuple(ids) or tuple(map(ord, text))
