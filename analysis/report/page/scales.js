// Axes: a number to a place on the paper and back, and the places that get a label.
const scales = (() => {
  const STEPS = [1, 2, 5, 10];

  function niceStep(span, count) {
    const rough = span / count,
      power = 10 ** Math.floor(Math.log10(rough));
    return power * STEPS.find((step) => step * power >= rough * (1 - 1e-9));
  }

  /** From `low` to `high` onto pixels, with ticks at whole steps inside. */
  function linear([low, high], [from, to], count, { zero = false } = {}) {
    const lo = zero ? Math.min(0, low) : low,
      hi = high > lo ? high : lo + Math.abs(lo || 1);
    const step = niceStep(hi - lo, count),
      first = Math.ceil(lo / step - 1e-9);
    const ticks = [];
    for (let i = first; i * step <= hi + step / 1e6; i++) ticks.push(Number((i * step).toPrecision(12)));
    const at = (value) => from + ((value - lo) / (hi - lo)) * (to - from);
    const back = (place) => lo + ((place - from) / (to - from)) * (hi - lo);
    return { at, back, ticks, domain: [lo, hi] };
  }

  function logarithmic([low, high], [from, to]) {
    const pad = Math.max((high / low) ** 0.04, 1.02);
    const lo = low / pad,
      hi = high * pad;
    const at = (value) => from + (Math.log(value / lo) / Math.log(hi / lo)) * (to - from);
    const back = (place) => lo * Math.exp(((place - from) / (to - from)) * Math.log(hi / lo));
    return { at, back, ticks: logTicks(lo, hi), domain: [lo, hi] };
  }

  function logTicks(lo, hi) {
    const decades = Math.log10(hi / lo);
    const steps = decades > 3 ? [1] : decades > 1 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
    const found = [];
    for (let power = Math.floor(Math.log10(lo)); power <= Math.ceil(Math.log10(hi)); power++) {
      for (const step of steps) {
        const value = Number((step * 10 ** power).toPrecision(6));
        if (value >= lo && value <= hi) found.push(value);
      }
    }
    return found.length > 1 ? found : [lo, hi].map((value) => Number(value.toPrecision(2)));
  }

  /** Tick labels with as many decimals as tell them apart. */
  function label(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    if (size >= 1e6) return `${Number((value / 1e6).toPrecision(4))}M`;
    if (size >= 1e4) return `${Number((value / 1e3).toPrecision(4))}k`;
    return String(Number(value.toPrecision(4))).replace(/\B(?=(\d{3})+$)/, size >= 1000 ? "," : "");
  }

  return { linear, logarithmic, label };
})();
