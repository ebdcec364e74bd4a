"""Every call of a Slurm program: with a limit, again where Slurm was only busy, and no answer told from a refusal.

Knows nothing of sweeps. What Slurm does not say is unknown: `ClusterSilent`, never a guess.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import ClusterError, ClusterSilent

LIMIT_S = 30.0
"""For one call; a controller that is restarting lets its callers hang."""

PAUSES_S = (0.5, 2.0, 5.0, 10.0)
"""Between tries."""

_BUSY = re.compile(
    r"timed out|unable to contact|connection (refused|failure|reset)|transport endpoint|temporarily|zero bytes"
    r"|backup controller|too many open|resource temporarily|message (send|receive) failure|rate limit"
    r"|protocol authentication error|munge (en|de)code failed|configuration source",
    re.IGNORECASE,
)
"""What Slurm's programs say when the controller may well answer the next time (slurm_errno.c, "Communication")."""

_NO_SUCH_JOB = re.compile(r"invalid job id specified", re.IGNORECASE)
"""What they say of a job that Slurm has forgotten, or never had."""

_WAITS_ALREADY = re.compile(r"job is pending execution", re.IGNORECASE)

_NO_LONGER_WAITS = re.compile(r"job is no longer pending", re.IGNORECASE)

_LEAKS = re.compile(r"(SLURM|SBATCH|SRUN|SALLOC|SLURMD|SQUEUE|SCANCEL|SCONTROL)_(?!CONF$)")
"""Variables of a user, or of a job that this process may run in: they would shape the jobs that it submits, send one
program to another cluster than the next, or hide jobs from it."""

_FACT = re.compile(r"(\w[\w:/]*)=(\S*)")
_SEPARATOR = "|"

ENDED = frozenset(
    ["BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"]
)
"""States that a job does not leave: https://slurm.schedmd.com/job_state_codes.html."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """One job, or one element of an array, as squeue shows it.

    Attributes:
        name: of the job.
        job: the array's number, or the job's own.
        task: index in the array; None for a job that is none.
        state: in full, as `RUNNING`.
        reason: why it waits.
        time_left: as Slurm writes it.
        node: where it runs; empty while it does not.
        starts: when Slurm expects it to start, or when it did; `N/A` when it can't tell.
    """

    name: str
    job: str
    task: int | None
    state: str
    reason: str
    time_left: str
    node: str
    starts: str

    @property
    def key(self) -> str:
        """As Slurm's commands take it; an array's element never by a number of its own, which may be the array's."""
        return self.job if self.task is None else f"{self.job}_{self.task}"

    @property
    def active(self) -> bool:
        """Whether it runs or may still run."""
        return self.state not in ENDED


def run(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; again where Slurm was busy, so only one that may be given twice.

    Args:
        command: the words.
        env: its environment; None is `clean_environment`, the same for every program.

    Raises:
        ClusterError: it was refused, or there is no such program.
        ClusterSilent: no answer in several tries.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            return run_once(*command, env=env)
        except ClusterSilent:
            if pause_s is None:
                raise
            time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


def run_once(*command: str, env: Mapping[str, str] | None = None) -> str:
    """Run a command a single time and return what it prints.

    Args:
        command: the words.
        env: as for `run`.

    Raises:
        ClusterError: it was refused, or there is no such program.
        ClusterSilent: no answer; what was asked for may have been done.
    """
    env = clean_environment() if env is None else env
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except FileNotFoundError as error:
        raise ClusterError(f"no {command[0]} on PATH: go to a machine that can submit to the cluster") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterSilent(f"{command[0]}: no answer from Slurm in {LIMIT_S:.0f} s") from error
    if done.returncode < 0:  # squeue dies of SIGPIPE where the controller closes the connection that it writes to
        raise ClusterSilent(f"{command[0]}: died of {signal.Signals(-done.returncode).name} before Slurm answered")
    if done.returncode:
        words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
        raise (ClusterSilent if _BUSY.search(words) else ClusterError)(f"{command[0]}: {words}")
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what a surrounding job would pass on, and with `more`."""
    return {name: value for name, value in os.environ.items() if not _LEAKS.match(name)} | more


def queued(names: Collection[str]) -> list[Queued]:
    """All jobs and array elements by these names that Slurm still remembers, those that have ended included."""
    if not names:
        return []
    fields = ("%j", "%F", "%K", "%T", "%r", "%L", "%N", "%S")
    layout = _SEPARATOR.join(fields)
    listed = ("--noheader", "--array", "--states=all", f"--name={','.join(sorted(names))}", f"--format={layout}")
    lines = run("squeue", *listed).splitlines()
    return [_queued(line.split(_SEPARATOR)) for line in lines if line.count(_SEPARATOR) == len(fields) - 1]


def job_facts(job: str) -> dict[str, str]:
    """What `scontrol show job` says of one job or array element; values end at a blank."""
    return dict(_FACT.findall(run("scontrol", "show", "job", job, "--oneliner")))


def job_state(job: str) -> str | None:
    """State of one job or array element, as `RUNNING`; None where Slurm has no such job, or no longer remembers it."""
    try:
        return job_facts(job).get("JobState")
    except ClusterError as error:
        if says_no_such_job(error):
            return None
        raise


def says_no_such_job(error: ClusterError) -> bool:
    """Whether a refusal is about a job that Slurm does not have, or no longer remembers."""
    return not isinstance(error, ClusterSilent) and _NO_SUCH_JOB.search(str(error)) is not None


def says_waits_already(error: ClusterError) -> bool:
    """Whether a job was not put back in the queue because it is there: by an earlier call whose answer was lost."""
    return _WAITS_ALREADY.search(str(error)) is not None


def says_no_longer_waits(error: ClusterError) -> bool:
    """Whether a refusal is about jobs that run already; those of an array that wait are changed all the same."""
    return _NO_LONGER_WAITS.search(str(error)) is not None


def waiting_task(array: str) -> str | None:
    """The key of an element of an array that waits; None where none does."""
    layout = f"--format=%F{_SEPARATOR}%K"
    lines = run("squeue", "--noheader", "--array", "--states=PENDING", f"--job={array}", layout).splitlines()
    return next((line.replace(_SEPARATOR, "_") for line in lines if _SEPARATOR in line), None)


def steps_named(job: str, name: str) -> list[str]:
    """Numbers of a job's running steps that have a name."""
    lines = run("squeue", "--noheader", "--steps", f"--job={job}", f"--format=%i{_SEPARATOR}%j").splitlines()
    ids = (line.split(_SEPARATOR) for line in lines if _SEPARATOR in line)
    return [step.rpartition(".")[2] for step, its_name in ids if its_name == name]


def largest_array() -> int:
    """MaxArraySize: an array's indexes lie below it.

    Raises:
        ClusterError: Slurm does not say, or takes no arrays.
    """
    setting = re.search(r"^MaxArraySize\s*=\s*(\d+)", run("scontrol", "show", "config"), re.MULTILINE)
    if setting is None:
        raise ClusterError("scontrol show config: has no MaxArraySize")
    if not (largest := int(setting[1])):
        raise ClusterError("MaxArraySize=0 in slurm.conf: this cluster takes no job arrays, and elements are one")
    return largest


def node_names(nodelist: str) -> list[str]:
    """`h100-[1-2]` as its single names."""
    return run("scontrol", "show", "hostnames", nodelist).split()


def _queued(fields: Sequence[str]) -> Queued:
    name, job, task, state, reason, time_left, node, starts = fields
    number = int(task) if task.isdigit() else None
    return Queued(
        name=name, job=job, task=number, state=state, reason=reason, time_left=time_left, node=node, starts=starts
    )
