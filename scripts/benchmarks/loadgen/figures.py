"""The table of all runs, and the goals beside what was measured."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from loadgen.contestants import SHARDS
from loadgen.scenes import SCENES, Scene

Run = dict[str, Any]

SATURATED = 0.95
OURS, LIMIT, RUST = "mtpbench", "C limit", ("vllm-rs", "sglang rust")
_COLUMNS = ("scene", "contestant", "n", "us/chunk", "of the C limit", "core busy", "held", "stamp error p99, ms")
_MORE = ("TTFT error p99, ms", "TPOT, % off", "its ITL p50, ms (gap, token)", "tokens, % off")


def table(runs: Sequence[Run]) -> str:
    """Medians by scene and contestant, as Markdown."""
    columns = (*_COLUMNS, *_MORE)
    lines = [_row(columns), _row("---" for _ in columns)]
    for scene in SCENES:
        for name in dict.fromkeys(run["contestant"] for run in runs if run["scene"] == scene):
            own = _of(runs, scene, name)
            good = [run for run in own if "failed" not in run]
            limit = _median(runs, scene, LIMIT, _cost)
            cells = _cells(good, limit, SCENES[scene]) if good else [f"failed: {own[-1]['failed'][:160]}"]
            lines.append(_row([scene, name, f"{len(good)}", *cells]))
    return "\n".join(lines)


def _cells(runs: Sequence[Run], limit: float | None, scene: Scene) -> Iterator[str]:
    cost, busy = _middle(runs, _cost), _middle(runs, lambda run: run["busy"])
    assert cost is not None
    assert busy is not None
    yield f"{cost:.2f}"
    yield f"{cost / limit:.2f}" if limit else "-"
    yield f"{100 * busy:.0f} %{', saturated' if busy > SATURATED and not scene.flood else ''}"
    yield _number(_middle(runs, _held), "{:.1%}")
    yield _number(_middle(runs, _stamp), "{:.3f}")
    yield _number(_middle(runs, _ttft), "{:.2f}")
    yield _number(_middle(runs, _tpot_off), "{:+.2%}")
    yield _itl(runs)
    yield _number(_middle(runs, _tokens_off), "{:+.2%}")


def goals(runs: Sequence[Run]) -> str:
    """Each goal with its figure: met, missed or not measured."""
    return "\n".join(
        f"{'not measured' if value is None else 'met' if met(value) else 'missed':12}  {text}: "
        f"{'-' if value is None else form.format(value)}"
        for text, form, value, met in _goals(runs)
    )


def _goals(runs: Sequence[Run]) -> Iterator[tuple[str, str, float | None, Callable[[float], bool]]]:
    cost = _median(runs, "256x10ms", OURS, _cost)

    def over(name: str) -> float | None:
        other = _median(runs, "256x10ms", name, _cost)
        return None if cost is None or other is None else cost / other

    for peer in RUST:
        yield f"CPU per chunk at 256x10ms over that of {peer}, below 1", "{:.2f}", over(peer), lambda x: x < 1
    yield "CPU per chunk at 256x10ms over the C limit, at most 2.2", "{:.2f}", over(LIMIT), lambda x: x <= 2.2
    for scene in ("256x10ms busy", "1024x40ms busy"):
        text = f"|stamp - truth| p99 at {scene}, under 0.05 ms"
        yield text, "{:.4f}", _median(runs, scene, OURS, _stamp), lambda x: x < 0.05
    text = "TTFT error p99 on staggered starts, under 1 ms"
    yield text, "{:.3f}", _median(runs, "staggered", OURS, _ttft), lambda x: x < 1
    text = "concurrency held on two shared cores, at least 98.5 %"
    yield text, "{:.2%}", _median(runs, "shared", OURS, _held), lambda x: x >= 0.985
    yield "token counts of MTP chunks, off by", "{:.2%}", _median(runs, "mtp", OURS, _tokens_off), lambda x: x == 0
    text = "TPOT of MTP chunks, within 0.1 % of the truth"
    yield text, "{:+.4%}", _median(runs, "mtp", OURS, _tpot_off), lambda x: abs(x) < 1e-3
    one, two = (_median(runs, "shards", f"{n} shards", lambda run: float(run["chunks_s"])) for n in SHARDS)
    text = "chunks a second of two shards over one, at least 1.9"
    yield text, "{:.2f}", two / one if one and two else None, lambda x: x >= 1.9


def _cost(run: Run) -> float:
    return float(run["us_per_chunk"])


def _held(run: Run) -> float | None:
    held: float | None = run["held"]
    return held


def _stamp(run: Run) -> float | None:
    return _p99(run["stamp_error_ms"])


def _ttft(run: Run) -> float | None:
    return _p99(run["ttft_error_ms"])


def _p99(spread: dict[str, float] | None) -> float | None:
    return None if spread is None else spread["p99"]


def _tpot_off(run: Run) -> float | None:
    return _off(run, "tpot_ms")


def _tokens_off(run: Run) -> float | None:
    return _off(run, "tokens")


def _off(run: Run, what: str) -> float | None:
    said, true = run["said"][what], run["true"]
    return None if said is None or true is None else said / true[what] - 1


def _itl(runs: Sequence[Run]) -> str:
    """What a client calls inter-token latency, beside the true gap between chunks and time per token."""
    known = [run for run in runs if run["true"] and run["said"]["itl_ms"] is not None]
    if not known:
        return "-"
    said = median(run["said"]["itl_ms"] for run in known)
    gap, token = (median(run["true"][name] for run in known) for name in ("gap_ms", "tpot_ms"))
    return f"{said:.2f} ({gap:.2f}, {token:.2f})"


def _of(runs: Sequence[Run], scene: str, name: str) -> list[Run]:
    return [run for run in runs if (run["scene"], run["contestant"]) == (scene, name)]


def _median(runs: Sequence[Run], scene: str, name: str, value: Callable[[Run], float | None]) -> float | None:
    return _middle([run for run in _of(runs, scene, name) if "failed" not in run], value)


def _middle(runs: Sequence[Run], value: Callable[[Run], float | None]) -> float | None:
    known = [one for run in runs if (one := value(run)) is not None]
    return median(known) if known else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _row(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"
