// Labels with their probabilities as bars that move when the numbers do.
import { make } from "./dom.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** A list of bars in `element`; `update(rows)` moves them to rows of { name, probability, cosine?, note?, marked? }.
 *
 * `probability` is 0 to 1, the cosine or a note is shown beside it; `marked` is the row to look at.
 * A row keeps its bar by `key`, its name unless given, so that one whose name changes is not drawn anew.
 */
export function createBars(element) {
  const list = make("ul", { className: "bars" });
  const kept = new Map(); // rows by key, so that a bar slides and is not drawn anew
  element.append(list);
  return {
    update(rows) {
      const before = tops(kept);
      for (const key of [...kept.keys()]) if (!rows.some((row) => keyOf(row) === key)) drop(kept, key);
      for (const row of rows) list.append(fill(kept.get(keyOf(row)) ?? create(kept, keyOf(row)), row));
      slide(kept, before);
    },
  };
}

function keyOf({ key, name }) {
  return key ?? name;
}

function create(kept, key) {
  const bar = make("span", { className: "fill" });
  const parts = {
    bar,
    name: make("span", { className: "name" }),
    value: make("span", { className: "number" }),
    cosine: make("span", { className: "number pale" }),
  };
  const row = make(
    "li",
    { className: "bar" },
    parts.name,
    parts.cosine,
    parts.value,
    make("span", { className: "track", ariaHidden: "true" }, bar),
  );
  kept.set(key, Object.assign(row, { parts }));
  return row;
}

function fill(row, { name, probability, cosine = null, note = "", marked = false }) {
  row.classList.toggle("marked", marked);
  row.parts.name.textContent = name;
  row.parts.value.textContent = percent(probability);
  row.parts.cosine.textContent = cosine === null ? note : `cosine ${cosine.toFixed(3)}`;
  row.parts.bar.style.setProperty("--share", Math.min(1, Math.max(0, probability)));
  return row;
}

/** `93%`, and one digit more where it tells something: `0.4%`. */
export function percent(share) {
  const value = 100 * share;
  return `${value.toFixed(value > 0 && value < 10 ? 1 : 0)}%`;
}

function drop(kept, key) {
  kept.get(key).remove();
  kept.delete(key);
}

function tops(kept) {
  return new Map([...kept].map(([key, row]) => [key, row.offsetTop]));
}

function slide(kept, before) {
  if (calm.matches) return;
  for (const [key, row] of kept) {
    const distance = (before.get(key) ?? row.offsetTop) - row.offsetTop;
    if (distance)
      row.animate([{ transform: `translateY(${distance}px)` }, { transform: "none" }], {
        duration: 180,
        easing: "ease-out",
      });
  }
}
