// Arms read at an interactivity, and two readings set against each other: analysis/curve.py, targets.py and contrast.py,
// and for pages as published analysis/published/maths.py. Knows data, no element of the page.
const reading = (() => {
  const LAST_BITS = 1e-12;
  const SEARCHED = 96;
  const LEFT_OF_CHANGE = 1 / 3;
  const TOTAL = "total_tok_s_gpu",
    OUTPUT = "output_tok_s_gpu";
  const MEASURED_POWER = ["energy_j_per_tok_output", "tok_s_mw_measured"];
  /** Whether a metric comes from a power meter, so that two arms' values are of one thing only where their scope is one. */
  const isMetered = (name) => MEASURED_POWER.includes(name) || name.startsWith("energy_") || name.startsWith("power_");
  const UNITS = {
    cost: (rate, rates) => (rates.usd * 1e6) / (3600 * rate),
    per_mw: (rate, rates) => (rate * 1000) / rates.kw,
  };

  const known = (value) => (value === undefined || value === null || !Number.isFinite(value) ? null : value);
  const clip = (value, low, high) => Math.min(Math.max(value, low), high);
  const asPublished = (arm) => arm.log_x === undefined;
  const overPlace = (arm) => arm.place.every((place, i) => place === -arm.log_x[i]);

  /** Lowest and highest interactivity that an arm's line has. */
  function span(arm) {
    if (asPublished(arm)) return [arm.x[0], arm.x[arm.x.length - 1]];
    return [Math.exp(arm.log_x[arm.log_x.length - 1]), Math.exp(arm.log_x[0])];
  }

  /** Interactivities that both arms have; null when there are none. */
  function overlap(pair) {
    if (!pair.arms.mtp || !pair.arms.off) return null;
    const [mtp, off] = [span(pair.arms.mtp), span(pair.arms.off)];
    const low = Math.max(mtp[0], off[0]),
      high = Math.min(mtp[1], off[1]);
    return low < high ? [low, high] : null;
  }

  /** Everything that any arm reaches. */
  function reach(pair) {
    const spans = Object.values(pair.arms).map(span);
    return [Math.min(...spans.map((s) => s[0])), Math.max(...spans.map((s) => s[1]))];
  }

  function where(arm, at) {
    let wanted = Math.log(at);
    for (const end of [arm.log_x[0], arm.log_x[arm.log_x.length - 1]])
      if (Math.abs(wanted - end) < LAST_BITS) wanted = end;
    return inverse(arm.place, arm.log_x, wanted, overPlace(arm));
  }

  function inverse(place, logX, wanted, direct) {
    if (direct) return wanted > logX[0] || wanted < logX[logX.length - 1] ? NaN : -wanted;
    return maths.whereFalling(place, logX, wanted);
  }

  /** One arm at one interactivity, or at its nearest end, which is then said to be clamped. */
  function read(arm, at) {
    const [low, high] = span(arm);
    const x = clip(at, low, high);
    const columns = asPublished(arm) ? publishedColumns(arm, x) : columnsAt(arm, where(arm, x));
    return { x, clamped: x !== at, columns, concurrency: columns.concurrency, gpus: gpusAround(arm, x), arm };
  }

  /** The interactivity at which an arm's column has a value, of several the one nearest to `near`; else its nearest end. */
  function speedWith(arm, name, value, near) {
    const [from, to] = [arm.place[0], arm.place[arm.place.length - 1]];
    const places = Array.from({ length: SEARCHED + 1 }, (_, i) => from + ((to - from) * i) / SEARCHED);
    const off = (place) => Math.exp(maths.spline(arm.place, arm.columns[name], place)) - value;
    const speed = (place) => Math.exp(maths.spline(arm.place, arm.log_x, place));
    const met = places.slice(1).flatMap((place, i) => {
      const low = places[i];
      return off(low) * off(place) > 0 ? [] : [speed(maths.bisect(off, low, place))];
    });
    if (met.length) return met.reduce((best, at) => (Math.abs(at - near) < Math.abs(best - near) ? at : best));
    return speed(Math.abs(off(from)) < Math.abs(off(to)) ? from : to);
  }

  /** Every column at one abscissa of the splines. */
  function columnsAt(arm, place) {
    const columns = {};
    for (const [name, logs] of Object.entries(arm.columns))
      columns[name] = Math.exp(maths.spline(arm.place, logs, place));
    return columns;
  }

  function publishedColumns(arm, x) {
    const columns = {};
    for (const [name, values] of Object.entries(arm.columns)) columns[name] = splined(arm.x, values, x);
    return columns;
  }

  /** The dashboard's own spline, held to the knots' range; of two knots it bends. */
  function splined(x, y, at) {
    if (x.length === 1) return y[0];
    const secant = (y[1] - y[0]) / (x[1] - x[0]);
    const slope = x.length === 2 ? [1.5 * secant, 0.75 * secant] : maths.slopes(x, y);
    return clip(maths.hermite(x, y, slope, at), Math.min(...y), Math.max(...y));
  }

  function around(arm, x) {
    const wanted = Math.log(x);
    const above = arm.log_x.reduce((count, value) => count + (value > wanted), 0);
    return [above - 1, above].filter((knot) => knot >= 0 && knot < arm.log_x.length);
  }

  function gpusAround(arm, x) {
    if (asPublished(arm)) return [];
    return [...new Set(around(arm, x).map((knot) => arm.gpus[knot]))].sort((a, b) => a - b);
  }

  /** Standard error of ln throughput at an interactivity, on straight lines between those that were computed. */
  function error(arm, name, x) {
    if (!arm.grid || !arm.grid[name]) return null;
    const at = arm.grid.x,
      errors = arm.grid[name];
    if (x < at[0] || x > at[at.length - 1]) return null;
    let cell = 0;
    while (cell < at.length - 2 && at[cell + 1] <= x) cell++;
    if (at.length === 1 || x === at[cell]) return errors[cell];
    if (x === at[cell + 1]) return errors[cell + 1];
    if (errors[cell] === null || errors[cell + 1] === null) return null;
    const part = Math.log(x / at[cell]) / Math.log(at[cell + 1] / at[cell]);
    return errors[cell] + part * (errors[cell + 1] - errors[cell]);
  }

  /** Half of the 95 % interval of one arm's throughput, relative; null when it is not known. */
  function halfOf(arm, name, x) {
    const log = error(arm, name, x);
    return log === null ? null : Math.expm1(maths.tQuantile(0.975, arm.units - 1) * log);
  }

  /** Half of the 95 % interval of a difference of two logarithms, by Welch and Satterthwaite. */
  function halfWidth(one, other, unitsOne, unitsOther) {
    if (one === null || other === null) return null;
    const variance = one ** 2 + other ** 2;
    if (!variance) return 0;
    const parts = one ** 4 / (unitsOne - 1) + other ** 4 / (unitsOther - 1);
    return maths.tQuantile(0.975, variance ** 2 / parts) * Math.sqrt(variance);
  }

  /** How far ln throughput moves when a knot beside the place is left out; 0 at a knot, null where it can't be told. */
  function interpolationChange(arm, x, name = TOTAL) {
    const wanted = Math.log(x);
    if (Math.min(...arm.log_x.map((value) => Math.abs(value - wanted))) < LAST_BITS) return 0;
    const direct = overPlace(arm);
    const here = maths.spline(arm.place, arm.columns[name], inverse(arm.place, arm.log_x, wanted, direct));
    const changes = [];
    for (const knot of around(arm, x)) {
      if (knot <= 0 || knot >= arm.log_x.length - 1) continue;
      const [place, logX, logY] = [arm.place, arm.log_x, arm.columns[name]].map((values) =>
        values.filter((_, i) => i !== knot),
      );
      const change = Math.abs(maths.spline(place, logY, inverse(place, logX, wanted, direct)) - here);
      if (Number.isFinite(change)) changes.push(change);
    }
    return changes.length ? Math.max(...changes) : null;
  }

  /** Arms that don't stand at one speed have no ratio; the dashboard gave one all the same. */
  const apart = (mtp, off) => (mtp.clamped || off.clamped) && !asPublished(mtp.arm);

  /** Whether all power of both arms was measured of the same thing. */
  const oneScope = (mtp, off) => new Set([...(mtp.power_scope || []), ...(off.power_scope || [])]).size === 1;

  /** MTP over Off in one throughput or in measured power. */
  function ratio(mtp, off, name) {
    if (apart(mtp, off) || (isMetered(name) && !oneScope(mtp.arm, off.arm))) return null;
    const values = [known(mtp.columns[name]), known(off.columns[name])];
    if (values.includes(null)) return null;
    const value = values[0] / values[1];
    if (asPublished(mtp.arm)) return { value, lo: null, hi: null, interpolation: null };
    const half = halfWidth(error(mtp.arm, name, mtp.x), error(off.arm, name, off.x), mtp.arm.units, off.arm.units);
    const column = MEASURED_POWER.includes(name) ? name : TOTAL;
    const changes = [interpolationChange(mtp.arm, mtp.x, column), interpolationChange(off.arm, off.x, column)];
    return {
      value,
      lo: half === null ? null : value * Math.exp(-half),
      hi: half === null ? null : value * Math.exp(half),
      interpolation: changes.includes(null) ? null : Math.expm1(Math.max(...changes)),
    };
  }

  /** What may be said of one ratio of throughputs. */
  function verdict(pair, found) {
    if (pair.verdicts === "none") return "";
    if (pair.verdicts !== "all") return pair.verdicts;
    if (!found || found.lo === null) return "unknown";
    if (pair.within_launch || found.interpolation === null) return "not resolved";
    const doubt = LEFT_OF_CHANGE * Math.log1p(found.interpolation);
    const low = Math.log(found.lo) - doubt,
      high = Math.log(found.hi) + doubt;
    if (low > 0) return "mtp better";
    if (high < 0) return "off better";
    return Math.max(-low, high) <= Math.log1p(pair.margin) ? "tied" : "not resolved";
  }

  /** A metric's value from the columns of a reading or of a point; null when it can't be had. */
  function valueOf(metric, columns, rates, pair) {
    if (pair.mode === "as-published" && metric.how !== "is") return known(columns[metric.name]);
    const base = known(columns[metric.of]);
    if (base === null || metric.how === "is") return base;
    if ((metric.how === "cost" ? rates.usd : rates.kw) === null) return null;
    return known(UNITS[metric.how](base, rates));
  }

  /** Both arms at one interactivity in one metric: values, relative half-widths, ratio with its interval, verdict. */
  function target(pair, at, metric, rates) {
    const sides = {};
    for (const name of ["mtp", "off"]) {
      const arm = pair.arms[name];
      if (!arm) continue;
      const found = read(arm, at);
      const half = asPublished(arm) ? null : halfOf(arm, metric.of, found.x);
      sides[name] = { ...found, value: valueOf(metric, found.columns, rates, pair), half };
    }
    const { mtp, off } = sides;
    if (!mtp || !off) return { at, mtp, off, ratio: null, base: null, verdict: "" };
    const base = ratio(mtp, off, metric.of);
    const shown = mtp.value === null || off.value === null ? null : shownRatio(metric, mtp, off, base);
    return { at, mtp, off, ratio: shown, base, verdict: verdict(pair, hasInterval(metric) ? judged(metric, base) : null) };
  }

  const hasInterval = (metric) => [TOTAL, OUTPUT, ...MEASURED_POWER].includes(metric.of);

  /** The ratio of a number of which more is better: joules are turned over. */
  function judged(metric, base) {
    if (!base || base.lo === null || metric.better !== "lower" || metric.how !== "is") return base;
    return { ...base, value: 1 / base.value, lo: 1 / base.hi, hi: 1 / base.lo };
  }

  function shownRatio(metric, mtp, off, base) {
    if (apart(mtp, off) || (isMetered(metric.of) && !base && !asPublished(mtp.arm))) return null;
    const value = mtp.value / off.value;
    if (!base || base.lo === null || !hasInterval(metric))
      return { value, lo: null, hi: null, interpolation: base ? base.interpolation : null };
    const [lo, hi] = metric.how === "cost" ? [1 / base.hi, 1 / base.lo] : [base.lo, base.hi];
    return { value, lo, hi, interpolation: base.interpolation };
  }

  /** Whether any point of a pair knows a metric. */
  function knows(pair, metric, rates) {
    return Object.values(pair.arms).some((arm) =>
      arm.points.some((point) => valueOf(metric, point.values, rates, pair) !== null),
    );
  }

  return {
    TOTAL,
    span,
    overlap,
    reach,
    read,
    speedWith,
    columnsAt,
    asPublished,
    error,
    halfOf,
    hasInterval,
    valueOf,
    target,
    knows,
    known,
    clip,
  };
})();
