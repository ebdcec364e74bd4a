// Elements from plain calls. Text becomes text: nothing here reads markup, so nothing that a file says can become any.
const dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(
      ...children.flat(2).filter((child) => child !== null && child !== undefined && child !== "" && child !== false),
    );
    return element;
  }

  const el = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
  const byId = (id) => document.getElementById(id);

  function show(id, ...children) {
    const box = byId(id);
    box.replaceChildren(...children.flat(2).filter(Boolean));
    return box;
  }

  /** A table from cells; a cell may be text or an element. `numeric` columns stand right. */
  function table(caption, head, rows, { numeric = [], stamps = null } = {}) {
    const align = (i) => (numeric.includes(i) ? "num" : null);
    return el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": typeof caption === "string" ? caption : null },
      el(
        "table",
        {},
        el("caption", {}, caption, stamps && stamps.length ? chips(stamps) : null),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((text, i) => el("th", { scope: "col", class: align(i) }, text)),
          ),
        ),
        el(
          "tbody",
          {},
          rows.map((cells) =>
            el(
              "tr",
              {},
              cells.map((cell, i) =>
                i === 0 ? el("th", { scope: "row", class: align(i) }, cell) : el("td", { class: align(i) }, cell),
              ),
            ),
          ),
        ),
      ),
    );
  }

  const chips = (stamps) => stamps.map((stamp) => [" ", el("span", { class: "stamp" }, stamp)]);
  const chip = (text, tone) => el("span", { class: `chip ${tone}` }, text);

  return { el, svg, byId, show, table, chips, chip };
})();
