// What a reader takes away: the table as CSV, the chart as PNG with its stamps, the link to exactly this view.
const save = (() => {
  const SCALE = 2;
  const PAINT = [
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-opacity",
    "stroke-dasharray",
    "stroke-linejoin",
    "opacity",
    "font-size",
    "font-weight",
    "visibility",
    "paint-order",
  ];

  /** A cell that no spreadsheet takes for a formula. */
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return Number.isFinite(value) ? String(Number(value.toPrecision(9))) : "";
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  }

  function csv(pair, metric, rates, targets) {
    const head = [
      "pair",
      "table",
      "at",
      "arm",
      "point",
      "interactivity",
      "metric",
      "unit",
      "value",
      "half_width",
      "clamped",
      "ratio",
      "lo",
      "hi",
      "interpolation",
      "verdict",
      "concurrency",
      "ttft_s",
      "acceptance_length",
      "power_w_gpu",
      "stamps",
      "note",
    ];
    const lead = { pair: pair.id, metric: metric.name, unit: metric.unit, stamps: pair.stamps.join(" ") };
    const lines = [
      ...targets.flatMap((target) => targetLines(target, lead)),
      ...Object.entries(pair.arms).flatMap(([name, arm]) =>
        arm.points.map((point) => pointLine(name, point, lead, metric, rates, pair)),
      ),
    ];
    return [head.join(","), ...lines.map((line) => head.map((name) => cell(line[name])).join(","))].join("\n") + "\n";
  }

  function targetLines(target, lead) {
    return ["mtp", "off"]
      .filter((name) => target[name])
      .map((name) => {
        const found = target[name],
          ratio = name === "mtp" && target.ratio ? target.ratio : {};
        return {
          ...lead,
          table: "target",
          at: target.at,
          arm: name,
          interactivity: found.x,
          value: found.value,
          half_width: found.half,
          clamped: found.clamped ? "clamped" : "",
          ratio: ratio.value,
          lo: ratio.lo,
          hi: ratio.hi,
          interpolation: ratio.interpolation,
          verdict: name === "mtp" ? target.verdict : "",
          concurrency: found.concurrency,
          ttft_s: reading.known(found.columns.ttft_s),
          acceptance_length: reading.known(found.columns.acceptance_length),
          power_w_gpu: reading.known(found.columns.power_w_gpu),
        };
      });
  }

  function pointLine(name, point, lead, metric, rates, pair) {
    const half = point.half || {};
    return {
      ...lead,
      table: "point",
      arm: name,
      point: point.label,
      interactivity: point.values.interactivity,
      value: reading.valueOf(metric, point.values, rates, pair),
      half_width: half[metric.of],
      concurrency: point.concurrency,
      ttft_s: point.values.ttft_s,
      acceptance_length: point.values.acceptance_length,
      power_w_gpu: point.values.power_w_gpu,
      note: scene.validity(point),
    };
  }

  /** The chart with title, stamps and legend as a self-contained drawing. */
  function drawing(root, pair, lines) {
    const copy = root.cloneNode(true),
      from = [...root.querySelectorAll("*")];
    [...copy.querySelectorAll("*")].forEach((element, i) => {
      const style = getComputedStyle(from[i]);
      for (const name of PAINT) element.setAttribute(name, style.getPropertyValue(name));
    });
    const [, , width, height] = root.getAttribute("viewBox").split(" ").map(Number);
    const page = getComputedStyle(document.body),
      above = 26 + 18 * lines.length,
      { svg } = dom;
    const text = (said, i) =>
      svg(
        "text",
        { x: 14, y: 26 + 18 * i, fill: page.color, "font-size": i ? 12 : 15, "font-weight": i ? 400 : 700 },
        said,
      );
    const inner = svg("svg", { y: above, width, height, viewBox: `0 0 ${width} ${height}` }, ...copy.childNodes);
    return svg(
      "svg",
      {
        xmlns: "http://www.w3.org/2000/svg",
        width,
        height: height + above,
        viewBox: `0 0 ${width} ${height + above}`,
        "font-family": "system-ui, sans-serif",
      },
      svg("rect", {
        width,
        height: height + above,
        fill: getComputedStyle(document.querySelector(".card")).backgroundColor,
      }),
      ...lines.map(text),
      inner,
    );
  }

  /** A PNG of the chart at twice its size; resolves to a Blob. */
  function png(root, pair, lines) {
    const picture = drawing(root, pair, lines),
      image = new Image();
    const width = Number(picture.getAttribute("width")),
      height = Number(picture.getAttribute("height"));
    return new Promise((resolve, reject) => {
      image.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = width * SCALE;
        canvas.height = height * SCALE;
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the browser made no picture"))), "image/png");
      };
      image.onerror = () => reject(new Error("the browser could not draw the picture"));
      image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(picture))}`;
    });
  }

  function download(blob, name) {
    const link = dom.el("a", { href: URL.createObjectURL(blob), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  const fileName = (pair, ending) => `${pair.id.replace(/[^A-Za-z0-9.-]+/g, "-")}.${ending}`;

  return { csv, png, download, fileName };
})();
