"use strict";
// Steffen's spline, its inverse on falling values, and Student's t: harness/front.py and harness/stats.py, number by
// number. A test compares them to 1e-9 over many curves. Knows no arm and no metric; outside the knots it answers NaN.
const maths = (() => {
  const STEP = 1e-15;
  const HALVINGS = 60;

  /** Steffen's slopes at the knots; two knots make a straight line. */
  function slopes(x, y) {
    const width = [],
      secant = [];
    for (let i = 0; i + 1 < x.length; i++) {
      width.push(x[i + 1] - x[i]);
      secant.push((y[i + 1] - y[i]) / width[i]);
    }
    if (x.length === 2) return [secant[0], secant[0]];
    const inner = [];
    for (let i = 1; i < secant.length; i++) {
      const left = secant[i - 1],
        right = secant[i];
      const parabola = (left * width[i] + right * width[i - 1]) / (width[i - 1] + width[i]);
      const least = Math.min(Math.abs(left), Math.abs(right), Math.abs(parabola) / 2);
      inner.push((Math.sign(left) + Math.sign(right)) * least);
    }
    const first = (3 * secant[0] - inner[0]) / 2;
    const last = (3 * secant[secant.length - 1] - inner[inner.length - 1]) / 2;
    return [first, ...inner, last];
  }

  function cubic(x, y, slope, cell) {
    const width = x[cell + 1] - x[cell];
    const m0 = slope[cell] * width,
      m1 = slope[cell + 1] * width,
      rise = y[cell + 1] - y[cell];
    return { y0: y[cell], y1: y[cell + 1], linear: m0, square: 3 * rise - 2 * m0 - m1, cube: m0 + m1 - 2 * rise };
  }

  const valueOf = (c, u) => (u === 1 ? c.y1 : c.y0 + u * (c.linear + u * (c.square + u * c.cube)));
  const slopeOf = (c, u) => c.linear + u * (2 * c.square + u * 3 * c.cube);

  /** The piecewise cubic with these knots and slopes at one place. */
  function hermite(x, y, slope, at) {
    if (!(at >= x[0] && at <= x[x.length - 1])) return NaN;
    let cell = 0;
    while (cell < x.length - 2 && x[cell + 1] <= at) cell++;
    return valueOf(cubic(x, y, slope, cell), (at - x[cell]) / (x[cell + 1] - x[cell]));
  }

  /** Steffen's spline through (x, y) at one place. */
  function spline(x, y, at) {
    if (x.length === 1) return at === x[0] ? y[0] : NaN;
    return hermite(x, y, slopes(x, y), at);
  }

  /** The x at which the spline through falling y takes a value. */
  function whereFalling(x, y, level) {
    if (x.length === 1) return level === y[0] ? x[0] : NaN;
    if (!(level <= y[0] && level >= y[y.length - 1])) return NaN;
    const above = y.reduce((count, value) => count + (value > level), 0);
    const cell = Math.min(Math.max(above - 1, 0), x.length - 2);
    const u = root(cubic(x, y, slopes(x, y), cell), level);
    return x[cell] + u * (x[cell + 1] - x[cell]);
  }

  /** The u at which a falling cubic takes its level: Newton's steps, halving where one leaves the bracket. */
  function root(falls, level) {
    let low = 0,
      high = 1;
    const secant = (falls.y0 - level) / (falls.y0 - falls.y1);
    let u = Number.isNaN(secant) ? 0 : Math.min(Math.max(secant, 0), 1);
    for (let i = 0; i < HALVINGS; i++) {
      const excess = valueOf(falls, u) - level;
      if (excess === 0) return u;
      if (excess > 0) low = u;
      else high = u;
      const newton = u - excess / slopeOf(falls, u);
      const moved = newton > low && newton < high ? newton : (low + high) / 2;
      if (Math.abs(moved - u) < STEP) return moved;
      u = moved;
    }
    return u;
  }

  /** Where a function changes its sign between two places. */
  function bisect(of, low, high) {
    const falls = of(low) > 0;
    for (let i = 0; i < HALVINGS; i++) {
      const middle = (low + high) / 2;
      if (of(middle) > 0 === falls) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  /** The t below which a share p of Student's distribution lies; between whole degrees of freedom, by 1/dof. */
  function tQuantile(p, dof) {
    const whole = Math.max(1, Math.floor(dof));
    const low = wholeQuantile(p, whole),
      high = wholeQuantile(p, whole + 1);
    return low + (high - low) * (1 / whole - 1 / Math.max(dof, 1)) * whole * (whole + 1);
  }

  function wholeQuantile(p, dof) {
    let low = 0,
      high = Math.PI / 2;
    for (let i = 0; i < 60; i++) {
      const middle = (low + high) / 2;
      if (inside(middle, dof) < Math.abs(2 * p - 1)) low = middle;
      else high = middle;
    }
    return Math.sign(p - 0.5) * Math.sqrt(dof) * Math.tan((low + high) / 2);
  }

  /** P(|T| <= sqrt(dof) tan theta): finite sums, exact (Abramowitz & Stegun 26.7.3 and 26.7.4). */
  function inside(theta, dof) {
    const cos2 = Math.cos(theta) ** 2,
      odd = dof % 2;
    let term = odd ? Math.cos(theta) : 1,
      total = dof > 1 ? term : 0;
    for (let j = 2 + odd; j < dof - 1; j += 2) {
      term *= (cos2 * (j - 1)) / j;
      total += term;
    }
    return odd ? (2 / Math.PI) * (theta + Math.sin(theta) * total) : Math.sin(theta) * total;
  }

  return { slopes, hermite, spline, whereFalling, bisect, tQuantile };
})();
