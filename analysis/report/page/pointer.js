// Fingers, mice and keys on the chart: what is said of a point, and how target lines move. Knows what is drawn and the
// state, nothing of how either is made.
const pointer = (() => {
  const NEAR = 20;
  const { el } = dom;
  let shown = null,
    dragged = null,
    stuck = false;

  /** The scene that is on the screen now. */
  function onto(found) {
    shown = found;
  }

  function install(root, tip) {
    root.addEventListener("pointerdown", (event) => down(root, event));
    root.addEventListener("pointermove", (event) => move(root, tip, event));
    root.addEventListener("pointerup", () => {
      dragged = null;
    });
    root.addEventListener("pointercancel", () => {
      dragged = null;
    });
    root.addEventListener("pointerleave", () => {
      if (!stuck) hide(tip);
    });
    root.addEventListener("dblclick", (event) => add(place(root, event)));
    root.addEventListener("focusin", (event) => focused(root, tip, event.target));
    root.addEventListener("focusout", () => {
      stuck = false;
      hide(tip);
    });
    root.addEventListener("keydown", (event) => key(root, tip, event));
  }

  function place(root, event) {
    const box = root.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * shown.width,
      ((event.clientY - box.top) / box.height) * shown.height,
    ];
  }

  function down(root, event) {
    const target = event.target.closest(".target");
    if (!target) return;
    event.preventDefault();
    dragged = Number(target.dataset.target);
    root.setPointerCapture(event.pointerId);
    target.focus({ preventScroll: true });
  }

  function move(root, tip, event) {
    if (!shown || !shown.axes) return;
    const at = place(root, event);
    if (dragged !== null) {
      hide(tip);
      moveTarget(dragged, scene.speedAt(shown, shown.axes.x.back(at[0]), state.targets()[dragged]));
      return;
    }
    const near = nearest(root, at);
    if (near) say(tip, near, near.dataset.x, near.dataset.y);
    else if (!stuck) crosshair(tip, at);
  }

  function nearest(root, [x, y]) {
    let best = null,
      least = NEAR;
    for (const point of root.querySelectorAll(".point")) {
      const away = Math.hypot(point.dataset.x - x, point.dataset.y - y);
      if (away < least) [best, least] = [point, away];
    }
    return best;
  }

  /** What both arms deliver at the pointer's interactivity. */
  function crosshair(tip, [x, y]) {
    const { pair, s, axes, metric, rates, width, height } = shown;
    const shared = s.axis === "interactivity" ? reading.overlap(pair) : null;
    const at = axes.x.back(x);
    const outside =
      x < scene.MARGIN.left ||
      x > width - scene.MARGIN.right ||
      y < scene.MARGIN.top ||
      y > height - scene.MARGIN.bottom;
    if (outside || !shared || at < shared[0] || at > shared[1]) return hide(tip);
    const found = reading.target(pair, at, metric, rates);
    const lines = [
      `at ${words.number(at)} tok/s/user`,
      `MTP ${words.number(found.mtp.value)} ${words.plusMinus(found.mtp.half)}`,
      `Off ${words.number(found.off.value)} ${words.plusMinus(found.off.half)}`,
    ];
    if (found.ratio)
      lines.push(
        `MTP / Off ${words.number(found.ratio.value)}${found.ratio.lo === null ? "" : ` (${words.between(found.ratio.lo, found.ratio.hi)})`}`,
      );
    if (pair.stamps.length) lines.push(words.stamps(pair));
    write(tip, lines, x, y);
    return undefined;
  }

  function say(tip, point, x, y) {
    write(tip, point.dataset.said.split("\n"), Number(x), Number(y));
  }

  function write(tip, lines, x, y) {
    tip.replaceChildren(...lines.map((line, i) => el(i ? "div" : "strong", {}, line)));
    tip.hidden = false;
    const room = tip.parentElement.clientWidth / shown.width;
    const left =
      x * room + 16 + tip.offsetWidth > tip.parentElement.clientWidth ? x * room - 16 - tip.offsetWidth : x * room + 16;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(y * room - 20, shown.height * room - tip.offsetHeight - 6))}px`;
  }

  function hide(tip) {
    tip.hidden = true;
  }

  function focused(root, tip, element) {
    const point = element.closest(".point");
    if (!point || !root.contains(point)) return;
    for (const other of root.querySelectorAll('.point[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    point.setAttribute("tabindex", "0");
    stuck = true;
    say(tip, point, point.dataset.x, point.dataset.y);
  }

  function key(root, tip, event) {
    const target = event.target.closest(".target"),
      point = event.target.closest(".point");
    if (event.key === "Escape") {
      stuck = false;
      hide(tip);
      return;
    }
    const did = target ? targetKey(Number(target.dataset.target), event) : point ? pointKey(root, point, event) : false;
    if (did) event.preventDefault();
  }

  function targetKey(index, event) {
    const at = state.targets()[index],
      [low, high] = reading.overlap(shown.pair) || reading.reach(shown.pair);
    const step = ((high - low) / 100) * (event.shiftKey ? 5 : 1);
    const to = {
      ArrowLeft: at - step,
      ArrowDown: at - step,
      ArrowRight: at + step,
      ArrowUp: at + step,
      Home: low,
      End: high,
      PageDown: at - 10 * step,
      PageUp: at + 10 * step,
    }[event.key];
    if (to !== undefined) moveTarget(index, to, event.key === "Home" || event.key === "End");
    else if (event.key === "Delete" || event.key === "Backspace") remove(index);
    else return false;
    return true;
  }

  /** Arrow keys go through the points, each arm in turn. */
  function pointKey(root, point, event) {
    const all = [...root.querySelectorAll(".point")],
      i = all.indexOf(point);
    const to = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: all.length - 1 }[
      event.key
    ];
    if (to === undefined) return false;
    all[(to + all.length) % all.length].focus();
    return true;
  }

  /** A target to a place, held to what any arm reaches and to digits that a reader can type. */
  function moveTarget(index, to, exact = false) {
    const [low, high] = reading.reach(shown.pair);
    const held = reading.clip(to, low, high);
    const moved = [...state.targets()];
    moved[index] = exact || held === low || held === high ? held : Number(held.toPrecision(4));
    state.set({ targets: moved });
  }

  function add([x, y]) {
    if (!shown || !shown.axes || shown.s.axis !== "interactivity" || y < scene.MARGIN.top) return;
    insert(Number(shown.axes.x.back(x).toPrecision(4)));
  }

  function insert(at) {
    const targets = state.targets();
    if (targets.length < state.MOST_TARGETS && at > 0) state.set({ targets: [...targets, at].sort((a, b) => a - b) });
  }

  function remove(index) {
    const left = state.targets().filter((_, i) => i !== index);
    if (left.length) state.set({ targets: left });
  }

  return { onto, install, insert, remove };
})();
