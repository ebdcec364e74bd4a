"""Comparisons -> a picture: total tok/s/GPU against interactivity, every arm with its points and their intervals.

A Vega-Lite specification, plain data that a page can draw as well; here drawn offline by vl-convert, which carries the
whole of Vega in one wheel. The same specification gives the same bytes. Computes nothing but places on the curves.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from analysis.comparison import Comparison
from analysis.curve import Curve
from analysis.pairs import Pair, Side
from analysis.rows import X, Y
from analysis.spread import Spread, level_errors
from harness.metrics import METRICS

Spec = dict[str, Any]

VEGA_LITE = "5.20"
"""Version that the specification is written for and drawn with."""

COLOURS = ("#6b7280", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Off, then the MTP arms; told apart with any colour vision (Okabe and Ito's palette)."""

SHAPES = ("circle", "diamond")
"""Off, then MTP: told apart without any colour."""

STEPS = 80
ROOM_FOR_INTERVALS = 1.35
"""How much higher than the highest point the picture may be for the sake of an interval."""

WIDTH, HEIGHT = 640, 380
SCALE = 2.0


def svg(comparisons: Sequence[Comparison]) -> str:
    """The picture as SVG."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec(comparisons), vl_version=VEGA_LITE))


def png(comparisons: Sequence[Comparison]) -> bytes:
    """The picture as PNG, at twice the size on screen."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(spec(comparisons), vl_version=VEGA_LITE, scale=SCALE))


def spec(comparisons: Sequence[Comparison]) -> Spec:
    """The specification: one chart below the other for each system; the MTP arms of one Off share a chart."""
    systems: dict[tuple[object, ...], list[Comparison]] = {}
    for comparison in comparisons:
        pair = comparison.pair
        key = (pair.question, pair.view, pair.off.topologies, pair.mtp.topologies)
        systems.setdefault(key, []).append(comparison)
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE.partition('.')[0]}.json",
        "background": "white",
        "config": {"font": "sans-serif", "axis": {"gridColor": "#e5e7eb"}, "view": {"stroke": None}},
        "vconcat": [chart(group) for group in systems.values()],
    }


def chart(group: Sequence[Comparison]) -> Spec:
    """One system: Off and the MTP arms that were compared with it."""
    first = group[0]
    return {
        "title": {"text": _title(first.pair), "subtitle": _subtitle(group), "anchor": "start"},
        "width": WIDTH,
        "height": HEIGHT,
        "layer": _layers([(first.pair.off, first.off), *((each.pair.mtp, each.mtp) for each in group)]),
    }


class _Encodings(NamedTuple):
    """What both axes, the colours and the shapes of a chart stand for."""

    x: Spec
    y: Spec
    colour: Spec
    shape: Spec


def _layers(spreads: Sequence[tuple[Side, Spread]]) -> list[Spec]:
    """What is drawn of each arm, the lowest layer first."""
    lines = [(side, found.curve) for side, found in spreads]
    points = [value for side, line in lines for value in _points(side, line)]
    top = ROOM_FOR_INTERVALS * max(point["y"] for point in points)
    encodings = _encodings(lines)
    return [
        _band_layer([value for side, found in spreads for value in _band(side, found, top)], encodings),
        _line_layer([value for side, line in lines for value in _line(side, line)], encodings),
        *_interval_layers(points, encodings),
        _point_layer(points, encodings),
        _label_layer(points, encodings),
    ]


def _encodings(lines: Sequence[tuple[Side, Curve]]) -> _Encodings:
    arms = list(dict.fromkeys(side.arm.label for side, _ in lines))
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(arms))]
    return _Encodings(
        x={"field": "x", "type": "quantitative", "title": _axis(X), "scale": {"zero": False, "nice": True}},
        y={"field": "y", "type": "quantitative", "title": f"total {METRICS[Y].unit}", "scale": {"zero": True}},
        colour={
            "field": "arm",
            "type": "nominal",
            "title": None,
            "scale": {"domain": arms, "range": colours},
            "legend": {"orient": "top", "symbolOpacity": 1, "symbolSize": 90},
        },
        shape={"field": "arm", "type": "nominal", "scale": {"domain": arms, "range": _shapes(lines)}, "legend": None},
    )


def _band_layer(bands: list[Spec], encodings: _Encodings) -> Spec:
    x, y, colour, _ = encodings
    ends = {"y": {**y, "field": "y_lo"}, "y2": {"field": "y_hi"}}
    return _layer(
        bands, {"type": "area", "opacity": 0.14}, {"x": x, **ends, "color": colour, "detail": {"field": "run"}}
    )


def _line_layer(places: list[Spec], encodings: _Encodings) -> Spec:
    x, y, colour, _ = encodings
    order = {"field": "order", "type": "quantitative"}
    return _layer(places, {"type": "line", "strokeWidth": 2}, {"x": x, "y": y, "color": colour, "order": order})


def _interval_layers(points: list[Spec], encodings: _Encodings) -> Iterable[Spec]:
    """A bar along each axis."""
    x, y, colour, _ = encodings
    yield _bar(points, "y", {"x": x, "y": {**y, "field": "y_lo"}, "y2": {"field": "y_hi"}, "color": colour})
    yield _bar(points, "x", {"y": y, "x": {**x, "field": "x_lo"}, "x2": {"field": "x_hi"}, "color": colour})


_OUTLYING = {"test": "datum.outlier", "value": 0.35}


def _point_layer(points: list[Spec], encodings: _Encodings) -> Spec:
    x, y, colour, shape = encodings
    return _layer(
        points,
        {"type": "point", "size": 70, "filled": True, "stroke": "white", "strokeWidth": 1},
        {"x": x, "y": y, "color": colour, "shape": shape, "opacity": {"condition": _OUTLYING, "value": 1}},
    )


def _label_layer(points: list[Spec], encodings: _Encodings) -> Spec:
    x, y, colour, _ = encodings
    return _layer(
        points,
        {"type": "text", "dy": -9, "dx": 7, "align": "left", "fontSize": 9},
        {"x": x, "y": y, "color": colour, "text": {"field": "label"}},
    )


def _layer(values: list[Spec], mark: Spec, encoding: Spec) -> Spec:
    return {"data": {"values": values}, "mark": mark, "encoding": encoding}


def _bar(points: list[Spec], axis: str, encoding: Spec) -> Spec:
    """Interval marks along one axis, of the points that have an interval."""
    return _layer([point for point in points if f"{axis}_lo" in point], {"type": "rule", "strokeWidth": 1.5}, encoding)


def _shapes(lines: Sequence[tuple[Side, Curve]]) -> list[str]:
    return [SHAPES[0] if side.arm.is_off else SHAPES[1] for side, _ in lines]


def _band(side: Side, found: Spread, top: float) -> Iterable[Spec]:
    """The curve's 95 % interval where it is known, cut off above `top`; `run` counts stretches without a gap."""
    low, high = found.curve.span
    if low == high:
        return
    at = np.geomspace(low, high, STEPS // 2).clip(low, high)
    run = 0
    for x, y, error in zip(at, np.exp(found.curve.log(Y, at)), found.errors(at)[Y], strict=True):
        if error is None:
            run += 1
            continue
        width = 1 + error.half_width
        ends = {"y_lo": _figure(float(y) / width), "y_hi": min(_figure(float(y) * width), _figure(top))}
        yield {"arm": side.arm.label, "run": run, "x": _figure(float(x)), **ends}


def _points(side: Side, line: Curve) -> Iterable[Spec]:
    outliers = {id(outlier.level) for outlier in line.outliers}
    several = len(side.topologies) > 1
    for level in line.levels:
        errors = level_errors(level)
        point: Spec = {"arm": side.arm.label, "label": level.label if several else level.load.label}
        point["outlier"] = id(level) in outliers
        for axis, name in (("x", X), ("y", Y)):
            value, error = level.required(name), errors[name]
            point[axis] = _figure(value)
            if error is not None:
                point[f"{axis}_lo"] = _figure(value / (1 + error.half_width))
                point[f"{axis}_hi"] = _figure(value * (1 + error.half_width))
        yield point


def _line(side: Side, line: Curve) -> Iterable[Spec]:
    low, high = line.span
    if low == high:
        return
    at = np.geomspace(low, high, STEPS).clip(low, high)
    for order, (x, y) in enumerate(zip(at, np.exp(line.log(Y, at)), strict=True)):
        yield {"arm": side.arm.label, "order": order, "x": _figure(float(x)), "y": _figure(float(y))}


def _figure(value: float) -> float:
    """Six digits: more than a picture shows, fewer than machines differ in."""
    return float(f"{value:.6g}")


def _axis(name: str) -> str:
    return f"{name} ({METRICS[name].unit})"


def _title(pair: Pair) -> str:
    question = pair.question
    topologies = ", ".join(topology.label for topology in pair.off.topologies)
    where = topologies if pair.balanced and len(pair.off.topologies) == 1 else "best of topologies"
    return f"{question.model} on {question.gpu}, {question.precision}, {question.workload}, {question.engine} {where}"


def _subtitle(group: Sequence[Comparison]) -> list[str]:
    """What the numbers must never lose, and what the marks mean."""
    stamps = dict.fromkeys(stamp for comparison in group for stamp in comparison.stamps)
    marks = "bands and bars: 95 % intervals; pale: worse in both axes than another point of its arm"
    search = [] if group[0].pair.balanced else ["the arms searched different topologies: no effect of MTP"]
    return [*([", ".join(stamps)] if stamps else []), *search, marks]
