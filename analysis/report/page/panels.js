// What stands behind the numbers: acceptance, power, what differs between the arms, where it all is from, what was thrown
// out, what to know before believing it; and the index of all comparisons.
const panels = (() => {
  const { el, show, byId, table, chip, chips } = dom;
  const KINDS = {
    "must equal": "must be equal",
    speculative: "of drafting itself",
    derived: "follows from drafting",
    circumstance: "circumstance",
  };

  function card(id, ...children) {
    const kept = children.flat().filter(Boolean);
    byId(`${id}-card`).hidden = !kept.length;
    show(id, ...kept);
  }

  function all(pair, metric, rates) {
    acceptance(pair);
    power(pair);
    warnings(pair);
    invalid(pair);
    differences(pair);
    provenance(pair);
    draftLengths(pair);
  }

  function acceptance(pair) {
    const mtp = pair.arms.mtp,
      points = mtp ? mtp.points : [];
    const most = Math.max(0, ...points.map((point) => (point.positions || []).length));
    if (!most && !points.some((point) => reading.known(point.values.acceptance_length) !== null)) {
      const why =
        points.map((point) => point.missing && point.missing.acceptance_length).find(Boolean) ||
        "the rows carry no counters";
      card(
        "acceptance",
        el("p", {}, `Acceptance is not told: ${why}.`),
        pair.drafts ? el("p", { class: "note" }, pair.drafts) : null,
      );
      return;
    }
    const breakEven = new Map((pair.same || []).map((level) => [words.amount(level), level.break_even]));
    const head = [
      "point",
      "tokens/step",
      "needed to break even",
      ...Array.from({ length: most }, (_, i) => `draft ${i + 1}`),
    ];
    const cells = points.map((point) => [
      point.label,
      words.number(point.values.acceptance_length),
      words.number(breakEven.get(words.amount(point))),
      ...Array.from({ length: most }, (_, i) => bar((point.positions || [])[i])),
    ]);
    card(
      "acceptance",
      table(`Drafts accepted by position, ${mtp.label}`, head, cells, {
        numeric: head.map((_, i) => i).slice(1),
        stamps: pair.stamps,
      }),
      el(
        "p",
        { class: "note" },
        "Break-even: with fewer tokens a step than this, users would be slower than with Off. ",
        pair.drafts || "",
      ),
    );
  }

  function bar(share) {
    if (share === undefined) return words.MISSING;
    const meter = el("span", { class: "bar", "aria-hidden": "true" });
    meter.style.setProperty("--share", String(reading.clip(share, 0, 1)));
    return el("span", { class: "barred" }, `${(100 * share).toFixed(1)} %`, meter);
  }

  function power(pair) {
    const measured = state.data.metrics.filter(
      (metric) => metric.unit === "J/tok" || metric.unit === "W" || metric.name === "tok_s_mw_measured",
    );
    const present = measured.filter((metric) => reading.knows(pair, metric, pair.rates));
    const absent = measured.filter((metric) => !present.includes(metric));
    const arms = ["off", "mtp"].filter((name) => pair.arms[name]);
    const cells = arms.flatMap((name) =>
      pair.arms[name].points.map((point) => [
        pair.arms[name].label,
        point.label,
        ...present.map((metric) => words.number(reading.valueOf(metric, point.values, pair.rates, pair))),
      ]),
    );
    const why = absent.length ? `Not measured: ${words.missing(pair, absent)}.` : "";
    const assumed =
      pair.rates.kw === null
        ? `No all-in power is assumed either: ${pair.rates.kw_from}.`
        : `Provisioned power is an assumption, ${words.number(pair.rates.kw)} kW per GPU all in (${pair.rates.kw_from}); measured power is what the GPUs' sensors say. They never share an axis.`;
    const scopes = [...new Set(arms.flatMap((name) => pair.arms[name].power_scope || []))];
    const scope = scopes.length ? `Measured power, which covers: ${scopes.join(" / ")}` : "Measured power";
    card(
      "power",
      present.length
        ? table(scope, ["arm", "point", ...present.map((metric) => `${metric.label}, ${metric.unit}`)], cells, {
            numeric: present.map((_, i) => i + 2),
            stamps: pair.stamps,
          })
        : null,
      why ? el("p", {}, why) : null,
      el("p", { class: "note" }, assumed),
    );
  }

  function warnings(pair) {
    card(
      "warnings",
      pair.flags.length
        ? el(
            "ul",
            {},
            pair.flags.map(([code, text]) => el("li", {}, el("b", {}, code.replace(/-/g, " ")), ": ", text)),
          )
        : null,
    );
  }

  function invalid(pair) {
    const found = pair.invalid || [];
    if (!found.length) {
      card("invalid", el("p", {}, "None: every point of both arms passed its checks."));
      return;
    }
    card(
      "invalid",
      el(
        "ul",
        {},
        found.map((point) =>
          el(
            "li",
            {},
            el(
              "b",
              {},
              `${point.arm === "off" ? "Off" : words.arm(pair)}, ${words.load(point)}, launch ${point.launch + 1}`,
            ),
            el(
              "ul",
              {},
              point.reasons.map(([code, why]) => el("li", {}, el("code", {}, code), " ", why)),
            ),
          ),
        ),
      ),
      el("p", { class: "note" }, "Kept and shown, drawn as a cross where they have a place, used for nothing."),
    );
  }

  function differences(pair) {
    const lines = pair.command || [],
      found = pair.differences || [];
    const words_ = { "=": " ", "-": "−", "+": "+" };
    const name = { "=": "same", "-": "off", "+": "mtp" };
    const spoken = { "-": "Off alone: ", "+": "MTP alone: ", "=": "" };
    const command = lines.length
      ? [
          el("h3", {}, "Command line"),
          el("p", { class: "note" }, "− Off alone, + MTP alone; all other words are the same."),
          el(
            "pre",
            { class: "diff", tabindex: "0", "aria-label": "Command lines of both arms" },
            lines.map(([kind, flag]) =>
              el(
                "span",
                { class: name[kind] },
                el("span", { class: "sign", "aria-hidden": "true" }, words_[kind]),
                el("span", { class: "hears" }, spoken[kind]),
                `${flag}\n`,
              ),
            ),
          ),
        ]
      : [];
    const cut = (text) => (text.length > 160 ? `${text.slice(0, 157)}…` : text);
    const rows = found.map(([what, kind, off, mtp]) => [what, KINDS[kind] || kind, cut(off), cut(mtp)]);
    const configured = rows.length
      ? el(
          "details",
          { open: rows.length <= 8 },
          el("summary", {}, `${rows.length} settings and circumstances differ`),
          table("What each server reported of itself", ["what", "kind", "Off", "MTP"], rows),
        )
      : null;
    card(
      "differences",
      command,
      configured,
      (pair.notes || []).map((note) => el("p", { class: "note" }, note)),
    );
  }

  function provenance(pair) {
    const rows = pair.provenance || [];
    card("provenance", rows.length ? table("Where the numbers are from", ["", "Off", "MTP"], rows) : null);
  }

  function draftLengths(pair) {
    const key = pair.id.replace(/\/[^/]*$/, "");
    const found = state.data.choices.filter((choice) => choice.key === key);
    card(
      "choices",
      found.flatMap((choice) => [
        el(
          "p",
          { class: "note" },
          "The largest total tok/s/GPU of all arms that were measured there.",
          chips(choice.stamps),
        ),
        best(...measuredBy(choice), choice.by_concurrency, choice.stamps),
        best("By interactivity, read off the curves", "tok/s/user", choice.by_interactivity, choice.stamps),
      ]),
    );
  }

  const measuredBy = ({ loads = "concurrency" }) => [`By ${loads}, as measured`, loads];

  function best(caption, place, rows, stamps) {
    const arms = [...new Set(rows.flatMap((row) => Object.keys(row.total_tok_s_gpu)))].sort();
    const cells = rows.map((row) => [
      words.plain(row.at),
      ...arms.map((arm) => words.number(row.total_tok_s_gpu[arm])),
      [row.best, ...row.tied.map((arm) => `tied: ${arm}`)].join(", "),
    ]);
    return table(caption, [place, ...arms.map((arm) => `${arm} tok/s/GPU`), "best"], cells, {
      numeric: [0, ...arms.map((_, i) => i + 1)],
      stamps,
    });
  }

  /** All comparisons: systems down, workloads and draft lengths across. */
  function index() {
    const { pairs } = state.data;
    byId("index").hidden = pairs.length < 2;
    if (pairs.length < 2) return;
    const system = (pair) => {
      const q = pair.question;
      return [q.model, q.gpu, q.precision, q.engine, q.topology].join(" · ");
    };
    const across = (pair) => `${pair.question.workload} · ${words.arm(pair)}`;
    const [down, columns] = [[...new Set(pairs.map(system))], [...new Set(pairs.map(across))]];
    const cell = (row, column) =>
      pairs.filter((pair) => system(pair) === row && across(pair) === column).map((pair) => entry(pair));
    show(
      "index-table",
      table(
        `${pairs.length} comparisons`,
        ["", ...columns],
        down.map((row) => [row, ...columns.map((column) => el("div", { class: "entries" }, cell(row, column)))]),
      ),
    );
  }

  function entry(pair) {
    const metric = state.data.metrics.find((each) => each.name === reading.TOTAL);
    const compared = pair.targets.map((at) => reading.target(pair, at, metric, pair.rates)).filter((each) => each.ratio);
    const middle = compared[Math.floor(compared.length / 2)];
    const none = reading.overlap(pair) ? "both arms at none of the speeds" : "no common speed";
    const ratio = middle ? `${words.number(middle.ratio.value)} at ${words.plain(middle.at)}` : none;
    return el(
      "a",
      {
        href: `#pair=${encodeURIComponent(pair.id)}`,
        class: `entry ${pair.verdict.tone}`,
        "data-pair": pair.id,
        "aria-label": `${words.title(pair)}, ${words.arm(pair)}: ${pair.verdict.word}, MTP over Off ${ratio}`,
      },
      el("b", {}, ratio),
      el("span", {}, pair.verdict.word),
      pair.stamps.length ? el("span", { class: "small" }, words.stamps(pair)) : null,
    );
  }

  /** Pairs that were refused, rows that take no part, tables that were only printed. */
  function rest() {
    const { left_out: out, printed } = state.data;
    const grouped = new Map();
    for (const [what, why] of out) grouped.set(why, [...(grouped.get(why) || []), what]);
    const items = [...grouped].map(([why, found]) =>
      el(
        "li",
        {},
        `${found.length} × ${why}: `,
        el(
          "span",
          { class: "small" },
          found.slice(0, 4).join(", "),
          found.length > 4 ? ` and ${found.length - 4} more` : "",
        ),
      ),
    );
    card("rest", items.length ? el("ul", {}, items) : null);
    card(
      "printed",
      printed.map((page) => [
        el("h3", {}, `${page.label}: ${page.key}`),
        el("p", { class: "note" }, `As published, not recomputed: ${page.note}`),
        table(
          page.key,
          ["", ...page.targets.map((at) => `${at} tok/s/user`)],
          page.rows.map(([name, cells]) => [
            name,
            ...cells.map(([mtp, off]) => `MTP ${mtp ?? words.MISSING} · Off ${off ?? words.MISSING}`),
          ]),
          { stamps: ["as-published"] },
        ),
      ]),
    );
  }

  function choose() {
    for (const link of document.querySelectorAll(".entry")) {
      if (link.dataset.pair === state.get().pair) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  return { all, index, rest, choose, chip };
})();
