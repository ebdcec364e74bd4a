// Puts the page together, and anew whenever the reader changes something.
(() => {
  const { el, byId, show, chips, chip } = dom;
  const { data } = state;
  const root = byId("chart-svg"),
    tip = byId("tip");

  function render() {
    const s = state.get(),
      pair = state.pair();
    document.documentElement.dataset.theme = s.theme;
    byId("theme").value = s.theme;
    byId("nothing").hidden = Boolean(pair);
    byId("shown").hidden = !pair;
    if (!pair) return;
    const metric = state.metric(),
      rates = state.rates();
    const found = state.targets().map((at) => reading.target(pair, at, metric, rates));
    heading(pair, metric, found);
    controls(s, pair, metric);
    draw(pair, s, metric, rates, found);
    tables.targets(pair, metric, rates, found);
    tables.details(pair, rates, found);
    tables.points(pair, metric, rates);
    if (render.last !== pair) {
      tables.same(pair);
      panels.all(pair);
      panels.choose();
    }
    render.last = pair;
  }

  function heading(pair, metric, found) {
    show("title", words.title(pair));
    show("arms", `${words.arm(pair)} against Off`, chips(pair.stamps));
    const box = show("verdict-line", pair.verdict.sentence);
    byId("verdict").className = `card hero ${pair.verdict.tone}`;
    box.setAttribute("data-verdict", pair.verdict.word);
    const at = pair.targets.map(words.plain).join(", ");
    show("verdict-of", at && pair.mode !== "as-published" ? `Judged at ${at} tok/s/user, in total tok/s/GPU.` : "");
    const paragraphs = (texts) =>
      texts.filter((text) => text !== pair.verdict.sentence).map((text) => el("p", {}, text));
    show("caveats", paragraphs(pair.verdict.caveats));
    show("said", paragraphs(pair.verdict.sentences)).parentElement.hidden = !pair.verdict.sentences.length;
    show(
      "tiles",
      found.slice(0, 4).map((target) => tile(pair, metric, target)),
    );
  }

  function tile(pair, metric, target) {
    const { ratio } = target;
    const known =
      ratio && ratio.lo !== null
        ? `95 % interval ${words.between(ratio.lo, ratio.hi)}`
        : ratio
          ? "no interval known"
          : words.whyNoRatio(pair, metric, target);
    const of = (side, name) => (side ? `${name} ${words.number(side.value)}` : `${name} ${words.MISSING}`);
    return el(
      "div",
      { class: `tile ${words.tone(target.verdict)}` },
      el("div", { class: "small" }, `at ${words.plain(target.at)} tok/s/user`),
      el("div", { class: "big" }, ratio ? `${words.number(ratio.value)}×` : words.MISSING),
      el("div", { class: "small" }, known),
      el("div", { class: "small" }, `${of(target.mtp, "MTP")} · ${of(target.off, "Off")} ${words.unit(metric.unit)}`),
      el(
        "div",
        { class: "foot" },
        target.verdict ? chip(words.verdict(target.verdict), words.tone(target.verdict)) : null,
        pair.stamps.length ? el("span", { class: "small stamped" }, words.stamps(pair)) : null,
      ),
    );
  }

  function controls(s, pair, metric) {
    const published = pair.mode === "as-published";
    options(
      "pair",
      data.pairs.map((each) => [each.id, each.id]),
      s.pair,
    );
    byId("pair-box").hidden = byId("to-index").hidden = data.pairs.length < 2;
    byId("to-index").textContent = `all ${data.pairs.length}`;
    metricMenu(pair, metric);
    options(
      "axis",
      data.axes.filter(([name]) => !published || name === "interactivity").map(([name, label]) => [name, label]),
      s.axis,
    );
    const sequences = state.sequences(pair);
    options(
      "sequence",
      sequences.map((each) => [
        each.id,
        `${each.question.workload} (${each.question.isl} in, ${each.question.osl} out)`,
      ]),
      pair.id,
    );
    byId("sequence-box").hidden = sequences.length < 2;
    prices(s, pair, published);
    byId("logx").checked = s.logx;
    byId("logy").checked = s.logy;
    byId("others").checked = s.others;
    byId("others-box").hidden = state.family(pair).length < 2;
    legend(pair, s);
  }

  function options(id, choices, chosen) {
    const menu = byId(id);
    const same =
      menu.options.length === choices.length &&
      choices.every(([value, label], i) => menu.options[i].value === value && menu.options[i].textContent === label);
    if (!same) menu.replaceChildren(...choices.map(([value, label]) => el("option", { value }, label)));
    menu.value = chosen;
  }

  function metricMenu(pair, metric) {
    const groups = [...new Set(data.metrics.map((each) => each.group))];
    const label = (each) =>
      reading.knows(pair, each, state.rates()) ? `${each.label} (${each.unit})` : `${each.label}: not known`;
    byId("metric").replaceChildren(
      ...groups.map((group) =>
        el(
          "optgroup",
          { label: group },
          data.metrics
            .filter((each) => each.group === group)
            .map((each) => el("option", { value: each.name }, label(each))),
        ),
      ),
    );
    byId("metric").value = metric.name;
    byId("metric").title = metric.formula;
  }

  function prices(s, pair, published) {
    const of = pair.rates,
      tiers = of.tiers.map(([tier, usd]) => [tier, `${tier}: $${words.number(usd)} per GPU-hour`]);
    const named = tiers.some(([tier]) => tier === (s.tier ?? of.tier));
    const chosen = s.usd !== null || s.kw !== null ? "own" : named ? (s.tier ?? of.tier) : "";
    const without = [["", of.usd === null ? "no price known" : `$${words.number(of.usd)}: ${of.usd_from}`]];
    options(
      "tier",
      [...(tiers.some(([tier]) => tier === of.tier) ? [] : without), ...tiers, ["own", "your own"]],
      chosen,
    );
    byId("tier").disabled = published;
    byId("own-box").hidden = published || chosen !== "own";
    for (const [id, value] of [
      ["usd", s.usd],
      ["kw", s.kw],
    ])
      if (document.activeElement !== byId(id)) byId(id).value = value === null ? "" : String(value);
  }

  function legend(pair, s) {
    const entry = (each, name, faint) =>
      el(
        "li",
        { class: `arm-${scene.colourOf(each, name)}${faint ? " faint" : ""}` },
        el("span", { class: `mark ${name}`, "aria-hidden": "true" }),
        each.arms[name].label,
      );
    const kin = s.others ? state.family(pair).filter((each) => each.id !== pair.id) : [];
    show(
      "legend",
      ["off", "mtp"].filter((name) => pair.arms[name]).map((name) => entry(pair, name, false)),
      kin.map((each) => entry(each, "mtp", true)),
    );
    const axis =
      s.axis === "interactivity"
        ? "Bands and bars are 95 % intervals; the tinted stretch is what both arms reach."
        : `Bars are 95 % intervals; on this axis a target is one dot on each curve, its line stands at ${pair.arms.mtp ? words.arm(pair) : "Off"}'s and can be dragged, and bands are not known.`;
    show(
      "reading-help",
      pair.mode === "as-published"
        ? "Curves are the dashboard's splines over the front; pale points are off the front and were not shown."
        : `${axis} Small dots are single launches; pale points are worse in both than another of their arm.`,
    );
  }

  function draw(pair, s, metric, rates, targets) {
    const width = Math.max(320, byId("chart-box").clientWidth || 900);
    const height = Math.round(Math.min(500, Math.max(330, width * 0.52)));
    const found = scene.of(pair, s, metric, rates, targets, width, height);
    chart.draw(root, found);
    pointer.onto(found);
    root.setAttribute(
      "aria-label",
      `${metric.label} against ${data.axes.find((axis) => axis[0] === s.axis)[1]}, ${words.title(pair)}. The tables below hold the same numbers.`,
    );
  }

  function wire() {
    const on = (id, type, act) => byId(id).addEventListener(type, (event) => act(event.target));
    on("pair", "change", (menu) => state.set({ pair: menu.value }));
    on("sequence", "change", (menu) => state.set({ pair: menu.value }));
    on("metric", "change", (menu) => state.set({ metric: menu.value }));
    on("axis", "change", (menu) => state.set({ axis: menu.value }));
    on("theme", "change", (menu) => state.set({ theme: menu.value }));
    on("logx", "change", (box) => state.set({ logx: box.checked }));
    on("logy", "change", (box) => state.set({ logy: box.checked }));
    on("others", "change", (box) => state.set({ others: box.checked }));
    on("tier", "change", (menu) =>
      state.set(
        menu.value === "own" ? { usd: state.rates().usd ?? 1 } : { tier: menu.value || null, usd: null, kw: null },
      ),
    );
    for (const id of ["usd", "kw"]) on(id, "input", (input) => state.set({ [id]: state.positive(input.value) }));
    on("reset", "click", () => state.set({ targets: null }));
    on("add", "click", () => pointer.insert(between()));
    on("copy", "click", copy);
    on("csv", "click", () =>
      save.download(new Blob([csv()], { type: "text/csv" }), save.fileName(state.pair(), "csv")),
    );
    on("png", "click", async () => save.download(await png(), save.fileName(state.pair(), "png")));
    // Plain anchors would replace the state that the address carries.
    for (const [from, to] of [
      ["skip", "verdict-line"],
      ["to-index", "index"],
    ]) {
      byId(from).addEventListener("click", (event) => {
        event.preventDefault();
        byId(to).focus();
        byId(to).scrollIntoView();
      });
    }
    byId("index-table").addEventListener("click", (event) => {
      const link = event.target.closest(".entry");
      if (link) {
        event.preventDefault();
        state.set({ pair: link.dataset.pair });
        byId("verdict-line").focus();
      }
    });
    pointer.install(root, tip);
    new ResizeObserver(() => {
      if (state.pair()) render();
    }).observe(byId("chart-box"));
    addEventListener("beforeprint", () => {
      for (const box of document.querySelectorAll("details")) box.open = true;
    });
  }

  /** A place for one more target: the middle of the widest gap. */
  function between() {
    const pair = state.pair(),
      [low, high] = reading.overlap(pair) || reading.reach(pair);
    const ends = [
      low,
      ...state
        .targets()
        .filter((at) => at > low && at < high)
        .sort((a, b) => a - b),
      high,
    ];
    const gaps = ends.slice(1).map((end, i) => [end - ends[i], (end + ends[i]) / 2]);
    return Number(Math.max(...gaps.map(([gap]) => gap)) && gaps.sort((a, b) => b[0] - a[0])[0][1].toPrecision(4));
  }

  const found = () => state.targets().map((at) => reading.target(state.pair(), at, state.metric(), state.rates()));
  const csv = () => save.csv(state.pair(), state.metric(), state.rates(), found());
  const png = () =>
    save.png(root, state.pair(), [
      words.title(state.pair()),
      [words.stamps(state.pair()), state.pair().mode].filter(Boolean).join(" · "),
      ["off", "mtp"]
        .map((name) => state.pair().arms[name])
        .filter(Boolean)
        .map((arm, i) => `${i ? "◆" : "●"} ${arm.label}`)
        .join("    "),
    ]);

  async function copy(button) {
    const link = location.href;
    const told = await navigator.clipboard?.writeText(link).then(
      () => true,
      () => false,
    );
    byId("link").value = link;
    byId("link").hidden = Boolean(told);
    if (!told) byId("link").select();
    byId("said-aloud").textContent = told ? "Link copied" : "Copy the link from the field";
    button.textContent = told ? "Copied" : "Copy link";
    setTimeout(() => {
      button.textContent = "Copy link";
    }, 1500);
  }

  state.listen(render);
  wire();
  panels.index();
  panels.rest();
  state.follow();
})();
