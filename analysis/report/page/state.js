// What the reader has chosen, kept in the address after the #, so that a link brings it along. Whatever an address says
// is checked against what the page has; the rest is ignored.
const state = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  // A page opens with the first comparison that has a verdict.
  const first = data.pairs.find((pair) => ["good", "bad", "tied"].includes(pair.verdict.tone)) || data.pairs[0];
  const DEFAULTS = {
    pair: first ? first.id : null,
    metric: "total_tok_s_gpu",
    axis: "interactivity",
    logx: false,
    logy: false,
    tier: null,
    usd: null,
    kw: null,
    targets: null,
    others: true,
    theme: "auto",
  };
  const MOST_TARGETS = 8;
  const listeners = [];
  let current = { ...DEFAULTS };

  const positive = (text) => {
    const value = Number(String(text).replace(",", ".").trim());
    return String(text).trim() !== "" && Number.isFinite(value) && value > 0 && value < 1e9 ? value : null;
  };
  const among = (value, all, otherwise) => (all.includes(value) ? value : otherwise);

  function parsed(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const at = (given.get("at") || "")
      .split(",")
      .map(positive)
      .filter((value) => value !== null)
      .slice(0, MOST_TARGETS);
    return {
      pair: among(
        given.get("pair"),
        data.pairs.map((pair) => pair.id),
        DEFAULTS.pair,
      ),
      metric: among(
        given.get("metric"),
        data.metrics.map((metric) => metric.name),
        DEFAULTS.metric,
      ),
      axis: among(
        given.get("axis"),
        data.axes.map((axis) => axis[0]),
        DEFAULTS.axis,
      ),
      logx: given.get("x") === "log",
      logy: given.get("y") === "log",
      tier: given.get("tier"),
      usd: positive(given.get("usd") || ""),
      kw: positive(given.get("kw") || ""),
      targets: at.length ? at : null,
      others: given.get("others") !== "0",
      theme: among(given.get("theme"), ["light", "dark"], "auto"),
    };
  }

  function hash() {
    const told = new URLSearchParams();
    const s = current;
    if (s.pair !== null && data.pairs.length > 1) told.set("pair", s.pair);
    for (const name of ["metric", "axis", "theme"]) if (s[name] !== DEFAULTS[name]) told.set(name, s[name]);
    if (s.logx) told.set("x", "log");
    if (s.logy) told.set("y", "log");
    for (const name of ["tier", "usd", "kw"]) if (s[name] !== null) told.set(name, s[name]);
    if (s.targets) told.set("at", s.targets.map(words.plain).join(","));
    if (!s.others) told.set("others", "0");
    return told.toString();
  }

  function changed() {
    for (const listener of listeners) listener(current);
  }

  function set(changes) {
    const other = "pair" in changes && changes.pair !== current.pair;
    current = { ...current, ...(other ? { targets: null, tier: null } : {}), ...changes };
    history.replaceState(null, "", `#${hash()}`);
    changed();
  }

  function follow() {
    current = parsed(location.hash);
    changed();
  }

  const pair = () => data.pairs.find((each) => each.id === current.pair);
  const metric = () => data.metrics.find((each) => each.name === current.metric);

  /** The interactivities to compare at; the dashboard's own pages take whole numbers inside the band that they print. */
  function targets() {
    const of = pair(),
      asked = current.targets || (of ? of.targets : []);
    if (!of || of.mode !== "as-published") return asked;
    const [low, high] = of.overlap;
    return asked.map((at) => Math.min(Math.max(Math.round(at), low), high));
  }

  /** $ per GPU-hour and kW in force: the reader's own, a tier's, or those the page was made with. */
  function rates() {
    const of = pair().rates;
    const tier = of.tiers.find((each) => each[0] === current.tier);
    const published = pair().mode === "as-published";
    const usd = published ? of.usd : (current.usd ?? (tier ? tier[1] : of.usd));
    const from = !published && current.usd !== null ? "your own" : tier ? tier[2] : of.usd_from;
    const kw = published ? of.kw : (current.kw ?? of.kw);
    return { usd, kw, usd_from: from, kw_from: !published && current.kw !== null ? "your own" : of.kw_from };
  }

  /** Pairs that share this one's Off: other draft lengths. */
  const family = (of) => data.pairs.filter((each) => each.family === of.family);

  /** The same question in another workload. */
  function sequences(of) {
    const alike = (q) => [q.model, q.gpu, q.precision, q.engine, q.topology].join("|");
    return data.pairs.filter(
      (each) =>
        each.mode === of.mode && alike(each.question) === alike(of.question) && words.arm(each) === words.arm(of),
    );
  }

  addEventListener("hashchange", follow);
  return {
    data,
    MOST_TARGETS,
    get: () => current,
    set,
    follow,
    hash,
    pair,
    metric,
    targets,
    rates,
    family,
    sequences,
    positive,
    listen: (listener) => listeners.push(listener),
  };
})();
