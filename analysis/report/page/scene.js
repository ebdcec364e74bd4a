// What the chart shows, in numbers: each arm's line, band and points in the chosen metric and axis, the axes that they
// ask for, and what is said of each. Draws nothing.
const scene = (() => {
  const STEPS = 96;
  const MARGIN = { top: 40, right: 22, bottom: 52, left: 66 };
  const ROOM_FOR_INTERVALS = 1.35;

  /** Everything that is drawn, in numbers: arms with lines, bands and points, axes, targets. */
  function of(pair, s, metric, rates, targets, width, height) {
    const kin = s.others ? state.family(pair).filter((each) => each.id !== pair.id) : [];
    const arms = Object.entries(pair.arms).map(([name, arm]) =>
      drawnArm(pair, name, arm, s, metric, rates, colourOf(pair, name), false),
    );
    for (const other of kin)
      arms.unshift(drawnArm(other, "mtp", other.arms.mtp, s, metric, rates, colourOf(other, "mtp"), true));
    const axes = axesOf(arms, s, width, height);
    return {
      pair,
      s,
      metric,
      rates,
      arms,
      axes,
      targets,
      width,
      height,
      stamps: words.stamps(pair),
      taken: axes ? occupied(arms, axes) : [],
    };
  }

  /** Where points are, so that no label covers one. */
  const occupied = (arms, { x, y }) =>
    arms
      .filter((arm) => !arm.faint)
      .flatMap((arm) => arm.points.map((p) => ({ x: x.at(p.x), y: y.at(p.y) + 4, wide: 8 })));

  function colourOf(pair, name) {
    if (name === "off") return 0;
    return 1 + (state.family(pair).findIndex((each) => each.id === pair.id) % (state.data.colours.length - 1));
  }

  function drawnArm(pair, name, arm, s, metric, rates, colour, faint) {
    const value = (columns) => reading.valueOf(metric, columns, rates, pair);
    const points = arm.points.map((point) => ({
      point,
      x: reading.known(point.values[s.axis]),
      y: value(point.values),
      ...whiskers(point, s, metric),
    }));
    return {
      pair,
      name,
      arm,
      colour,
      faint,
      points: points.filter((p) => p.x !== null && p.y !== null),
      line: line(arm, s, value),
      band: faint || s.axis !== "interactivity" ? [] : band(arm, metric, value),
    };
  }

  /** Relative half-widths of a point's intervals, where they are known. */
  function whiskers(point, s, metric) {
    const half = point.half || {};
    const known = (name) => (half[name] === undefined ? null : half[name]);
    return { halfX: known(s.axis), halfY: known(metric.of) };
  }

  function line(arm, s, value) {
    if (reading.asPublished(arm) || s.axis === "interactivity") {
      return places(arm)
        .map((x) => ({ x, y: value(reading.read(arm, x).columns) }))
        .filter((p) => s.axis === "interactivity" && p.y !== null);
    }
    if (!arm.columns[s.axis]) return [];
    const [from, to] = [arm.place[0], arm.place[arm.place.length - 1]];
    const found = [];
    for (let i = 0; i <= STEPS; i++) {
      const columns = reading.columnsAt(arm, i === STEPS ? to : from + ((to - from) * i) / STEPS);
      found.push({ x: columns[s.axis], y: value(columns) });
    }
    return found.filter((p) => p.y !== null && Number.isFinite(p.x));
  }

  /** Interactivities along an arm's line, knots included, evenly spaced in their logarithm. */
  function places(arm) {
    const [low, high] = reading.span(arm);
    const knots = reading.asPublished(arm) ? arm.x : arm.log_x.map(Math.exp);
    const even = Array.from({ length: STEPS + 1 }, (_, i) => low * (high / low) ** (i / STEPS));
    return [...even, ...knots].map((x) => reading.clip(x, low, high)).sort((a, b) => a - b);
  }

  function band(arm, metric, value) {
    if (!arm.grid || !reading.hasInterval(metric)) return [];
    return arm.grid.x.map((x) => {
      const half = reading.halfOf(arm, metric.of, x),
        y = value(reading.read(arm, x).columns);
      return half === null || y === null ? null : { x, lo: y / (1 + half), hi: y * (1 + half) };
    });
  }

  function axesOf(arms, s, width, height) {
    const points = arms.flatMap((arm) => [...arm.points, ...arm.line]);
    if (!points.length) return null;
    const xs = points.map((p) => p.x),
      ys = points.map((p) => p.y);
    const top = Math.max(...ys),
      bottom = Math.min(...ys);
    const widest = (values, cap) => Math.max(...values.filter((v) => Number.isFinite(v) && v <= cap), -Infinity);
    const least = (values, cap) => Math.min(...values.filter((v) => Number.isFinite(v) && v >= cap), Infinity);
    const bands = arms.flatMap((arm) => arm.band.filter(Boolean));
    const yHigh = Math.max(
      top,
      widest(
        bands.map((b) => b.hi),
        top * ROOM_FOR_INTERVALS,
      ),
    );
    const yLow = Math.min(
      bottom,
      least(
        bands.map((b) => b.lo),
        bottom / ROOM_FOR_INTERVALS,
      ),
    );
    const across = [MARGIN.left, width - MARGIN.right],
      up = [height - MARGIN.bottom, MARGIN.top];
    const xDomain = [Math.min(...xs), Math.max(...xs)],
      room = (xDomain[1] - xDomain[0]) * 0.03 || xDomain[0] * 0.1;
    const counts = [Math.max(3, Math.round(width / 110)), Math.max(3, Math.round(height / 62))];
    const x = s.logx
      ? scales.logarithmic(xDomain, across)
      : scales.linear([Math.max(0, xDomain[0] - room), xDomain[1] + room], across, counts[0]);
    const y = s.logy
      ? scales.logarithmic([yLow, yHigh], up)
      : scales.linear([yLow, yHigh * 1.04], up, counts[1], { zero: true });
    return { x, y };
  }

  /** The arm whose dots carry the target lines where targets are no places on the axis. */
  const bearer = (pair) => pair.arms.mtp || pair.arms.off;

  /** Where a target's line stands on the chosen axis: at its interactivity, or at what the bearing arm has there. */
  function placeOf({ pair, s }, target) {
    if (s.axis === "interactivity") return target.at;
    const side = pair.arms.mtp ? target.mtp : target.off;
    return reading.known(side.columns[s.axis]);
  }

  /** The interactivity that a target gets when its line is put at a place of the chosen axis. */
  function speedAt({ pair, s }, place, near) {
    if (s.axis === "interactivity") return place;
    return bearer(pair).columns[s.axis] ? reading.speedWith(bearer(pair), s.axis, place, near) : near;
  }

  /** What is known of a point, a clause each. */
  function describe(arm, point, { metric, rates, pair }) {
    const v = point.values,
      half = point.half || {};
    const value = reading.valueOf(metric, v, rates, pair);
    const plus = (name) => (half[name] === undefined ? "" : ` ${words.plusMinus(half[name])}`);
    const measured = (name, unit, otherwise) =>
      reading.known(v[name]) === null ? otherwise : `${words.number(v[name])} ${unit}`;
    const why = (name) => (point.missing && point.missing[name] ? ` (${point.missing[name]})` : "");
    return [
      `${arm.arm.label} at ${words.load(point)}`,
      `${words.number(v.interactivity)} tok/s/user${plus("interactivity")}`,
      `${words.number(value)} ${words.unit(metric.unit)}${plus(metric.of)}`,
      `acceptance length: ${arm.name === "off" ? "no drafts" : measured("acceptance_length", "tokens/step", `not told${why("acceptance_length")}`)}`,
      `TTFT: ${measured("ttft_s", "s", "not told")}`,
      `power: ${measured("power_w_gpu", "W per GPU", `not measured${why("power_w_gpu")}`)}`,
      `${point.topology}, ${point.gpus} GPU${point.gpus === 1 ? "" : "s"}`,
      validity(point),
      ...(pair.stamps.length ? [pair.stamps.join(", ")] : []),
    ];
  }

  function validity(point) {
    const said = [...(point.outlier ? [point.outlier] : []), ...(point.warnings || [])];
    return said.length ? `valid, with a warning: ${said.join("; ")}` : "valid";
  }

  function spoken(target, metric) {
    const told = (side, name) => (side ? `${name} ${words.number(side.value)}${side.clamped ? " (its end)" : ""}` : "");
    const ratio = target.ratio
      ? `MTP over Off ${words.number(target.ratio.value)} ${words.between(target.ratio.lo, target.ratio.hi)}`
      : "no ratio: an arm does not reach it";
    return `${words.plain(target.at)} tokens per second and user; ${told(target.mtp, "MTP")}, ${told(target.off, "Off")} ${words.unit(metric.unit)}; ${ratio}; ${words.verdict(target.verdict)}`;
  }

  return { of, colourOf, placeOf, speedAt, describe, validity, spoken, MARGIN };
})();
