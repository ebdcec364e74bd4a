// The chart: both arms' curves with their intervals, every point, and target lines that move under the finger. Draws what
// `scene` found; the same is what a screen reader hears point by point.
const chart = (() => {
  const { svg } = dom;
  const { MARGIN } = scene;

  /** Draw a scene into an svg element; `chosen` is the key of the point that has the focus. */
  function draw(root, found) {
    const focused = root.contains(document.activeElement) ? document.activeElement.getAttribute("data-key") : null;
    const { width, height, axes } = found;
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    root.setAttribute("height", height);
    if (!axes) {
      root.replaceChildren(
        svg("text", { class: "empty", x: width / 2, y: height / 2, "text-anchor": "middle" }, emptyText(found)),
      );
      return;
    }
    const inner = {
      x: MARGIN.left,
      y: MARGIN.top - 6,
      width: width - MARGIN.left - MARGIN.right,
      height: height - MARGIN.top - MARGIN.bottom + 6,
    };
    root.replaceChildren(
      svg("clipPath", { id: "inside" }, svg("rect", inner)),
      grid(found),
      common(found),
      svg(
        "g",
        { "clip-path": "url(#inside)" },
        ...found.arms.map((arm) => bandPath(arm, axes)),
        ...found.arms.map((arm) => linePath(arm, axes)),
      ),
      svg(
        "g",
        { "clip-path": "url(#inside)" },
        ...crossings(found),
        ...found.arms.flatMap((arm) => whiskerLines(arm, axes)),
      ),
      svg(
        "g",
        { role: "list", "aria-label": "Measured points" },
        ...found.arms.filter((arm) => !arm.faint).flatMap((arm) => marks(arm, found)),
        ...thrownOut(found),
      ),
      svg("g", {}, ...targetLines(found)),
      stampText(found),
    );
    const again = focused && root.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    if (again) again.focus({ preventScroll: true });
  }

  const emptyText = (found) => `${found.metric.label}: not measured (${words.whyMissing(found.pair, found.metric)})`;

  function grid({ axes, width, height, metric, s }) {
    const right = width - MARGIN.right,
      low = height - MARGIN.bottom;
    const axis = state.data.axes.find((each) => each[0] === s.axis);
    const better = metric.better === "lower" ? "lower is better" : "higher is better";
    return svg(
      "g",
      { "aria-hidden": "true" },
      axes.x.ticks.map((value) => [
        svg("line", { class: "gridline", x1: axes.x.at(value), x2: axes.x.at(value), y1: MARGIN.top, y2: low }),
        svg("text", { class: "tick", x: axes.x.at(value), y: low + 18, "text-anchor": "middle" }, scales.label(value)),
      ]),
      axes.y.ticks.map((value) => [
        svg("line", {
          class: value === 0 ? "baseline" : "gridline",
          x1: MARGIN.left,
          x2: right,
          y1: axes.y.at(value),
          y2: axes.y.at(value),
        }),
        svg(
          "text",
          { class: "tick", x: MARGIN.left - 9, y: axes.y.at(value) + 4, "text-anchor": "end" },
          scales.label(value),
        ),
      ]),
      svg(
        "text",
        { class: "axis", x: (MARGIN.left + right) / 2, y: height - 12, "text-anchor": "middle" },
        `${axis[1]} (${axis[2]})${s.logx ? ", logarithmic" : ""}`,
      ),
      svg(
        "text",
        { class: "axis", transform: `translate(16 ${(MARGIN.top + low) / 2}) rotate(-90)`, "text-anchor": "middle" },
        `${words.unit(metric.unit)}${s.logy ? ", logarithmic" : ""} (${better})`,
      ),
    );
  }

  /** The stretch that both arms have: outside it nothing can be compared at one speed. */
  function common({ pair, axes, s, height, width }) {
    const shared = s.axis === "interactivity" ? reading.overlap(pair) : null;
    if (!shared) return null;
    const clipX = (value) => reading.clip(axes.x.at(value), MARGIN.left, width - MARGIN.right);
    const [from, to] = shared.map(clipX);
    return svg(
      "rect",
      {
        class: "common",
        x: from,
        y: MARGIN.top,
        width: Math.max(0, to - from),
        height: height - MARGIN.top - MARGIN.bottom,
      },
      svg("title", {}, "Speeds that both arms reach"),
    );
  }

  const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
  const classes = (arm, kind) =>
    `${kind} arm-${arm.colour}${arm.faint ? " faint" : ""}${arm.name === "off" ? " off" : ""}`;

  function linePath(arm, { x, y }) {
    return svg("path", { class: classes(arm, "curve"), d: path(arm.line.map((p) => [x.at(p.x), y.at(p.y)])) });
  }

  function bandPath(arm, { x, y }) {
    const known = arm.band.filter(Boolean);
    if (known.length < 2) return null;
    const floor = y.domain[0] > 0 ? y.domain[0] : 1e-12;
    const upper = known.map((b) => [x.at(b.x), Math.max(-1e4, y.at(b.hi))]);
    const lower = known.map((b) => [x.at(b.x), y.at(Math.max(b.lo, floor))]).reverse();
    return svg("path", { class: classes(arm, "band"), d: `${path([...upper, ...lower])}Z` });
  }

  function whiskerLines(arm, { x, y }) {
    if (arm.faint) return [];
    return arm.points.flatMap((p) => [
      p.halfX === null
        ? null
        : svg("line", {
            class: classes(arm, "whisker"),
            x1: x.at(p.x / (1 + p.halfX)),
            x2: Math.min(1e5, x.at(p.x * (1 + p.halfX))),
            y1: y.at(p.y),
            y2: y.at(p.y),
          }),
      p.halfY === null
        ? null
        : svg("line", {
            class: classes(arm, "whisker"),
            x1: x.at(p.x),
            x2: x.at(p.x),
            y1: y.at(p.y / (1 + p.halfY)),
            y2: Math.max(-1e5, y.at(p.y * (1 + p.halfY))),
          }),
    ]);
  }

  /** Points of one arm: dots for Off, diamonds for MTP, small dots for each launch; the label is what hears and hovers. */
  function marks(arm, found) {
    const { x, y } = found.axes;
    return arm.points.flatMap((p, i) => {
      const at = [x.at(p.x), y.at(p.y)];
      const said = scene.describe(arm, p.point, found);
      const shape =
        arm.name === "off"
          ? svg("circle", { r: 5.5, cx: at[0], cy: at[1] })
          : svg("path", { d: `M${at[0]} ${at[1] - 7}l7 7l-7 7l-7 -7z` });
      const text = p.point.outlier ? null : label(p.point.label, at, found);
      return [
        ...launches(arm, p.point, found),
        svg(
          "g",
          {
            class: classes(arm, "point") + (p.point.outlier ? " outlier" : ""),
            tabindex: arm.name === "mtp" && i === 0 ? "0" : "-1",
            role: "listitem",
            "data-key": `${arm.name}-${i}`,
            "aria-label": said.join(", "),
            "data-said": said.join("\n"),
            "data-x": at[0],
            "data-y": at[1],
          },
          svg("circle", { class: "halo", r: 12, cx: at[0], cy: at[1] }),
          shape,
          text,
        ),
      ];
    });
  }

  /** A point's name where no other name and no other point is yet; none where there is no room. */
  function label(text, [x, y], found) {
    const wide = 7 * text.length,
      taken = found.taken;
    const free = (box) =>
      box.x >= 0 &&
      box.x + wide <= found.width &&
      !taken.some(
        (other) => Math.abs(box.x + wide / 2 - other.x) < (wide + other.wide) / 2 && Math.abs(box.y - other.y) < 11,
      );
    const box = [
      [9, -9],
      [9, 17],
      [-9 - wide, -9],
      [-9 - wide, 17],
    ]
      .map(([dx, dy]) => ({ x: x + dx, y: y + dy }))
      .find(free);
    if (!box) return null;
    taken.push({ x: box.x + wide / 2, y: box.y, wide });
    return svg("text", { class: "label", x: box.x, y: box.y }, text);
  }

  const inPlot = ({ width, height }, x, y) =>
    x >= MARGIN.left && x <= width - MARGIN.right && y >= MARGIN.top - 6 && y <= height - MARGIN.bottom;

  function launches(arm, point, found) {
    const { axes, s, metric, rates } = found;
    return (point.launches || []).map((values) => {
      const at = [reading.known(values[s.axis]), reading.valueOf(metric, values, rates, arm.pair)];
      if (at.includes(null)) return null;
      const [cx, cy] = [axes.x.at(at[0]), axes.y.at(at[1])];
      return inPlot(found, cx, cy) ? svg("circle", { class: classes(arm, "launch"), r: 2, cx, cy }) : null;
    });
  }

  /** Points that take no part: a cross where they would stand, if they have a place. */
  function thrownOut(found) {
    const { pair, axes, s, metric, rates } = found;
    return (pair.invalid || []).map((point, i) => {
      const at = [reading.known(point.values[s.axis]), reading.valueOf(metric, point.values, rates, pair)];
      if (at.includes(null)) return null;
      const [cx, cy] = [axes.x.at(at[0]), axes.y.at(at[1])];
      if (!inPlot(found, cx, cy)) return null;
      const said = [
        `${point.arm === "off" ? "Off" : words.arm(pair)} at ${words.load(point)}, launch ${point.launch + 1}`,
        "INVALID, used for nothing",
        ...point.reasons.map(([code, why]) => `${code}: ${why}`),
      ];
      return svg(
        "g",
        {
          class: "point void",
          tabindex: "-1",
          role: "listitem",
          "data-key": `void-${i}`,
          "aria-label": said.join("; "),
          "data-said": said.join("\n"),
          "data-x": cx,
          "data-y": cy,
        },
        svg("circle", { class: "halo", r: 12, cx, cy }),
        svg("path", { d: `M${cx - 5} ${cy - 5}l10 10m0 -10l-10 10` }),
      );
    });
  }

  function crossings({ pair, axes, s, metric, rates, arms }) {
    if (s.axis !== "interactivity" || metric.name !== reading.TOTAL || !arms.length) return [];
    return (pair.crossovers || []).map(([at]) => {
      const y = reading.valueOf(metric, reading.read(pair.arms.off, at).columns, rates, pair);
      return svg(
        "circle",
        { class: "crossing", r: 9, cx: axes.x.at(at), cy: axes.y.at(y) },
        svg("title", {}, `the curves cross at ${words.number(at)} tok/s/user`),
      );
    });
  }

  /** Where the handles go so that none hides another: their lines stay where they are. */
  function handles(places, widths, [from, to]) {
    const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]),
      found = [...places];
    const apart = (a, b) => (widths[a] + widths[b]) / 2 + 3;
    order.forEach((at, i) => {
      if (i) found[at] = Math.max(found[at], found[order[i - 1]] + apart(at, order[i - 1]));
    });
    [...order].reverse().forEach((at, i, back) => {
      const most = i ? found[back[i - 1]] - apart(at, back[i - 1]) : to - widths[at] / 2;
      found[at] = Math.max(from, Math.min(found[at], most));
    });
    return found;
  }

  function targetLines(found) {
    const { pair, axes, metric, targets, height } = found;
    const low = height - MARGIN.bottom,
      right = found.width - MARGIN.right;
    const lines = targets.map((target) => {
      const across = scene.placeOf(found, target);
      return across === null ? null : reading.clip(axes.x.at(across), MARGIN.left, right);
    });
    const widths = targets.map((target) => 20 + 7.2 * words.plain(target.at).length);
    // Where nothing tells an arm's place on this axis, its targets have no line.
    if (lines.includes(null)) return targets.flatMap((target) => ["off", "mtp"].map((name) => dot(found, target, name)));
    const tops = handles(lines, widths, [0, found.width]);
    return targets.flatMap((target, i) => {
      const dots = ["off", "mtp"].map((name) => dot(found, target, name));
      const at = lines[i],
        top = tops[i],
        wide = widths[i],
        text = words.plain(target.at);
      return [
        svg(
          "g",
          {
            class: "target",
            tabindex: "0",
            role: "slider",
            "data-key": `target-${i}`,
            "data-target": i,
            "aria-label": `Target ${i + 1}`,
            "aria-orientation": "horizontal",
            "aria-valuemin": words.plain(reading.reach(pair)[0]),
            "aria-valuemax": words.plain(reading.reach(pair)[1]),
            "aria-valuenow": text,
            "aria-valuetext": scene.spoken(target, metric),
          },
          svg("rect", { class: "grip", x: at - 14, y: MARGIN.top - 34, width: 28, height: low - MARGIN.top + 34 }),
          svg("path", { class: "line", d: `M${top} ${MARGIN.top - 8}L${at} ${MARGIN.top - 2}V${low}` }),
          svg("rect", { class: "handle", x: top - wide / 2, y: MARGIN.top - 30, width: wide, height: 22, rx: 11 }),
          svg("text", { x: top, y: MARGIN.top - 15, "text-anchor": "middle" }, text),
        ),
        dots,
      ];
    });
  }

  function dot({ axes, s, pair, arms }, target, name) {
    const side = target[name];
    const x = side && (s.axis === "interactivity" ? side.x : reading.known(side.columns[s.axis]));
    if (!side || x === null || side.value === null) return null;
    const arm = arms.find((each) => !each.faint && each.name === name);
    return svg("circle", {
      class: `hit arm-${arm.colour}${side.clamped ? " clamped" : ""}`,
      r: 4,
      cx: axes.x.at(x),
      cy: axes.y.at(side.value),
    });
  }

  /** Beside the axis' name, or on a narrow chart above the plot's corner. */
  function stampText({ stamps, width, height }) {
    const y = width < 2.2 * (7 * stamps.length + 150) ? MARGIN.top + 6 : height - 12;
    return stamps ? svg("text", { class: "stamps", x: width - MARGIN.right, y, "text-anchor": "end" }, stamps) : null;
  }

  return { draw };
})();
