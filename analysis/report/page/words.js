// Numbers and verdicts as text, by the rules of harness/units.py.
const words = (() => {
  const MISSING = "–";
  const UNITS = { "$/Mtok": "$ per million tokens", "J/tok": "J per token" };
  const VERDICTS = {
    "mtp better": ["MTP better", "good"],
    "off better": ["Off better", "bad"],
    tied: ["tied", "tied"],
    "not resolved": ["not resolved", "open"],
    unknown: ["unknown", "none"],
    demo: ["demo: no verdict", "none"],
    "": [MISSING, "none"],
  };

  const grouped = (digits) => digits.replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ","));

  /** To so many significant digits; digits before the point are never dropped. */
  function number(value, digits = 3) {
    if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
    if (value === 0) return "0";
    const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
    return grouped(value.toFixed(Math.min(100, Math.max(0, digits - 1 - exponent))));
  }

  const nearNothing = (share) => share !== 0 && Math.abs(share) < 1e-5;
  const percent = (share, digits = 2) =>
    share === null ? MISSING : nearNothing(share) ? "under 0.001 %" : `${number(100 * share, digits)} %`;
  const bothWays = (half) =>
    half > 9 ? "(to over 10 times as much or as little)" : `(+${percent(half)}, -${percent(half / (1 + half))})`;
  const plusMinus = (half) => (half === null ? "" : half < 0.2 ? `± ${percent(half)}` : bothWays(half));
  const times = (value) => (value > 1000 ? "over 1,000" : number(value));
  const between = (lo, hi) => (lo === null || hi === null ? "" : `${times(lo)} to ${times(hi)}`);
  const unit = (name) => UNITS[name] || name;
  const verdict = (word) => (VERDICTS[word] || [word, "none"])[0];
  const tone = (word) => (VERDICTS[word] || [word, "none"])[1];
  const stamps = (pair) => pair.stamps.join(", ");
  const lower = (text) => text.charAt(0).toLowerCase() + text.slice(1);
  const plain = (value) => String(Number(Number(value).toPrecision(4)));

  /** What a point was put under: `concurrency 8`, `2.5 requests/s`. */
  const load = (point) => (isRate(point) ? `${amount(point)} requests/s` : `concurrency ${point.concurrency}`);
  /** The same as a number, by which points and levels meet. */
  const amount = (point) => (isRate(point) ? Number(point.rate.toPrecision(6)) : point.concurrency);
  const isRate = (point) => point.rate !== undefined;

  /** `mimo-163m on cpu-2core, bf16, 32x32, vllm tp1`. */
  function title(pair) {
    const q = pair.question;
    return `${q.model} on ${q.gpu}, ${q.precision}, ${q.workload}, ${q.engine} ${q.topology}`;
  }

  const arm = (pair) => (pair.arms.mtp ? pair.arms.mtp.label : "MTP");

  /** Why a metric has no value in a pair. */
  function whyMissing(pair, metric) {
    if (pair.mode === "as-published") return "the dashboard's pages have none";
    if (metric.how === "cost") return pair.rates.usd_from;
    if (metric.how === "per_mw") return pair.rates.kw_from;
    for (const side of Object.values(pair.arms)) {
      for (const point of side.points) if (point.missing && point.missing[metric.of]) return point.missing[metric.of];
    }
    return "the rows have none";
  }

  /** Why a target has no ratio, in words; of one that has a ratio, nothing. */
  function whyNoRatio(pair, metric, { mtp, off, ratio }) {
    if (ratio) return "";
    if (!mtp || !off || mtp.clamped || off.clamped) return "an arm does not reach this speed";
    if (mtp.value === null || off.value === null) return whyMissing(pair, metric);
    return "the arms' power was measured of different things";
  }

  /** `A, B (reason); C (another)`. */
  function missing(pair, metrics) {
    const byReason = new Map();
    for (const metric of metrics) {
      const why = whyMissing(pair, metric);
      byReason.set(why, [...(byReason.get(why) || []), lower(metric.label)]);
    }
    return [...byReason].map(([why, labels]) => `${labels.join(", ")} (${why})`).join("; ");
  }

  return {
    lower,
    missing,
    MISSING,
    number,
    percent,
    plusMinus,
    between,
    unit,
    verdict,
    tone,
    stamps,
    plain,
    load,
    amount,
    isRate,
    title,
    arm,
    whyMissing,
    whyNoRatio,
  };
})();
