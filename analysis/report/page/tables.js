// The numbers at the targets, live, and every point as a table: what the chart shows, for reading and for listening.
const tables = (() => {
  const { el, byId, show, table, chip, chips } = dom;
  let rows = [],
    shownFor = null;

  /** The live table. Its inputs stay where they are while the rest moves, so that typing is not disturbed. */
  function targets(pair, metric, rates, found) {
    const body = byId("targets-body");
    const key = `${pair.id} ${found.length}`;
    if (key !== shownFor) {
      rows = found.map((_, i) => row(i, found.length));
      body.replaceChildren(...rows.map((each) => each.tr));
      shownFor = key;
    }
    show(
      "targets-caption",
      `At one speed for the user: ${words.lower(metric.label)}, ${words.unit(metric.unit)}`,
      chips(pair.stamps),
    );
    byId("head-mtp").textContent = words.arm(pair);
    found.forEach((target, i) => fill(rows[i], pair, target));
  }

  function row(i, count) {
    const input = el("input", {
      type: "text",
      inputmode: "decimal",
      size: 7,
      "aria-label": `Target ${i + 1}, tok/s/user`,
      autocomplete: "off",
      spellcheck: "false",
    });
    input.addEventListener("input", () => typed(i, input));
    input.addEventListener("blur", () => {
      input.value = words.plain(state.targets()[i]);
      input.removeAttribute("aria-invalid");
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") input.blur();
    });
    const cells = Array.from({ length: 6 }, (_, n) => el("td", { class: n < 5 ? "num" : null }));
    const off =
      count > 1
        ? el(
            "button",
            {
              type: "button",
              class: "quiet",
              "aria-label": `Remove target ${i + 1}`,
              title: "Remove this target",
              onclick: () => pointer.remove(i),
            },
            "×",
          )
        : null;
    return { tr: el("tr", {}, el("th", { scope: "row" }, input, off), cells), input, cells };
  }

  function typed(i, input) {
    const value = state.positive(input.value);
    if (value === null) {
      input.setAttribute("aria-invalid", "true");
      return;
    }
    input.removeAttribute("aria-invalid");
    const moved = [...state.targets()];
    moved[i] = value;
    state.set({ targets: moved });
  }

  function fill({ input, cells }, pair, target) {
    if (document.activeElement !== input) input.value = words.plain(target.at);
    const { ratio } = target;
    const texts = [
      side(target.mtp),
      side(target.off),
      ratio ? words.number(ratio.value) : words.MISSING,
      (ratio && words.between(ratio.lo, ratio.hi)) || words.MISSING,
      ratio && ratio.interpolation !== null ? words.percent(ratio.interpolation) : words.MISSING,
    ];
    texts.forEach((text, n) => {
      cells[n].textContent = text;
    });
    cells[5].replaceChildren(chip(words.verdict(target.verdict), words.tone(target.verdict)));
  }

  function side(found) {
    if (!found) return words.MISSING;
    const clamped = found.clamped ? ` at ${words.number(found.x)}: its end` : "";
    return `${words.number(found.value)} ${words.plusMinus(found.half)}${clamped}`;
  }

  /** Everything else that is so at these speeds. */
  function details(pair, rates, found) {
    const lines = [],
      missing = [];
    for (const metric of state.data.metrics) {
      const cells = found.map((target) =>
        ["mtp", "off"].map((name) => target[name] && reading.valueOf(metric, target[name].columns, rates, pair)),
      );
      if (cells.flat().every((value) => value === null || value === undefined)) missing.push(metric);
      else lines.push([`${metric.label}, ${metric.unit}`, ...cells.flat().map((value) => words.number(value))]);
    }
    for (const [name, label] of [
      ["concurrency", "Users at once (concurrency)"],
      ["ttft_s", "Time to first token, s"],
      ["e2e_s", "End-to-end latency, s"],
      ["acceptance_length", "Acceptance length, tokens/step"],
    ]) {
      const cells = found.flatMap((target) =>
        ["mtp", "off"].map((arm) => target[arm] && reading.known(target[arm].columns[name])),
      );
      if (cells.some((value) => value !== null && value !== undefined))
        lines.push([label, ...cells.map((value) => words.number(value))]);
    }
    const gpus = found.flatMap((target) =>
      ["mtp", "off"].map((arm) => (target[arm] && target[arm].gpus.join("/")) || words.MISSING),
    );
    if (gpus.some((text) => text !== words.MISSING)) lines.push(["GPUs of the deployments around it", ...gpus]);
    const place = ({ at }, side) => (side && side.clamped ? `${words.number(side.x)}: its end` : words.plain(at));
    const head = found.flatMap((target) => [
      `MTP at ${place(target, target.mtp)}`,
      `Off at ${place(target, target.off)}`,
    ]);
    show(
      "details",
      table("Everything at these speeds", ["", ...head], lines, {
        numeric: head.map((_, i) => i + 1),
        stamps: pair.stamps,
      }),
      el("p", { class: "note" }, assumptions(rates)),
      missing.length ? el("p", { class: "note" }, `Not known: ${words.missing(pair, missing)}.`) : null,
    );
  }

  function assumptions(rates) {
    const usd =
      rates.usd === null
        ? `no price (${rates.usd_from})`
        : `$${words.number(rates.usd)} per GPU-hour (${rates.usd_from})`;
    const kw =
      rates.kw === null
        ? `no all-in power (${rates.kw_from})`
        : `${words.number(rates.kw)} kW per GPU, all in (${rates.kw_from})`;
    return `Assumed: ${usd}; ${kw}.`;
  }

  /** Both arms at equal concurrency, or at equal rate, as measured: nothing is interpolated. */
  function same(pair) {
    const levels = pair.same || [];
    const open = levels.some(words.isRate);
    const title = `At equal ${open ? "rate" : "concurrency"}`;
    const interval = ([value, lo, hi]) => `${words.number(value)}${lo === null ? "" : ` (${words.between(lo, hi)})`}`;
    const cells = levels.map((level) => [
      String(words.amount(level)),
      words.number(level.mtp.x),
      words.number(level.off.x),
      interval(level.speedup),
      `${words.number(level.mtp.y)} ${words.plusMinus(level.mtp.half)}`,
      `${words.number(level.off.y)} ${words.plusMinus(level.off.half)}`,
      interval(level.ratio),
      words.number(level.mtp.ttft_s),
      words.number(level.off.ttft_s),
      chip(words.verdict(level.verdict), words.tone(level.verdict)),
    ]);
    byId("same-card").hidden = !levels.length;
    byId("same-card").querySelector("h2").textContent = title;
    show(
      "same",
      levels.length
        ? table(
            `${title}, as measured: nothing is interpolated`,
            [
              open ? "requests/s" : "concurrency",
              "MTP tok/s/user",
              "Off tok/s/user",
              "MTP / Off",
              "MTP tok/s/GPU",
              "Off tok/s/GPU",
              "MTP / Off",
              "MTP TTFT s",
              "Off TTFT s",
              open ? "verdict on tok/s/user" : "verdict",
            ],
            cells,
            { numeric: [0, 1, 2, 3, 4, 5, 6, 7, 8], stamps: pair.stamps },
          )
        : null,
    );
  }

  /** Every point: the chart for readers who can't see it. */
  function points(pair, metric, rates) {
    const head = [
      "arm",
      "point",
      "tok/s/user",
      words.unit(metric.unit),
      "tokens/step",
      "TTFT s",
      "W per GPU",
      "launches",
      "validity",
    ];
    const arms = ["off", "mtp"].filter((name) => pair.arms[name]);
    const cells = arms.flatMap((name) =>
      pair.arms[name].points.map((point) => {
        const half = point.half || {},
          v = point.values;
        return [
          pair.arms[name].label,
          point.label,
          `${words.number(v.interactivity)} ${words.plusMinus(half.interactivity ?? null)}`,
          `${words.number(reading.valueOf(metric, v, rates, pair))} ${words.plusMinus(half[metric.of] ?? null)}`,
          words.number(v.acceptance_length),
          words.number(v.ttft_s),
          words.number(v.power_w_gpu),
          point.launches && point.launches.length ? String(point.launches.length) : "1",
          scene.validity(point),
        ];
      }),
    );
    show(
      "points",
      table("Every point of the chart", head, cells, { numeric: [2, 3, 4, 5, 6, 7], stamps: pair.stamps }),
    );
  }

  return { targets, details, same, points, assumptions };
})();
